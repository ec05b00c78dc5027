package bgp

import (
	"net/netip"
	"testing"
)

func TestJudge(t *testing.T) {
	const dialled, accepted = true, false
	const dominant, dominated = true, false
	for _, test := range []struct {
		dialled, dominant bool
		other             State
		want              verdict
	}{
		// There is no other, or it is the session.
		{dialled, dominant, Idle, proceed},
		{dialled, dominated, Idle, proceed},
		{accepted, dominant, Idle, proceed},
		{accepted, dominated, Idle, proceed},
		{dialled, dominant, Established, yield},
		{dialled, dominated, Established, yield},
		{accepted, dominant, Established, yield},
		{accepted, dominated, Established, yield},
		// RFC 4271 section 6.8: the dominant side's own one stays.
		{dialled, dominant, OpenSent, proceed},
		{dialled, dominant, OpenConfirm, proceed},
		{accepted, dominated, OpenSent, proceed},
		{accepted, dominated, OpenConfirm, proceed},
		{dialled, dominated, OpenConfirm, yield},
		{accepted, dominant, OpenConfirm, yield},
		// Not for one that may never get there.
		{dialled, dominated, OpenSent, wait},
		{accepted, dominant, OpenSent, wait},
		{accepted, dominant, Connect, wait},
		{accepted, dominated, Connect, proceed},
	} {
		if got := judge(test.dialled, test.dominant, test.other); got != test.want {
			t.Errorf("%+v: %d", test, got)
		}
	}
}

// Both sides come to the same end: of two connections with an OPEN on each, the
// one that one side closes is the one that the other side closes.
func TestBothSidesAgree(t *testing.T) {
	for _, dominant := range []bool{true, false} {
		for _, dialled := range []bool{true, false} {
			for _, other := range []State{OpenSent, OpenConfirm} {
				here, there := judge(dialled, dominant, other), judge(!dialled, !dominant, other)
				if here != there {
					t.Errorf("dialled %v, dominant %v, other %s: %d here, %d there", dialled, dominant, other, here, there)
				}
			}
		}
	}
}

func TestDominates(t *testing.T) {
	us := open{as: 64512, id: netip.MustParseAddr("10.0.1.1")}
	for _, test := range []struct {
		as   uint32
		id   string
		want bool
	}{
		{65001, "10.0.1.0", true},
		{65001, "10.0.1.2", false},
		{65001, "9.255.255.255", true},
		{65001, "192.0.2.1", false}, // unsigned
		{65001, "10.0.1.1", false},  // RFC 6286 section 2.3
		{64511, "10.0.1.1", true},
	} {
		if got := dominates(us, open{as: test.as, id: netip.MustParseAddr(test.id)}); got != test.want {
			t.Errorf("AS %d, %s: %v", test.as, test.id, got)
		}
	}
}
