package rib_test

import (
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"testing"

	"lastmile/hostagent/rib"
)

func TestSortedAsNetipSorts(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for size := range 200 {
		if err := rib.SortRandom(random, size); err != nil {
			t.Fatal(err)
		}
	}
	if err := rib.SortRandom(random, 5000); err != nil {
		t.Fatal(err)
	}
}

// TestMemoryIsGivenBack takes in a large table, in which each path is shared by few, and takes nearly all of it out again in
// each way there is.
func TestMemoryIsGivenBack(t *testing.T) {
	const size, left = 100_000, 200
	all := updates(65001, size, 3)
	remove := map[string]func(*rib.Table){
		"drop":     func(table *rib.Table) { table.Drop(leaf1) },
		"withdraw": func(table *rib.Table) { withdrawAll(table, all[left/perUpdate:]) },
		"announce anew": func(table *rib.Table) {
			for _, u := range updates(65001, size, size) {
				table.Update(leaf1, u, nil)
			}
			withdrawAll(table, all[left/perUpdate:])
		},
	}
	for name, take := range remove {
		t.Run(name, func(t *testing.T) {
			before := heap()
			table := rib.New(rib.Config{AS: 64513})
			for _, u := range all {
				table.Update(leaf1, u, nil)
			}
			table.Update(leaf2, all[0], nil)
			full := heap() - before
			take(table)
			if rest := int64(heap() - before); rest > int64(full/10) {
				t.Errorf("%d of %d bytes are left", rest, full)
			}
			if err := table.Leaks(); err != nil {
				t.Error(err)
			}
			want := slices.SortedFunc(prefixes(all[0]), netip.Prefix.Compare)
			var got []netip.Prefix
			for _, e := range table.Entries() {
				got = append(got, e.Prefix)
			}
			if !slices.Equal(want, got) {
				t.Errorf("%d prefixes are left, want %d", len(got), len(want))
			}
			runtime.KeepAlive(all)
		})
	}
}

func withdrawAll(table *rib.Table, updates [][]rib.Route) {
	for _, u := range updates {
		table.Update(leaf1, nil, slices.Collect(prefixes(u)))
	}
}

func prefixes(routes []rib.Route) func(func(netip.Prefix) bool) {
	return func(yield func(netip.Prefix) bool) {
		for _, r := range routes {
			if !yield(r.Prefix) {
				return
			}
		}
	}
}

// TestArgumentsAreNotKept changes what was handed over: decoders use their buffers again.
func TestArgumentsAreNotKept(t *testing.T) {
	table := rib.New(rib.Config{AS: 64512})
	routes := announce(prefix, rib.Path{ASPath: []uint32{1, 2}, Length: 2, LocalPref: 100, Communities: []uint32{7}})
	table.Update(leaf1, routes, nil)
	routes[0].Path.ASPath[0], routes[0].Path.Communities[0] = 3, 8
	e, _ := table.Lookup(prefix)
	if got := e.Paths[0].Path; got.ASPath[0] != 1 || got.Communities[0] != 7 {
		t.Errorf("%+v", got)
	}
}

func TestInvalidPrefixesArePassedOver(t *testing.T) {
	table := rib.New(rib.Config{AS: 64512})
	bad := []netip.Prefix{{}, netip.PrefixFrom(leaf1, 129), netip.PrefixFrom(netip.MustParseAddr("10.0.0.1"), 33)}
	for _, p := range bad {
		check(t, "announced", nil, table.Update(leaf1, announce(p, path(1)), nil))
		check(t, "withdrawn", nil, table.Update(leaf1, nil, []netip.Prefix{p}))
		if _, found := table.Lookup(p); found {
			t.Errorf("%v is found", p)
		}
	}
	check(t, "originated", nil, table.Originate(bad))
}

func TestPathsAreKeptWhole(t *testing.T) {
	table := rib.New(rib.Config{AS: 64512})
	const most = 1<<32 - 1
	want := rib.Path{ASPath: []uint32{most, 0, 1}, Length: 1 << 20, Origin: 255, MED: most, LocalPref: most, Communities: []uint32{most, 0}}
	table.Update(leaf2, announce(prefix, path(1)), nil)
	table.Update(leaf1, announce(prefix, want), nil)
	e, _ := table.Lookup(prefix)
	got := e.Paths[0].Path
	if e.Paths[0].Peer != leaf1 || !slices.Equal(got.ASPath, want.ASPath) || !slices.Equal(got.Communities, want.Communities) ||
		got.Length != want.Length || got.Origin != want.Origin || got.MED != want.MED || got.LocalPref != want.LocalPref {
		t.Errorf("%+v, want %+v", got, want)
	}
}
