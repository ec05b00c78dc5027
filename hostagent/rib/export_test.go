package rib

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
)

// Leaks says what the table keeps that no prefix and no peer needs, or has counted wrongly; nil if nothing.
func (t *Table) Leaks() error {
	prefixes, users, counts := make(map[*set]int), make(map[*nextHops]int), make([]int, len(t.numbers))
	for _, s := range t.v4.entries {
		prefixes[s]++
	}
	for _, s := range t.v6.entries {
		prefixes[s]++
	}
	for s, n := range prefixes {
		if t.sets[s.paths] != s || s.prefixes != n {
			return fmt.Errorf("set %x of %d prefixes is counted %d times", s.paths, n, s.prefixes)
		}
		users[s.use]++
		for r := reader(s.paths); len(r) > 0; {
			number, _, _ := r.member()
			counts[number] += n
		}
	}
	for use, n := range users {
		if t.hops[use.id] != use || use.sets != n {
			return fmt.Errorf("next hops %v of %d sets are counted %d times", use.addrs, n, use.sets)
		}
	}
	for number, p := range t.numbers {
		if p == nil && counts[number] == 0 {
			continue
		}
		if p == nil || t.peers[p.Addr] == nil {
			return fmt.Errorf("number %d of no peer has %d prefixes", number, counts[number])
		}
		n, of := counts[number], t.peers[p.Addr]
		if p == of.stale {
			continue // it counts with the other
		}
		if of.stale != nil {
			n += counts[of.stale.number]
		}
		if p != of || n != p.Prefixes {
			return fmt.Errorf("peer %d is %+v with %d prefixes", number, p, counts[number])
		}
	}
	if len(t.sets) != len(prefixes) || len(t.hops) != len(users) {
		return fmt.Errorf("%d sets, %d needed; %d next hops, %d needed", len(t.sets), len(prefixes), len(t.hops), len(users))
	}
	if n := len(t.said) + len(t.paths) + len(t.v4.changed) + len(t.v6.changed) + len(t.v4.claims) + len(t.v6.claims); n > 0 {
		return fmt.Errorf("%d left of the last call", n)
	}
	return nil
}

// Entries returns the whole table, sorted by prefix.
func (t *Table) Entries() []Entry {
	var all []Entry
	for prefix := range t.Prefixes().All() {
		e, _ := t.Lookup(prefix)
		all = append(all, e)
	}
	return all
}

// SortRandom sorts many random prefixes twice, as the table does and by netip's word, and says where they differ. Half of
// the items are of prefixes that come more than once.
func SortRandom(random *rand.Rand, size int) error {
	items4, items6 := make([]item[key4, int], size), make([]item[key6, int], size)
	for i := range size {
		var addr [16]byte
		copy(addr[:], []byte{0x20, byte(random.IntN(3)), 15: byte(random.Uint32())})
		copy(addr[random.IntN(13):], []byte{byte(random.IntN(2)), byte(random.Uint32()), byte(random.Uint32())})
		items4[i] = item[key4, int]{i, key4Of(netip.PrefixFrom(netip.AddrFrom4([4]byte(addr[12:])), random.IntN(33)).Masked())}
		items6[i] = item[key6, int]{i, key6Of(netip.PrefixFrom(netip.AddrFrom16(addr), random.IntN(129)).Masked())}
	}
	return cmp.Or(compareSorts(items4), compareSorts(items6))
}

func compareSorts[K key[K]](items []item[K, int]) error {
	want := slices.Clone(items)
	slices.SortFunc(want, func(a, b item[K, int]) int {
		return cmp.Or(a.key.prefix().Compare(b.key.prefix()), cmp.Compare(a.value, b.value))
	})
	got := sorted(items, nil, func(int) {})
	for i := range want {
		if want[i] != got[i] {
			return fmt.Errorf("at %d of %d is %v (%d), want %v (%d)", i, len(want), got[i].key.prefix(), got[i].value, want[i].key.prefix(), want[i].value)
		}
	}
	return nil
}
