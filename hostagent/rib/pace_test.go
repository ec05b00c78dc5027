package rib_test

import (
	"net/netip"
	"testing"

	"lastmile/hostagent/rib"
)

// TestFaultsAreHeeded: whatever goes through the whole table lets its owner look for faults, and so does what goes through the sets
// of paths, of which there may be almost as many.
func TestFaultsAreHeeded(t *testing.T) {
	const size = 10_000
	steps := 0
	table := rib.New(rib.Config{AS: 64513, Heed: func(n int) { steps += n }})
	for leaf, addr := range []uint32{65001, 65002} {
		for _, u := range updates(addr, size, 1) {
			table.Update([]netip.Addr{leaf1, leaf2}[leaf], u, nil)
		}
	}
	for _, test := range []struct {
		name string
		do   func() int
	}{
		{"hold", func() int { return table.SetHold(leaf1, rib.Spare).Len() }},
		{"let go", func() int { return table.SetHold(leaf1, rib.Free).Len() }},
		{"all routes", func() int { return table.Routes().Len() }},
		{"all prefixes", func() int { table.Prefixes(); return size }},
		{"forget what was not said again", func() int { table.Stale(leaf1); return table.Sweep(leaf1).Len() }},
		{"drop", func() int { return table.Drop(leaf2).Len() }},
	} {
		steps = 0
		if n := test.do(); n != size || steps < size-1024 {
			t.Errorf("%s: %d prefixes, told of %d", test.name, n, steps)
		}
	}
}
