package bgp

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// announcement is an UPDATE as GoBGP writes it.
func announcement(t testing.TB, prefix string, nextHop netip.Addr) message {
	t.Helper()
	p := netip.MustParsePrefix(prefix)
	nlri, err := bgp.NewIPAddrPrefix(p)
	if err != nil {
		t.Fatal(err)
	}
	family := bgp.RF_IPv4_UC
	if p.Addr().Is6() {
		family = bgp.RF_IPv6_UC
	}
	reach, err := bgp.NewPathAttributeMpReachNLRI(family, []bgp.PathNLRI{{NLRI: nlri}}, nextHop)
	if err != nil {
		t.Fatal(err)
	}
	b, err := bgp.NewBGPUpdateMessage(nil, []bgp.PathAttributeInterface{
		bgp.NewPathAttributeOrigin(0),
		bgp.NewPathAttributeAsPath([]bgp.AsPathParamInterface{bgp.NewAs4PathParam(2, []uint32{64512})}),
		reach,
	}, nil).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSetNextHop(t *testing.T) {
	own := netip.MustParseAddr("fe80::a")
	for _, prefix := range []string{"10.0.1.1/32", "2001:db8::1/128"} {
		m := announcement(t, prefix, noNextHop)
		if err := setNextHop(m, own.WithZone("eth0")); err != nil {
			t.Fatal(err)
		}
		if want := announcement(t, prefix, own); !bytes.Equal(m, want) {
			t.Errorf("%s: %x, want %x", prefix, m, want)
		}
	}
	for name, m := range map[string]message{
		"End-of-RIB": newMessage(typeUpdate, 0, 0, 0, 0),
		"withdrawal": newMessage(typeUpdate, 0, 0, 0, 6, 0x80, 15, 3, 0, 2, 1),
		"extended":   newMessage(typeUpdate, 0, 0, 0, 7, 0x90, 15, 0, 3, 0, 2, 1),
	} {
		before := bytes.Clone(m)
		if err := setNextHop(m, own); err != nil || !bytes.Equal(m, before) {
			t.Errorf("%s: %x, %v", name, m, err)
		}
	}
	for name, m := range map[string]message{
		"attributes over the end": newMessage(typeUpdate, 0, 0, 0, 1),
		"withdrawn over the end":  newMessage(typeUpdate, 0, 1, 0, 0),
		"attribute over the end":  newMessage(typeUpdate, 0, 0, 0, 3, 0x40, 1, 1),
		"half an attribute":       newMessage(typeUpdate, 0, 0, 0, 1, 0x40),
		"IPv4 next hop":           newMessage(typeUpdate, 0, 0, 0, 12, 0x80, 14, 9, 0, 1, 1, 4, 10, 0, 0, 1, 0),
	} {
		if err := setNextHop(m, own); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzSetNextHop(f *testing.F) {
	f.Add([]byte(announcement(f, "10.0.1.1/32", noNextHop).body()))
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) >= 4 { // the framer sees to that
			_ = setNextHop(newMessage(typeUpdate, body...), noNextHop)
		}
	})
}
