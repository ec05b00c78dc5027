package rib_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"lastmile/hostagent/rib"
)

// perUpdate is how many prefixes come in one UPDATE.
const perUpdate = 200

// updates makes the UPDATEs of one leaf for a table of the given size, in which so many prefixes share each path.
func updates(leaf uint32, size, perPath int) [][]rib.Route {
	routes := make([]rib.Route, size)
	var p *rib.Path // shared inside an update
	for i := range routes {
		n := i * 7919 % size // a full period: no order that the table could profit from
		addr := netip.AddrFrom4([4]byte{20, byte(n >> 16), byte(n >> 8), byte(n)})
		if i%perPath == 0 || i%perUpdate == 0 {
			p = new(path(leaf, 4200000000+uint32(i/perPath), 65201, 64512))
		}
		routes[i] = rib.Route{Prefix: netip.PrefixFrom(addr, 32), Path: p}
	}
	return slices.Collect(slices.Chunk(routes, perUpdate))
}

// BenchmarkTable takes a table in from two leaves and loses the first of them. First, second and drop are the nanoseconds
// that each takes for a prefix, live is what the table holds of the heap.
func BenchmarkTable(b *testing.B) {
	for _, size := range []int{100_000, 500_000, 1_000_000} {
		for _, perPath := range []int{500, 6} {
			b.Run(fmt.Sprintf("prefixes=%d/perpath=%d", size, perPath), func(b *testing.B) { benchmark(b, size, perPath) })
		}
	}
}

func benchmark(b *testing.B, size, perPath int) {
	first, second := updates(65001, size, perPath), updates(65002, size, perPath)
	var took [3]time.Duration
	var live uint64
	b.ReportAllocs()
	for b.Loop() {
		before := heap()
		table := rib.New(rib.Config{AS: 64513})
		start := time.Now()
		for _, u := range first {
			table.Update(leaf1, u, nil)
		}
		took[0] += time.Since(start)
		start = time.Now()
		for _, u := range second {
			table.Update(leaf2, u, nil)
		}
		took[1] += time.Since(start)
		live = heap() - before
		start = time.Now()
		if n := table.Drop(leaf1).Len(); n != size {
			b.Fatalf("%d changes", n)
		}
		took[2] += time.Since(start)
	}
	for i, what := range []string{"first", "second", "drop"} {
		b.ReportMetric(float64(took[i].Nanoseconds())/float64(b.N*size), what+"-ns/prefix")
	}
	b.ReportMetric(float64(live)/float64(size), "live-B/prefix")
	b.ReportMetric(0, "ns/op")
}

// heap returns the bytes that are in use after a collection.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkPrefixes is how long whoever owns the table of half a million prefixes waits when all of them are to be shown.
func BenchmarkPrefixes(b *testing.B) {
	table := rib.New(rib.Config{AS: 64513})
	for _, u := range updates(65001, 500_000, 500) {
		table.Update(leaf1, u, nil)
	}
	for b.Loop() {
		table.Prefixes()
	}
}
