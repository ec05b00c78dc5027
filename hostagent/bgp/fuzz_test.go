package bgp

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"testing"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// Whatever a peer sends is an Update within bounds, or a NOTIFICATION.
func FuzzDecode(f *testing.F) {
	as4 := attr(pass, 17, 2, 1, "\x00\x01\x00\x00")
	for _, body := range [][]byte{
		updateBody(nil, nil, nil),
		updateBody(net8, with(reach6, unreach6, attr(opt, 4, 0, 0, 0, 1), attr(pass, 8, "1234")), net10),
		updateBody(nil, append([][]byte{as4}, good...), net10), // which ends a process of GoBGP v3.37
		updateBody(nil, with(attr(opt, 14, 0, 1, 1, 32, noAddress, linkLocal, 0, net10)), nil),
		updateBody(nil, [][]byte{attr(opt, 15, 0, 2, 1)}, nil),
		updateBody(nil, with(join(opt|extended, 99, 1, 0)), net10),
		updateBody(join(33, "12345"), nil, nil),
	} {
		f.Add(body, false)
		f.Add(body, true)
	}
	f.Fuzz(func(t *testing.T, body []byte, old bool) {
		theirs := peerOpen()
		theirs.fourOctetAS = !old
		d := newDecoder(theirs)
		before := bytes.Clone(body)
		u, fault, err := d.decode(body)
		if !bytes.Equal(body, before) {
			t.Fatal("the message has been changed")
		}
		if err != nil {
			var n *notification
			if !errors.As(err, &n) || n.code != errUpdate || len(n.message()) > maxSize {
				t.Fatalf("%v", err)
			}
			return
		}
		if fault.action == treatAsWithdrawal && len(u.Announced) > 0 {
			t.Fatalf("announced in spite of %s: %+v", fault.why, u)
		}
		checkBounds(t, body, u)
		checkAgain(t, u)
	})
}

// checkBounds checks what is true of every Update.
func checkBounds(t *testing.T, body []byte, u Update) {
	t.Helper()
	if len(u.Announced)+len(u.Withdrawn) > len(body) {
		t.Fatalf("%d bytes have %d prefixes", len(body), len(u.Announced)+len(u.Withdrawn))
	}
	for _, p := range u.Withdrawn {
		if !p.IsValid() || p != p.Masked() {
			t.Fatalf("withdrawn: %v", p)
		}
	}
	for _, r := range u.Announced {
		if !r.Prefix.IsValid() || r.Prefix != r.Prefix.Masked() || r.Origin > 2 || r.LocalPref != 100 ||
			r.Length > len(r.ASPath) || 2*len(r.ASPath) > 4*len(body) || 4*len(r.Communities) > len(body) {
			t.Fatalf("announced: %+v", r)
		}
	}
}

// checkAgain checks that the same is read once GoBGP has written it down. What
// an Update does not keep is which AS numbers are in sets.
func checkAgain(t *testing.T, u Update) {
	t.Helper()
	if len(u.Announced) == 0 || len(u.Announced[0].ASPath) > 255 {
		return
	}
	want := u.Announced[0].Attributes
	attrs := []bgp.PathAttributeInterface{
		bgp.NewPathAttributeOrigin(want.Origin), bgp.NewPathAttributeMultiExitDisc(want.MED), asSequence(want.ASPath),
	}
	if want.Communities != nil {
		attrs = append(attrs, bgp.NewPathAttributeCommunities(want.Communities))
	}
	for _, route := range u.Announced {
		n, err := bgp.NewIPAddrPrefix(route.Prefix)
		if err != nil {
			t.Fatal(err)
		}
		family := bgp.RF_IPv4_UC
		if route.Prefix.Addr().Is6() {
			family = bgp.RF_IPv6_UC
		}
		reach, err := bgp.NewPathAttributeMpReachNLRI(family, []bgp.PathNLRI{{NLRI: n}}, netip.MustParseAddr("fe80::1"))
		if err != nil {
			t.Fatal(err)
		}
		b, err := bgp.NewBGPUpdateMessage(nil, append(attrs, reach), nil).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		got, fault, err := newTestDecoder().decode(message(b).body())
		if err != nil || fault != none || len(got.Announced) != 1 || got.Announced[0].Prefix != route.Prefix {
			t.Fatalf("%x: %+v, %+v, %v", b, got, fault, err)
		}
		if r := got.Announced[0]; r.Origin != want.Origin || r.MED != want.MED ||
			!slices.Equal(r.ASPath, want.ASPath) || !slices.Equal(r.Communities, want.Communities) {
			t.Fatalf("%+v, want %+v", r.Attributes, want)
		}
	}
}

func asSequence(ases []uint32) *bgp.PathAttributeAsPath {
	var segments []bgp.AsPathParamInterface
	if len(ases) > 0 {
		segments = append(segments, bgp.NewAs4PathParam(bgp.BGP_ASPATH_ATTR_TYPE_SEQ, ases))
	}
	return bgp.NewPathAttributeAsPath(segments)
}
