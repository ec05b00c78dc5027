package rib

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
)

// key is a prefix of one address family as compactly as a map takes it. Keys order as [netip.Prefix.Compare] does.
type key[K any] interface {
	comparable
	compare(K) int
	digits() int
	digit(i int) byte // digit 0 weighs least
	prefix() netip.Prefix
}

// key4 is an IPv4 prefix: the address, then the length in the last byte.
type key4 uint64

func key4Of(p netip.Prefix) key4 {
	addr := p.Addr().As4()
	return key4(binary.BigEndian.Uint32(addr[:]))<<8 | key4(p.Bits())
}

func (k key4) digits() int      { return 5 }
func (k key4) digit(i int) byte { return byte(k >> (8 * i)) }

func (k key4) compare(other key4) int {
	switch {
	case k < other:
		return -1
	case k > other:
		return 1
	}
	return 0
}

func (k key4) prefix() netip.Prefix {
	addr := netip.AddrFrom4([4]byte{byte(k >> 32), byte(k >> 24), byte(k >> 16), byte(k >> 8)})
	return netip.PrefixFrom(addr, int(k&0xff))
}

// key6 is an IPv6 prefix: the address, then the length.
type key6 [17]byte

func key6Of(p netip.Prefix) key6 {
	addr := p.Addr().As16()
	k := key6{16: byte(p.Bits())}
	copy(k[:], addr[:])
	return k
}

func (k key6) digits() int            { return len(k) }
func (k key6) digit(i int) byte       { return k[len(k)-1-i] }
func (k key6) compare(other key6) int { return bytes.Compare(k[:], other[:]) }

func (k key6) prefix() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom16([16]byte(k[:16])), int(k[16]))
}

// item is a value with the prefix it belongs to. The value comes first: one without a size is padded at the end of a struct.
type item[K key[K], V any] struct {
	value V
	key   K
}

// part is how many prefixes are gone through at a time where a call for each would cost as much as that.
const part = 1024

// fewItems is up to how many items comparing them is faster than counting bytes.
const fewItems = 64

// sorted returns the items in the order of their keys; those with the same key keep their order. The items go by way of
// room, which must be as long, or nil to be made if need be: what is returned is one of the two.
//
// It is a radix sort: most digits are the same in all prefixes of a fabric and cost one look, so that half a million of
// them take a fifth of the time of comparing.
func sorted[K key[K], V any](items, room []item[K, V], heed func(steps int)) []item[K, V] {
	byKey := func(a, b item[K, V]) int { return a.key.compare(b.key) }
	if slices.IsSortedFunc(items, byKey) {
		return items
	}
	if len(items) <= fewItems {
		slices.SortStableFunc(items, byKey)
		return items
	}
	if room == nil {
		room = make([]item[K, V], len(items))
	}
	for d := range items[0].key.digits() {
		var next [256]int
		heed(len(items))
		for i := range items {
			next[items[i].key.digit(d)]++
		}
		if next[items[0].key.digit(d)] == len(items) {
			continue
		}
		sum := 0
		for i, n := range next {
			next[i] = sum
			sum += n
		}
		for some := range slices.Chunk(items, part) {
			heed(len(some))
			for i := range some {
				to := &next[some[i].key.digit(d)]
				room[*to] = some[i]
				*to++
			}
		}
		items, room = room, items
	}
	return items
}
