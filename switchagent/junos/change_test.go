package junos

import (
	"encoding/xml"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	gonetconf "github.com/Juniper/go-netconf/netconf"
	"github.com/google/go-cmp/cmp"

	"lastmile/switchagent/netconf"
)

var (
	held = Stanza{Group: "servers", Peer: addr("fe80::1%ge-0/0/1.0"), Description: "lastmile: old", Key: "FE80::1"}
	bare = Stanza{Group: "servers", Peer: addr("fe80::1%ge-0/0/1.0"), Key: "FE80::1"}
	told = Stanza{Group: "servers", Peer: addr("fe80::1%ge-0/0/1.0"), Description: `lastmile: "new" one`, Key: "FE80::1"}
	more = Stanza{Group: "servers", Peer: addr("fe80::2%ge-0/0/2.0"), Description: "lastmile: more"}
	last = Stanza{Group: "servers", Peer: addr("fe80::3%ge-0/0/3.0"), Key: "fe80::3%ge-0/0/3.0"}
)

func TestCommands(t *testing.T) {
	all := Change{Add: []Stanza{more}, Remove: []Stanza{last}, Edit: []Edit{{held, told}}}
	want := []string{
		`delete protocols bgp group servers neighbor fe80::3%ge-0/0/3.0`,
		`set protocols bgp group servers neighbor FE80::1 description "lastmile: \"new\" one"`,
		`set protocols bgp group servers neighbor fe80::2 description "lastmile: more"`,
		`set protocols bgp group servers neighbor fe80::2 local-interface ge-0/0/2.0`,
	}
	var got []string
	for _, c := range all.Commands() {
		got = append(got, c.String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var harmless []bool
	for _, c := range all.Commands() {
		harmless = append(harmless, c.KeepsSession())
	}
	if want := []bool{false, true, true, false}; !slices.Equal(harmless, want) {
		t.Errorf("a session lives through %v, want %v", harmless, want)
	}
	gone := Change{Edit: []Edit{{held, bare}}}.Commands()
	if len(gone) != 1 || gone[0].String() != "delete protocols bgp group servers neighbor FE80::1 description" || !gone[0].KeepsSession() {
		t.Errorf("got %v", gone)
	}
}

func TestLoads(t *testing.T) {
	const begin, end = `<configuration><protocols><bgp><group><name>servers</name>`, `</group></bgp></protocols></configuration></load-configuration>`
	change := Change{Remove: []Stanza{last}, Edit: []Edit{{held, bare}}, From: []Stanza{last, held}}
	for how, want := range map[Load]string{
		LoadMerge: `<load-configuration action="merge" format="xml">` + begin + `<neighbor delete="delete"><name>fe80::3%ge-0/0/3.0</name></neighbor>` +
			`<neighbor><name>FE80::1</name><description delete="delete"></description></neighbor>` + end,
		LoadReplace: `<load-configuration action="replace" format="xml">` + begin + `<neighbor delete="delete"><name>fe80::3%ge-0/0/3.0</name></neighbor>` +
			`<neighbor><name>FE80::1</name><description delete="delete"></description></neighbor>` + end,
		LoadUpdate: `<load-configuration action="update" format="xml">` + begin +
			`<neighbor><name>FE80::1</name><local-interface>ge-0/0/1.0</local-interface></neighbor>` + end,
	} {
		got, err := change.load(how, true)
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", how, diff)
		}
	}
	if got, err := (Change{Remove: []Stanza{last}, From: []Stanza{last}}).load(LoadUpdate, true); err != nil || !strings.Contains(got, `action="replace"`) || !strings.Contains(got, `delete="delete"`) {
		t.Errorf("an update to nothing: %s, %v", got, err)
	}
}

func TestChangesThatMakeNoSense(t *testing.T) {
	moved := told
	moved.Key, moved.Peer = "fe80::9", addr("fe80::9%ge-0/0/1.0")
	alias := more
	alias.Key = "fe80::9"
	for name, change := range map[string]Change{
		"twice":        {Add: []Stanza{more, more}},
		"both ways":    {Add: []Stanza{held}, Remove: []Stanza{told}},
		"moved":        {Edit: []Edit{{held, moved}}},
		"another key":  {Add: []Stanza{alias}},
		"control":      {Add: []Stanza{{Group: "servers", Peer: more.Peer, Description: "a\nb"}}},
		"group":        {Add: []Stanza{{Group: "servers neighbor fe80::7", Peer: more.Peer}}},
		"no interface": {Add: []Stanza{{Group: "servers", Peer: addr("fe80::1%all")}}},
	} {
		if _, err := change.load(LoadMerge, false); err == nil {
			t.Errorf("%s: it is loaded", name)
		}
	}
}

// FuzzLoad: a stanza of any content is refused, or comes back as it was from the XML.
func FuzzLoad(f *testing.F) {
	f.Add("servers", "fe80::1%ge-0/0/1.0", "lastmile: x", "")
	f.Add("a</name>", "fe80::1%irb.1", "]]>]]>", "fe80::1%irb.1")
	f.Add("g", "fe80::1%ge-0/0/0.0", "&lt;\x00", "fe80::2")
	f.Add("\xf0", "fe80::%A.0", " 0", "")
	f.Fuzz(func(t *testing.T, group, peer, description, key string) {
		p, err := netip.ParseAddr(peer)
		if err != nil {
			return
		}
		s := Stanza{Group: group, Peer: p, Description: description, Key: key}
		body, err := (Change{Add: []Stanza{s}}).load(LoadReplace, false)
		if err != nil {
			return
		}
		var load struct {
			Config bgpConfiguration `xml:"configuration"`
		}
		if err := xml.Unmarshal([]byte(body), &load); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		var read bgpRead
		load.Config.read(&read)
		if len(read.stanzas) != 1 || read.stanzas[0].Group != group || read.stanzas[0].Peer != p ||
			read.stanzas[0].Description != description || len(read.others) > 0 {
			t.Errorf("%+v came back as %+v", s, read)
		}
	})
}

func TestRelease(t *testing.T) {
	for version, want := range map[string]Release{
		"20.4R3.8": {20, 4, 3}, "21.4R3-S2.4": {21, 4, 3}, "22.4R1.10-EVO": {22, 4, 1}, "12.1X46-D15.3": {12, 1, 46}, "18.1R1": {18, 1, 1},
		"": {}, "junos": {}, "21.4": {},
	} {
		got, err := ParseRelease(version)
		if got != want || (err == nil) != (want != Release{}) {
			t.Errorf("%q: %v, %v", version, got, err)
		}
	}
	tests := []struct {
		r            Release
		asked, want  Load
		errorMention string
	}{
		{Release{17, 4, 3}, "", LoadMerge, ""}, {Release{18, 1, 1}, "", LoadReplace, ""}, {Release{24, 4, 1}, "", LoadReplace, ""}, {Release{}, "", LoadMerge, ""},
		{Release{17, 4, 3}, LoadReplace, "", "needs Junos 18.1R1, this is 17.4R3"}, {Release{20, 4, 3}, LoadUpdate, "", "needs Junos 21.1R1"},
		{Release{21, 1, 1}, LoadUpdate, LoadUpdate, ""}, {Release{}, LoadUpdate, "", "unknown release"}, {Release{24, 4, 1}, LoadMerge, LoadMerge, ""},
	}
	for _, tt := range tests {
		got, err := tt.r.load(tt.asked)
		if got != tt.want || (err == nil) != (tt.errorMention == "") || err != nil && !strings.Contains(err.Error(), tt.errorMention) {
			t.Errorf("%v, load %q: %q, %v", tt.r, tt.asked, got, err)
		}
	}
	c := (&device{t: t}).client()
	if _, err := c.Database(Options{Kind: Private, Load: LoadUpdate}, Release{24, 4, 1}); err == nil {
		t.Error("update of the whole static configuration")
	}
	if _, err := c.Database(Options{Kind: "candidate"}, Release{24, 4, 1}); err == nil {
		t.Error("a database of no kind")
	}
}

func TestBlame(t *testing.T) {
	refused := func(e ...netconf.Error) error { return &netconf.ReplyError{Errors: e} }
	message := func(text string) netconf.Error { return netconf.Error{RPCError: gonetconf.RPCError{Message: text}} }
	at := func(path, bad string) netconf.Error {
		return netconf.Error{RPCError: gonetconf.RPCError{Path: path, Message: "invalid"}, BadElement: bad}
	}
	all := []Stanza{held, more, last}
	tests := []struct {
		err     error
		blamed  []Stanza
		general bool
	}{
		{refused(message("configuration check-out failed")), nil, false},
		{refused(at("[edit protocols bgp group servers]", "neighbor fe80::2")), []Stanza{more}, false},
		{refused(at("[edit protocols bgp group servers neighbor fe80::1]", "local-interface")), []Stanza{held}, false},
		{refused(message("Error in neighbor fe80::3 of group servers:\nno interface")), []Stanza{last}, false},
		{refused(message("invalid value in 'protocols bgp group servers neighbor fe80::2.'")), []Stanza{more}, false},
		{refused(at("[edit protocols bgp group servers]", "neighbor fe80::22")), nil, false},
		{refused(at("[edit interfaces ge-0/0/1]", "unit 2")), nil, true},
		{refused(at("[edit interfaces ge-0/0/1]", "unit 2"), at("[edit protocols bgp group servers]", "neighbor fe80::2")), []Stanza{more}, false},
		{refused(message("permission denied")), nil, true},
		{refused(message("interface ge-0/0/2.0 is not configured . ")), []Stanza{more}, false},
		{refused(message("could not allocate memory in database")), nil, true},
		{busy(refused(message("configuration database locked by: fe80::2"))), nil, true},
		{ErrChanged, nil, true}, {ErrLost, nil, true}, {errors.New("x"), nil, true},
	}
	for _, tt := range tests {
		blamed, general := Blame(tt.err, all)
		if diff := cmp.Diff(tt.blamed, blamed, cmp.Comparer(func(a, b Stanza) bool { return a == b })); diff != "" || general != tt.general {
			t.Errorf("%v: general %v (-want +got):\n%s", tt.err, general, diff)
		}
	}
}

func TestUsage(t *testing.T) {
	const whole = "<database-usage><maximum-size>\n665.5 MB\n</maximum-size><current-size>7.00 MB</current-size><actual-usage>512 KB</actual-usage></database-usage>"
	for reply, want := range map[string]Usage{
		whole: {512 << 10, 665<<20 + 1<<19}, refusal: {}, "": {}, "<output>nothing</output>": {},
		"<actual-usage>much</actual-usage><maximum-size>-1 MB</maximum-size>":              {},
		"<a><actual-usage>1 MB</actual-usage></a><b><actual-usage>2 MB</actual-usage></b>": {2 << 20, 0},
	} {
		got, err := one(t, map[string]string{"get-database-usage": reply}).DatabaseUsage(t.Context(), "lastmile")
		if got != want || err != nil {
			t.Errorf("%s: %+v, %v", reply, got, err)
		}
	}
	if _, err := one(t, map[string]string{"get-database-usage": "lost"}).DatabaseUsage(t.Context(), ""); !errors.Is(err, ErrLost) {
		t.Errorf("got %v", err)
	}
}

// TestSomebodyWasFaster: a database that is not what the plan was made from is left as it is.
func TestSomebodyWasFaster(t *testing.T) {
	for name, from := range map[string][]Stanza{"less": nil, "another": {held, more, last, {Group: "x", Peer: more.Peer}}} {
		d := &device{t: t, replies: map[string][]string{
			"get-configuration": {"committed.xml"}, "open": {"ephemeral.xml"}, "open-configuration": {""}, "close-configuration": {""},
		}}
		outcome, err := in(d.client()).Commit(t.Context(), Change{Add: []Stanza{more}, From: from})
		if outcome != Refused || !errors.Is(err, ErrChanged) || d.dead != nil {
			t.Errorf("%s: %s, %v", name, outcome, err)
		}
	}
}
