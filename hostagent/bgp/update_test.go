package bgp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var none fault

var compare = cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})

// The bytes of the tests are written by hand: no encoder of ours or of GoBGP's
// would write the malformed ones.

// join puts bytes together; an int is one byte.
func join(parts ...any) []byte {
	var b []byte
	for _, part := range parts {
		switch p := part.(type) {
		case int:
			b = append(b, byte(p))
		case string:
			b = append(b, p...)
		case []byte:
			b = append(b, p...)
		}
	}
	return b
}

// attr is a path attribute.
func attr(flags, kind int, value ...any) []byte {
	v := join(value...)
	return join(flags, kind, len(v), v)
}

// field is a field that begins with its length.
func field(parts ...any) []byte {
	v := join(parts...)
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(v))), v...)
}

// updateBody is the body of an UPDATE.
func updateBody(withdrawn []byte, attributes [][]byte, announced []byte) []byte {
	return join(field(withdrawn), field(bytes.Join(attributes, nil)), announced)
}

const wk, opt, pass, extended = 0x40, 0x80, 0xc0, 0x10

// Attributes of a good UPDATE, and prefixes.
var (
	origin    = attr(wk, 1, 0)
	as65001   = attr(wk, 2, 2, 1, "\x00\x00\xfd\xe9")
	nextHop   = attr(wk, 3, "\x0a\x00\x00\x01")
	good      = [][]byte{origin, as65001, nextHop}
	net10     = join(16, 10, 1) // 10.1.0.0/16
	net8      = join(8, 10)     // 10.0.0.0/8
	net2001   = join(32, "\x20\x01\x0d\xb8")
	linkLocal = "\xfe\x80" + strings.Repeat("\x00", 13) + "\x01"
	global    = "\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x01"
	noAddress = strings.Repeat("\x00", 16)
	reach6    = attr(opt, 14, 0, 2, 1, 16, linkLocal, 0, net2001)
	unreach6  = attr(opt, 15, 0, 2, 1, net2001)
)

func with(attributes ...[]byte) [][]byte { return append(slices.Clip(good), attributes...) }

// without leaves out one of the good attributes and adds others.
func without(i int, attributes ...[]byte) [][]byte {
	return append(slices.Delete(slices.Clone(good), i, i+1), attributes...)
}

func prefixes(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// peerOpen is the OPEN of a peer of both families.
func peerOpen() open {
	return open{as: 65001, capabilities: capabilities{multiprotocol: true, ipv4: true, ipv6: true, fourOctetAS: true}}
}

func newTestDecoder() *decoder {
	d := newDecoder(peerOpen())
	return &d
}

// announced lists the prefixes that an Update announces.
func announced(u Update) []netip.Prefix {
	var all []netip.Prefix
	for _, r := range u.Announced {
		all = append(all, r.Prefix)
	}
	return all
}

// route is one by a path of AS numbers, with nothing else that decides.
func route(prefix string, path ...uint32) Route {
	return Route{netip.MustParsePrefix(prefix), &Attributes{ASPath: path, Length: len(path), LocalPref: 100}}
}

// decoded is UPDATEs without an error, and what is in them.
var decoded = map[string]struct {
	body []byte
	want Update
}{
	"IPv4 in the message's fields": {
		updateBody(join(net8, 0), good, join(net10, 32, 192, 0, 2, 1, 0)),
		Update{
			Withdrawn: prefixes("10.0.0.0/8", "0.0.0.0/0"),
			Announced: []Route{
				route("10.1.0.0/16", 65001),
				route("192.0.2.1/32", 65001),
				route("0.0.0.0/0", 65001),
			},
		},
	},
	"all lists in one": {
		updateBody(net8, with(unreach6, attr(opt, 14, 0, 1, 1, 16, linkLocal, 0, 24, 10, 1, 2)), net10),
		Update{
			Withdrawn: prefixes("10.0.0.0/8", "2001:db8::/32"),
			Announced: []Route{
				route("10.1.0.0/16", 65001),
				route("10.1.2.0/24", 65001),
			},
		},
	},
	"bits beyond the length": {
		updateBody(join(9, 10, 255), [][]byte{origin, as65001, attr(opt, 14, 0, 2, 1, 16, linkLocal, 0, 33, "\x20\x01\x0d\xb8\xff")}, nil),
		Update{
			Withdrawn: prefixes("10.128.0.0/9"),
			Announced: []Route{route("2001:db8:8000::/33", 65001)},
		},
	},
	"every attribute that decides": {
		updateBody(nil, [][]byte{
			attr(opt, 4, 0, 0, 1, 0), attr(wk, 1, 2), nextHop, attr(pass, 8, "\xff\xff\x00\x00\xfd\xe9\x00\x07"),
			attr(wk, 2, 2, 2, "\x00\x00\xfd\xe9\xfa\x56\xea\x00", 1, 2, "\x00\x00\xfc\x00\x00\x00\xfc\x01"),
			attr(pass, 32, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0, 0, 3),
		}, net10),
		Update{Announced: []Route{{netip.MustParsePrefix("10.1.0.0/16"), &Attributes{
			ASPath: []uint32{65001, 4200000000, 64512, 64513}, Sets: [][2]int{{2, 4}}, Length: 3, Origin: 2, MED: 256, LocalPref: 100,
			Communities: []uint32{0xffff0000, 65001<<16 | 7}, LargeCommunities: [][3]uint32{{1, 2, 0xff000003}},
		}}}},
	},
	"empty AS path, unused attributes, extended lengths": {
		updateBody(nil, [][]byte{
			attr(wk, 6), attr(pass, 7, "\x00\x00\xfd\xe9\x0a\x00\x00\x01"), attr(pass, 16, "12345678"),
			attr(pass, 25, "12345678901234567890"), attr(pass|0x20, 99, "what?"), attr(opt, 100),
			join(wk|extended, 1, 0, 1, 1), join(wk|extended, 2, 0, 0), nextHop,
		}, net10),
		Update{Announced: []Route{{netip.MustParsePrefix("10.1.0.0/16"), &Attributes{ASPath: []uint32{}, Origin: 1, LocalPref: 100}}}},
	},
	"prefixes that cannot be routed": {
		updateBody(nil, with(attr(opt, 14, 0, 2, 1, 16, linkLocal, 0, net2001, 10, 254, 128, 128, noAddress[:15], 1, 8, 255)),
			join(8, 127, 4, 224, 32, 239, 1, 1, 1, net10)),
		Update{Announced: []Route{
			route("10.1.0.0/16", 65001),
			route("2001:db8::/32", 65001),
		}},
	},
	"families that the session does not have": {
		updateBody(nil, with(attr(opt, 14, 0, 1, 128, 12, "0123456789ab", 0, 200, "anything"), attr(opt, 15, 0, 1, 2, 99)), net10),
		Update{Announced: []Route{route("10.1.0.0/16", 65001)}},
	},
	"no prefixes": {updateBody(nil, [][]byte{attr(opt, 14, 0, 2, 1, 16, linkLocal, 0)}, nil), Update{}},
}

func TestDecode(t *testing.T) {
	for name, test := range decoded {
		got, fault, err := newTestDecoder().decode(test.body)
		if err != nil || fault != none {
			t.Errorf("%s: %+v, %v", name, fault, err)
			continue
		}
		if diff := cmp.Diff(test.want, got, compare); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestNextHopForms(t *testing.T) {
	for name, test := range map[string]struct {
		hop string
		afi int
		ok  bool
	}{
		"link-local":                    {linkLocal, 2, true},
		"link-local twice, as FRR":      {linkLocal + linkLocal, 2, true},
		"global and link-local":         {global + linkLocal, 2, true},
		"none and link-local, as BIRD":  {noAddress + linkLocal, 2, true},
		"IPv4":                          {"\x0a\x00\x00\x01", 1, true},
		"link-local for IPv4":           {linkLocal, 1, true},
		"link-local twice for IPv4":     {linkLocal + linkLocal, 1, true},
		"none and link-local for IPv4":  {noAddress + linkLocal, 1, true},
		"IPv4 for IPv6":                 {"\x0a\x00\x00\x01", 2, false},
		"with a route distinguisher":    {noAddress[:8] + linkLocal, 2, false},
		"nothing":                       {"", 2, false},
		"nothing for IPv4":              {"", 1, false},
		"longer than the attribute":     {linkLocal[:15], 2, false},
		"five bytes":                    {"12345", 1, false},
		"as long as a length byte says": {strings.Repeat("x", 200), 1, false},
	} {
		list, want := net2001, "2001:db8::/32"
		if test.afi == 1 {
			list, want = net10, "10.1.0.0/16"
		}
		body := updateBody(nil, [][]byte{origin, as65001, attr(opt, 14, 0, test.afi, 1, len(test.hop), test.hop, 0, list)}, nil)
		got, fault, err := newTestDecoder().decode(body)
		if ok := err == nil && fault == none && slices.Equal(announced(got), prefixes(want)); ok != test.ok {
			t.Errorf("%s: %+v, %+v, %v", name, got, fault, err)
		}
		if !test.ok && !isUpdateError(err, 9) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func isUpdateError(err error, subcode uint8) bool {
	var n *notification
	return errors.As(err, &n) && n.code == 3 && n.subcode == subcode
}

func TestEndOfRIB(t *testing.T) {
	ipv4, ipv6 := updateBody(nil, nil, nil), updateBody(nil, [][]byte{attr(opt, 15, 0, 2, 1)}, nil)
	ipv4MP := updateBody(nil, [][]byte{attr(opt, 15, 0, 1, 1)}, nil)
	both, only4, only6, unsaid := peerOpen(), peerOpen(), peerOpen(), peerOpen()
	only4.ipv6, only6.ipv4 = false, false
	unsaid.capabilities = capabilities{}
	for name, test := range map[string]struct {
		open   open
		bodies [][]byte
		end    int // which of them is the end; -1 for none
	}{
		"both":                          {both, [][]byte{ipv4, ipv6}, 1},
		"the other way round":           {both, [][]byte{ipv6, ipv4}, 1},
		"IPv4 in MP_UNREACH_NLRI":       {both, [][]byte{ipv6, ipv4MP}, 1},
		"the same twice":                {both, [][]byte{ipv4, ipv4}, -1},
		"once more":                     {both, [][]byte{ipv4, ipv6, ipv6}, 1},
		"IPv4 only":                     {only4, [][]byte{ipv4}, 0},
		"IPv6 only":                     {only6, [][]byte{ipv6}, 0},
		"IPv6 only, other marker":       {only6, [][]byte{ipv4}, -1},
		"without capabilities":          {unsaid, [][]byte{ipv4}, 0},
		"a withdrawal":                  {only6, [][]byte{updateBody(nil, [][]byte{unreach6}, nil)}, -1},
		"a withdrawal beside":           {only6, [][]byte{updateBody(net8, [][]byte{attr(opt, 15, 0, 2, 1)}, nil)}, -1},
		"another attribute beside":      {only6, [][]byte{updateBody(nil, [][]byte{attr(opt, 15, 0, 2, 1), origin}, nil)}, -1},
		"another attribute":             {only4, [][]byte{updateBody(nil, [][]byte{origin}, nil)}, -1},
		"a withdrawal of IPv4":          {only4, [][]byte{updateBody(net8, nil, nil)}, -1},
		"a family that is not ours":     {only4, [][]byte{updateBody(nil, [][]byte{attr(opt, 15, 0, 1, 128)}, nil)}, -1},
		"an announcement of no address": {only6, [][]byte{updateBody(nil, [][]byte{attr(opt, 14, 0, 2, 1, 16, linkLocal, 0)}, nil)}, -1},
	} {
		d := newDecoder(test.open)
		for i, body := range test.bodies {
			got, fault, err := d.decode(body)
			if err != nil || fault != none {
				t.Errorf("%s: %+v, %v", name, fault, err)
			}
			if want := i == test.end; got.EndOfRIB != want {
				t.Errorf("%s: UPDATE %d: %t, want %t", name, i, got.EndOfRIB, want)
			}
		}
	}
}

func TestPrefixesOfOtherFamiliesAreCheckedButNotRead(t *testing.T) {
	theirs := peerOpen()
	theirs.ipv4 = false
	d := newDecoder(theirs)
	got, fault, err := d.decode(updateBody(net8, with(reach6), net10))
	if err != nil || fault != none || !slices.Equal(announced(got), prefixes("2001:db8::/32")) || got.Withdrawn != nil {
		t.Errorf("%+v, %+v, %v", got, fault, err)
	}
	if _, _, err := d.decode(updateBody(nil, with(reach6), join(33, "12345"))); !isUpdateError(err, 10) {
		t.Error(err)
	}
}

func TestRoutesShareTheirAttributes(t *testing.T) {
	body := updateBody(nil, with(reach6), net10)
	got, _, err := newTestDecoder().decode(body)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Announced) != 2 || got.Announced[0].Attributes != got.Announced[1].Attributes {
		t.Errorf("%+v", got.Announced)
	}
	want := slices.Clone(got.Announced[0].ASPath)
	clear(body)
	if !slices.Equal(got.Announced[0].ASPath, want) {
		t.Error("the result changes with the message")
	}
}
