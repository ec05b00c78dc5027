package rib_test

import (
	"fmt"
	"net/netip"
	"testing"

	"lastmile/hostagent/rib"
)

// TestLeastHeldAreUsed: of the peers with a path, those that are held least are used; those that are barred never.
func TestLeastHeldAreUsed(t *testing.T) {
	a, b := netip.MustParseAddr("fe80::1%eth0"), netip.MustParseAddr("fe80::2%eth1")
	prefix := netip.MustParsePrefix("10.0.0.1/32")
	holds := []rib.Hold{rib.Free, rib.Spare, rib.Last, rib.Barred}
	for _, ofA := range holds {
		for _, ofB := range holds {
			table := rib.New(rib.Config{AS: 64512})
			for _, peer := range []netip.Addr{a, b} {
				table.Update(peer, []rib.Route{{Prefix: prefix, Path: &rib.Path{ASPath: []uint32{65001}, Length: 1, LocalPref: 100}}}, nil)
			}
			table.SetHold(a, ofA)
			table.SetHold(b, ofB)
			var want, got []netip.Addr
			if ofA <= ofB && ofA != rib.Barred {
				want = append(want, a)
			}
			if ofB <= ofA && ofB != rib.Barred {
				want = append(want, b)
			}
			for c := range table.Routes().All() {
				got = c.NextHops
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("a held %d, b held %d: %v used, want %v", ofA, ofB, got, want)
			}
			if table.Beside(a) != (len(want) == 2) {
				t.Errorf("a held %d, b held %d: a beside others: %v", ofA, ofB, table.Beside(a))
			}
		}
	}
}
