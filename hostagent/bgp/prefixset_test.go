package bgp

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

func TestPrefixSet(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var some []netip.Prefix
	for range 2000 {
		some = append(some, randomPrefix(r, bgp.RF_IPv4_UC), randomPrefix(r, bgp.RF_IPv6_UC))
	}
	// The same bits, but for the family or the length.
	some = append(some, prefixes("0.0.0.0/0", "::/0", "0.0.0.0/8", "::/8", "10.0.0.0/8", "10.0.0.0/9", "::ffff:0:0/96")...)
	set, model := newPrefixSet(), map[netip.Prefix]bool{}
	for i := range 40000 {
		p := some[r.IntN(len(some))]
		if growing := i < 20000; r.IntN(3) > 0 == growing {
			set.add(p)
			model[p] = true
		} else {
			set.remove(p)
			delete(model, p)
		}
		if set.size != len(model) {
			t.Fatalf("after step %d: %d prefixes, want %d", i, set.size, len(model))
		}
	}
	if len(model) == 0 {
		t.Fatal("nothing is left to look for")
	}
	for _, p := range some {
		if key := set.key(p); (set.slots[set.find(key)] == key) != model[p] {
			t.Errorf("%s: %t in the model", p, model[p])
		}
	}
}

func BenchmarkPrefixSet(b *testing.B) {
	const n = 500_000
	var all []netip.Prefix
	for i := range n {
		all = append(all, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32))
	}
	for b.Loop() {
		set := newPrefixSet()
		for _, p := range all {
			set.add(p)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/prefix")
}
