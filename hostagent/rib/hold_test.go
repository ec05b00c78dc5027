package rib_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lastmile/hostagent/rib"
)

// TestHold: a peer that is spare is used only where no other has a path, a barred one nowhere.
func TestHold(t *testing.T) {
	a, b := netip.MustParseAddr("fe80::1%eth0"), netip.MustParseAddr("fe80::2%eth1")
	shared, own := netip.MustParsePrefix("10.0.0.1/32"), netip.MustParsePrefix("c0d1::1/128")
	path := &rib.Path{ASPath: []uint32{65001}, Length: 1, LocalPref: 100}
	table := rib.New(rib.Config{AS: 64512})
	expect := func(step string, got rib.Changes, want ...rib.Change) {
		t.Helper()
		if diff := cmp.Diff(want, slices.Collect(got.All()), cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step, diff)
		}
	}
	change := func(p netip.Prefix, hops ...netip.Addr) rib.Change { return rib.Change{Prefix: p, NextHops: hops} }

	expect("nobody", table.SetHold(b, rib.Free))
	expect("a", table.Update(a, []rib.Route{{Prefix: shared, Path: path}}, nil), change(shared, a))
	expect("hold b before it speaks", table.SetHold(b, rib.Spare))
	expect("b", table.Update(b, []rib.Route{{Prefix: shared, Path: path}, {Prefix: own, Path: path}}, nil), change(own, b))
	if e, _ := table.Lookup(shared); e.Paths[1].Reason != rib.Returning || e.Selection != rib.Returning {
		t.Errorf("held path: %+v", e)
	}
	expect("free", table.SetHold(b, rib.Free), change(shared, a, b))
	expect("again", table.SetHold(b, rib.Free))
	expect("stale", table.Stale(b))
	expect("bar what is stale too", table.SetHold(b, rib.Barred), change(shared, a), change(own))
	expect("spare", table.SetHold(b, rib.Spare), change(own, b))
	expect("a goes", table.Drop(a), change(shared, b))
	expect("b goes", table.Drop(b), change(shared), change(own))
	if table.Held(b) != rib.Free {
		t.Error("a peer that was dropped is held still")
	}
}
