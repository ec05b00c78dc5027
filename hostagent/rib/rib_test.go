package rib_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lastmile/hostagent/rib"
)

var (
	leaf1  = netip.MustParseAddr("fe80::1%eth0")
	leaf2  = netip.MustParseAddr("fe80::2%eth1")
	leaf3  = netip.MustParseAddr("fe80::3%eth2")
	prefix = netip.MustParsePrefix("10.0.2.2/32")
)

// path is a path of the given ASes with the defaults.
func path(ases ...uint32) rib.Path {
	return rib.Path{ASPath: ases, Length: len(ases), LocalPref: 100}
}

var compare = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

func announce(prefix netip.Prefix, p rib.Path) []rib.Route {
	return []rib.Route{{Prefix: prefix, Path: &p}}
}

func to(prefix netip.Prefix, nextHops ...netip.Addr) []rib.Change {
	return []rib.Change{{Prefix: prefix, NextHops: nextHops}}
}

func check(t *testing.T, what string, want []rib.Change, changes rib.Changes) {
	t.Helper()
	got := slices.Collect(changes.All())
	for i := range got {
		if len(got[i].NextHops) == 0 {
			got[i].NextHops = nil
		}
	}
	if diff := cmp.Diff(want, got, compare); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestDecision(t *testing.T) {
	med := func(p rib.Path, v uint32) rib.Path { p.MED = v; return p }
	origin := func(p rib.Path, v uint8) rib.Path { p.Origin = v; return p }
	prefer := func(p rib.Path, v uint32) rib.Path { p.LocalPref = v; return p }
	asSet := func(p rib.Path) rib.Path { p.Length--; return p }
	tests := []struct {
		name    string
		paths   [3]rib.Path // of leaf1, leaf2, leaf3
		reasons [3]rib.Reason
	}{
		{"equal across ASes", [3]rib.Path{path(1, 9), path(2, 9), path(3, 8)}, [3]rib.Reason{}},
		{"local preference before length",
			[3]rib.Path{path(1), prefer(path(2, 3, 4), 200), path(3)},
			[3]rib.Reason{rib.LocalPref, "", rib.LocalPref}},
		{"shorter path", [3]rib.Path{path(1, 7, 9), path(2, 9), path(3, 9)}, [3]rib.Reason{rib.ASPath, "", ""}},
		{"a set counts one", [3]rib.Path{asSet(path(1, 7, 8)), path(2, 9), path(3, 9)}, [3]rib.Reason{}},
		{"length before origin",
			[3]rib.Path{origin(path(1), 2), path(2, 9), path(3, 9)},
			[3]rib.Reason{"", rib.ASPath, rib.ASPath}},
		{"origin",
			[3]rib.Path{origin(path(1), 2), path(2), origin(path(3), 1)},
			[3]rib.Reason{rib.Origin, "", rib.Origin}},
		{"MED of the same neighbour only",
			[3]rib.Path{med(path(1), 20), med(path(1), 10), med(path(3), 30)},
			[3]rib.Reason{rib.MED, "", ""}},
		{"MED of a path that is out already does not count",
			[3]rib.Path{med(path(1, 9), 1), med(path(1), 10), path(3)},
			[3]rib.Reason{rib.ASPath, "", ""}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			table := rib.New(rib.Config{AS: 64512})
			var used []netip.Addr
			for i, peer := range []netip.Addr{leaf1, leaf2, leaf3} {
				table.Update(peer, announce(prefix, test.paths[i]), nil)
				if test.reasons[i] == "" {
					used = append(used, peer)
				}
			}
			e, _ := table.Lookup(prefix)
			for i, p := range e.Paths {
				inUse := test.reasons[i] == ""
				if p.Reason != test.reasons[i] || p.Multipath != (inUse && len(used) > 1) || p.Best != (inUse && p.Peer == used[0]) {
					t.Errorf("%+v, want reason %q of %v in use", p, test.reasons[i], used)
				}
			}
		})
	}
}

func TestUpdateReturnsOnlyWhatChanged(t *testing.T) {
	table := rib.New(rib.Config{AS: 64512})
	other := netip.MustParsePrefix("::/0")
	check(t, "first path", to(prefix, leaf1), table.Update(leaf1, announce(prefix, path(1)), nil))
	check(t, "second path", to(prefix, leaf1, leaf2), table.Update(leaf2, announce(prefix, path(2)), nil))
	check(t, "the same again", nil, table.Update(leaf2, announce(prefix, path(2)), nil))
	check(t, "another AS, as good", nil, table.Update(leaf2, announce(prefix, path(7)), nil))
	check(t, "longer", to(prefix, leaf1), table.Update(leaf2, announce(prefix, path(7, 8)), nil))
	check(t, "longer still", nil, table.Update(leaf2, announce(prefix, path(7, 8, 9)), nil))
	check(t, "withdrawn and announced", to(prefix, leaf1, leaf2), table.Update(leaf2, announce(prefix, path(7)), []netip.Prefix{prefix}))
	check(t, "withdrawn, never announced", nil, table.Update(leaf3, nil, []netip.Prefix{prefix, other}))
	check(t, "sorted", append(to(prefix, leaf1, leaf2, leaf3), to(other, leaf3)...),
		table.Update(leaf3, append(announce(other, path(3)), announce(prefix, path(3))...), nil))
	check(t, "peer gone", append(to(prefix, leaf1, leaf2), to(other)...), table.Drop(leaf3))
	check(t, "peer gone again", nil, table.Drop(leaf3))
	check(t, "withdrawn", to(prefix, leaf2), table.Update(leaf1, nil, []netip.Prefix{prefix}))
	check(t, "last one", to(prefix), table.Drop(leaf2))
	if left := table.Entries(); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestLoops(t *testing.T) {
	const us = 64512
	tests := []struct {
		allow int
		path  rib.Path
		want  bool
	}{
		{0, path(1, 2), true},
		{0, path(1, us), false},
		{1, path(1, us), true},
		{1, path(us, 1, us), false},
		{2, path(us, 1, us), true},
	}
	for _, test := range tests {
		table := rib.New(rib.Config{AS: us, AllowASIn: test.allow})
		table.Update(leaf1, announce(prefix, path(1)), nil)
		// A looped path takes the place of the good one before it.
		table.Update(leaf1, announce(prefix, test.path), nil)
		_, found := table.Lookup(prefix)
		peer := table.Peers()[0]
		if found != test.want || (peer.Looped == 0) != test.want || (peer.Prefixes == 1) != test.want {
			t.Errorf("allowed %d, path %v: found %v, %+v", test.allow, test.path.ASPath, found, peer)
		}
	}
}

func TestMaxPaths(t *testing.T) {
	table := rib.New(rib.Config{AS: 64512, MaxPaths: 2})
	table.Update(leaf3, announce(prefix, path(3)), nil)
	table.Update(leaf2, announce(prefix, path(2)), nil)
	check(t, "a lower address", to(prefix, leaf1, leaf2), table.Update(leaf1, announce(prefix, path(1)), nil))
	e, ok := table.Lookup(prefix)
	if !ok || e.Paths[2].Reason != rib.MaxPaths {
		t.Errorf("%+v", e)
	}
	check(t, "room again", to(prefix, leaf1, leaf3), table.Drop(leaf2))
}
