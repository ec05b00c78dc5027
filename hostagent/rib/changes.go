package rib

import (
	"iter"
	"net/netip"
)

// Change is a prefix and its next hops. It is not a type of its own, so that a whole table of them is an order to the kernel
// as it is.
type Change = struct {
	Prefix   netip.Prefix
	NextHops []netip.Addr // the peers to use, sorted; empty: no route any more. Shared and never changed, nor to be changed
}

// Changes are prefixes whose next hops changed, in order, each once. They are 8 bytes for an IPv4 prefix, 17 for an IPv6 one,
// and belong to whoever has them. A prefix has the next hops that it has when it is gone through: so they can be dealt with
// part by part, and what the table has learnt since is in them.
type Changes struct {
	table *Table
	v4    []mark[key4]
	v6    []mark[key6]
}

// mark is a prefix of which no more is said.
type mark[K key[K]] = item[K, struct{}]

// Len returns how many there are.
func (c Changes) Len() int { return len(c.v4) + len(c.v6) }

// Cut returns the first of them, at most so many, and the rest.
func (c Changes) Cut(most int) (first, rest Changes) {
	n4 := min(most, len(c.v4))
	n6 := min(most-n4, len(c.v6))
	return Changes{c.table, c.v4[:n4], c.v6[:n6]}, Changes{c.table, c.v4[n4:], c.v6[n6:]}
}

// All goes through them. No method of the table may be called meanwhile.
func (c Changes) All() iter.Seq[Change] {
	return func(yield func(Change) bool) {
		if c.Len() > 0 {
			_ = goThrough(c.v4, &c.table.v4, yield) && goThrough(c.v6, &c.table.v6, yield)
		}
	}
}

func goThrough[K key[K]](marks []mark[K], f *family[K], yield func(Change) bool) bool {
	for _, m := range marks {
		if !yield(Change{Prefix: m.key.prefix(), NextHops: f.nextHops(m.key).addresses()}) {
			return false
		}
	}
	return true
}

// nextHops returns those that are in use for a prefix, nil if none are.
func (f *family[K]) nextHops(k K) *nextHops {
	if len(f.originated) > 0 && f.originated[k] {
		return nil
	}
	return f.entries[k].nextHops()
}

// note notes that the next hops of a prefix changed.
func (f *family[K]) note(k K) { f.changed = append(f.changed, mark[K]{key: k}) }

// ordered returns what has been noted since the last time, in order.
func (f *family[K]) ordered() []mark[K] {
	changed := f.changed
	f.changed = nil
	return sorted(changed, nil, f.heed)
}
