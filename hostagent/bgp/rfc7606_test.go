package bgp

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

const twoBytes = true

// survived has a row for each rule of RFC 7606, and for those that it leaves as they were.
var survived = map[string]struct {
	attributes [][]byte
	want       action
	why        string
	old        bool // the peer's AS numbers are of two bytes
}{
	"3 c: ORIGIN optional":              {without(0, attr(pass, 1, 0)), treatAsWithdrawal, "ORIGIN has the wrong flags", false},
	"3 c: MED transitive":               {with(attr(pass, 4, 0, 0, 0, 1)), treatAsWithdrawal, "MULTI_EXIT_DISC has the wrong flags", false},
	"3 c: COMMUNITIES well-known":       {with(attr(wk, 8, "1234")), treatAsWithdrawal, "COMMUNITIES has the wrong flags", false},
	"3 c: LOCAL_PREF optional":          {with(attr(opt, 5, 0, 0, 0, 1)), treatAsWithdrawal, "LOCAL_PREF has the wrong flags", false},
	"3 d: no ORIGIN":                    {without(0), treatAsWithdrawal, "ORIGIN is missing", false},
	"3 d: no AS_PATH":                   {without(1), treatAsWithdrawal, "AS_PATH is missing", false},
	"3 d: no NEXT_HOP":                  {without(2), treatAsWithdrawal, "NEXT_HOP is missing", false},
	"3 f: ATOMIC_AGGREGATE optional":    {with(attr(pass, 6)), discardAttribute, "ATOMIC_AGGREGATE has the wrong flags", false},
	"3 f: AGGREGATOR well-known":        {with(attr(wk, 7, "12345678")), discardAttribute, "AGGREGATOR has the wrong flags", false},
	"3 g: ORIGIN twice":                 {with(attr(wk, 1, 9)), discardAttribute, "ORIGIN is there twice", false},
	"3 g: an unknown one twice":         {with(attr(pass, 99), attr(pass, 99)), discardAttribute, "is there twice", false},
	"3 h: the gravest counts":           {with(attr(wk, 6, 1), attr(opt, 4, 1), attr(wk, 6, 2)), treatAsWithdrawal, "MULTI_EXIT_DISC", false},
	"4: overrun":                        {with(join(opt, 4, 5, "1234")), treatAsWithdrawal, "longer than the attributes' field", false},
	"4: underrun":                       {with(join(opt, 4)), treatAsWithdrawal, "longer than the attributes' field", false},
	"4: underrun of an extended length": {with(join(opt|extended, 4, 0)), treatAsWithdrawal, "longer than the attributes' field", false},
	"7.1: ORIGIN of 2 bytes":            {without(0, attr(wk, 1, 0, 0)), treatAsWithdrawal, "ORIGIN is malformed", false},
	"7.1: ORIGIN of no bytes":           {without(0, attr(wk, 1)), treatAsWithdrawal, "ORIGIN is malformed", false},
	"7.1: ORIGIN 3":                     {without(0, attr(wk, 1, 3)), treatAsWithdrawal, "ORIGIN is malformed", false},
	"7.2: segment type 0":               {without(1, attr(wk, 2, 0, 1, "1234")), treatAsWithdrawal, "AS_PATH is malformed", false},
	"7.2: segment type 5":               {without(1, attr(wk, 2, 5, 1, "1234")), treatAsWithdrawal, "AS_PATH is malformed", false},
	"7.2: overrun":                      {without(1, attr(wk, 2, 2, 2, "1234567")), treatAsWithdrawal, "AS_PATH is malformed", false},
	"7.2: underrun":                     {without(1, attr(wk, 2, 2, 1, "1234", 2)), treatAsWithdrawal, "AS_PATH is malformed", false},
	"7.2: empty segment":                {without(1, attr(wk, 2, 2, 0)), treatAsWithdrawal, "AS_PATH is malformed", false},
	"7.2: numbers of two bytes":         {without(1, attr(wk, 2, 2, 1, "12")), treatAsWithdrawal, "AS_PATH is malformed", false},
	"7.2: numbers of four bytes":        {without(1, attr(wk, 2, 2, 1, "1234")), treatAsWithdrawal, "AS_PATH is malformed", twoBytes},
	"RFC 7607: AS 0":                    {without(1, attr(wk, 2, 2, 1, 0, 0, 0, 0)), treatAsWithdrawal, "AS_PATH is malformed", false},
	"RFC 5065: confederation sequence":  {without(1, attr(wk, 2, 3, 1, "1234")), treatAsWithdrawal, "AS_PATH is malformed", false},
	"RFC 5065: confederation set":       {without(1, attr(wk, 2, 4, 1, "1234")), treatAsWithdrawal, "AS_PATH is malformed", false},
	"7.3: NEXT_HOP of 3 bytes":          {without(2, attr(wk, 3, "123")), treatAsWithdrawal, "NEXT_HOP is malformed", false},
	"7.3: NEXT_HOP of 16 bytes":         {without(2, attr(wk, 3, linkLocal)), treatAsWithdrawal, "NEXT_HOP is malformed", false},
	"7.4: MED of 3 bytes":               {with(attr(opt, 4, "123")), treatAsWithdrawal, "MULTI_EXIT_DISC is malformed", false},
	"7.5: LOCAL_PREF":                   {with(attr(wk, 5, 0, 0, 0, 1)), discardAttribute, "LOCAL_PREF comes from an external peer", false},
	"7.5: LOCAL_PREF of 3 bytes":        {with(attr(wk, 5, 0, 0, 0)), discardAttribute, "LOCAL_PREF comes from an external peer", false},
	"7.6: ATOMIC_AGGREGATE of 1 byte":   {with(attr(wk, 6, 1)), discardAttribute, "ATOMIC_AGGREGATE is malformed", false},
	"7.7: AGGREGATOR of 6 bytes":        {with(attr(pass, 7, "123456")), discardAttribute, "AGGREGATOR is malformed", false},
	"7.7: AGGREGATOR of 8 bytes":        {without(1, attr(wk, 2), attr(pass, 7, "12345678")), discardAttribute, "AGGREGATOR is malformed", twoBytes},
	"RFC 7607: AGGREGATOR 0":            {with(attr(pass, 7, 0, 0, 0, 0, "1234")), discardAttribute, "AGGREGATOR is malformed", false},
	"7.8: COMMUNITIES of no bytes":      {with(attr(pass, 8)), treatAsWithdrawal, "COMMUNITIES is malformed", false},
	"7.8: COMMUNITIES of 5 bytes":       {with(attr(pass, 8, "12345")), treatAsWithdrawal, "COMMUNITIES is malformed", false},
	"7.9: ORIGINATOR_ID":                {with(attr(opt, 9, "1234")), discardAttribute, "ORIGINATOR_ID comes from an external peer", false},
	"7.10: CLUSTER_LIST":                {with(attr(opt, 10, "123")), discardAttribute, "CLUSTER_LIST comes from an external peer", false},
	"7.14: extended of 7 bytes":         {with(attr(pass, 16, "1234567")), treatAsWithdrawal, "EXTENDED_COMMUNITIES is malformed", false},
	"7.14: extended of no bytes":        {with(attr(pass, 16)), treatAsWithdrawal, "EXTENDED_COMMUNITIES is malformed", false},
	"7.15: IPv6 extended of 8 bytes":    {with(attr(pass, 25, "12345678")), treatAsWithdrawal, "IP6_EXTENDED_COMMUNITIES is malformed", false},
	"RFC 8092: large of 8 bytes":        {with(attr(pass, 32, "12345678")), treatAsWithdrawal, "LARGE_COMMUNITY is malformed", false},
	"RFC 6793 4.1: AS4_PATH needless":   {with(attr(pass, 17, 2, 1, "1234")), discardAttribute, "AS4_PATH comes from a peer", false},
	"RFC 6793 6: AS4_PATH overrun":      {without(1, attr(wk, 2, 2, 1, "12"), attr(pass, 17, 2, 2, "1234")), discardAttribute, "AS4_PATH is malformed", twoBytes},
	"RFC 6793 6: AS4_PATH empty":        {without(1, attr(wk, 2, 2, 1, "12"), attr(pass, 17)), discardAttribute, "AS4_PATH is malformed", twoBytes},
	"RFC 6793 6: AS4_PATH well-known":   {without(1, attr(wk, 2, 2, 1, "12"), attr(wk, 17, 2, 1, "1234")), discardAttribute, "AS4_PATH has the wrong flags", twoBytes},
	"RFC 7607: AS4_PATH with AS 0":      {without(1, attr(wk, 2, 2, 1, "12"), attr(pass, 17, 2, 1, 0, 0, 0, 0)), discardAttribute, "AS4_PATH is malformed", twoBytes},
	"RFC 6793 6: AS4_AGGREGATOR":        {with(attr(pass, 18, "1234567")), discardAttribute, "AS4_AGGREGATOR is malformed", false},
}

func TestErrorsThatTheSessionSurvives(t *testing.T) {
	for name, test := range survived {
		d := newTestDecoder()
		if test.old {
			d.asSize = 2
		}
		got, fault, err := d.decode(updateBody(net8, test.attributes, net10))
		if err != nil || fault.action != test.want || !strings.Contains(fault.why, test.why) {
			t.Errorf("%s: %v (%s), %v; want %v (%s)", name, fault.action, fault.why, err, test.want, test.why)
		}
		wantAnnounced, wantWithdrawn := prefixes("10.1.0.0/16"), prefixes("10.0.0.0/8")
		if test.want == treatAsWithdrawal {
			wantAnnounced, wantWithdrawn = nil, prefixes("10.0.0.0/8", "10.1.0.0/16")
		}
		if !slices.Equal(announced(got), wantAnnounced) || !slices.Equal(got.Withdrawn, wantWithdrawn) {
			t.Errorf("%s: %+v", name, got)
		}

		// RFC 7606 section 5.2: if nothing is announced, who knows what it was?
		if test.want != treatAsWithdrawal || strings.HasPrefix(name, "3 d") {
			continue
		}
		if _, _, err := d.decode(updateBody(net8, test.attributes, nil)); !isUpdateError(err, 1) {
			t.Errorf("%s, without routes: %v", name, err)
		}
	}
}

func TestErrorsThatEndTheSession(t *testing.T) {
	long := bytes.Repeat([]byte{7}, 5000)
	for name, test := range map[string]struct {
		body    []byte
		subcode uint8
		data    []byte
	}{
		"withdrawn routes too long":        {join(0, 2, 8, 0, 0), 1, nil},
		"attributes too long":              {join(0, 0, 0, 4, "123"), 1, nil},
		"no length of the attributes":      {join(0, 1, 0, 0), 1, nil},
		"one byte":                         {join(0), 1, nil},
		"33 bits withdrawn":                {updateBody(join(33, "12345"), nil, nil), 10, nil},
		"withdrawn prefix cut off":         {updateBody(join(24, "12"), nil, nil), 10, nil},
		"33 bits announced":                {updateBody(nil, good, join(33, "12345")), 10, nil},
		"announced prefix cut off":         {updateBody(nil, good, join(net10, 17, 1, 2)), 10, nil},
		"33 bits beside a lesser error":    {updateBody(nil, without(0), join(33, "12345")), 10, nil},
		"unknown and well-known":           {updateBody(nil, with(attr(wk, 99, 1)), net10), 2, attr(wk, 99, 1)},
		"unknown and well-known, long":     {updateBody(nil, with(join(wk|extended, 99, field(long))), net10), 2, join(wk|extended, 99, field(long))[:4096-21]},
		"MP_REACH_NLRI twice":              {updateBody(nil, with(reach6, reach6), nil), 1, nil},
		"MP_UNREACH_NLRI twice":            {updateBody(nil, [][]byte{unreach6, unreach6}, nil), 1, nil},
		"MP_REACH_NLRI of 4 bytes":         {updateBody(nil, with(attr(opt, 14, 0, 2, 1, 0)), net10), 9, attr(opt, 14, 0, 2, 1, 0)},
		"MP_REACH_NLRI transitive":         {updateBody(nil, with(attr(pass, 14, 0, 2, 1, 16, linkLocal, 0, net2001)), nil), 9, attr(pass, 14, 0, 2, 1, 16, linkLocal, 0, net2001)},
		"MP_REACH_NLRI without a reserved": {updateBody(nil, with(attr(opt, 14, 0, 2, 1, 16, linkLocal)), nil), 9, attr(opt, 14, 0, 2, 1, 16, linkLocal)},
		"MP_REACH_NLRI cut off":            {updateBody(nil, with(join(opt, 14, 99, 0, 2, 1)), net10), 9, join(opt, 14, 99, 0, 2, 1)},
		"MP_REACH_NLRI with 129 bits":      {updateBody(nil, with(attr(opt, 14, 0, 2, 1, 16, linkLocal, 0, 129, linkLocal, 1)), nil), 9, attr(opt, 14, 0, 2, 1, 16, linkLocal, 0, 129, linkLocal, 1)},
		"MP_REACH_NLRI of IPv4, 33 bits":   {updateBody(nil, with(attr(opt, 14, 0, 1, 1, 16, linkLocal, 0, 33, "12345")), nil), 9, attr(opt, 14, 0, 1, 1, 16, linkLocal, 0, 33, "12345")},
		"MP_UNREACH_NLRI of 2 bytes":       {updateBody(nil, [][]byte{attr(opt, 15, 0, 2)}, nil), 9, attr(opt, 15, 0, 2)},
		"MP_UNREACH_NLRI well-known":       {updateBody(nil, [][]byte{attr(wk, 15, 0, 2, 1)}, nil), 9, attr(wk, 15, 0, 2, 1)},
		"MP_UNREACH_NLRI with a cut off":   {updateBody(nil, [][]byte{attr(opt, 15, 0, 2, 1, 64, 1)}, nil), 9, attr(opt, 15, 0, 2, 1, 64, 1)},
	} {
		u, _, err := newTestDecoder().decode(test.body)
		var n *notification
		if !errors.As(err, &n) || n.code != 3 || n.subcode != test.subcode || !bytes.Equal(n.data, test.data) {
			t.Errorf("%s: %v (%+v), want subcode %d with %x", name, err, n, test.subcode, test.data)
		}
		if len(u.Announced)+len(u.Withdrawn) > 0 {
			t.Errorf("%s: %+v beside the error", name, u)
		}
	}
}

func TestNotificationsSayWhatIsWrong(t *testing.T) {
	_, _, err := newTestDecoder().decode(updateBody(nil, with(reach6, reach6), nil))
	if got, want := reason(err), "malformed update: MP_REACH_NLRI is there twice"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
