package kernel

import (
	"encoding/binary"
	"iter"
	"net/netip"
)

// prefixMap is a map from prefixes in a third of the memory that one with netip.Prefix as its key takes, and without
// pointers in the keys for the garbage collector to follow.
type prefixMap[V any] struct {
	v4 map[uint64]V   // the address, then the length in the last byte
	v6 map[[17]byte]V // the address, then the length
}

func newPrefixMap[V any]() prefixMap[V] {
	return prefixMap[V]{make(map[uint64]V), make(map[[17]byte]V)}
}

func key4(p netip.Prefix) uint64 {
	addr := p.Addr().As4()
	return uint64(binary.BigEndian.Uint32(addr[:]))<<8 | uint64(uint8(p.Bits()))
}

func key6(p netip.Prefix) [17]byte {
	k := [17]byte{16: uint8(p.Bits())}
	addr := p.Addr().As16()
	copy(k[:], addr[:])
	return k
}

// get returns the value of exactly this prefix.
func (m *prefixMap[V]) get(p netip.Prefix) (v V, ok bool) {
	if p.Addr().Is4() {
		v, ok = m.v4[key4(p)]
	} else {
		v, ok = m.v6[key6(p)]
	}
	return v, ok
}

// at is get where a missing value is like the zero one.
func (m *prefixMap[V]) at(p netip.Prefix) V {
	v, _ := m.get(p)
	return v
}

func (m *prefixMap[V]) set(p netip.Prefix, v V) {
	if p.Addr().Is4() {
		m.v4[key4(p)] = v
	} else {
		m.v6[key6(p)] = v
	}
}

func (m *prefixMap[V]) delete(p netip.Prefix) {
	if p.Addr().Is4() {
		delete(m.v4, key4(p))
	} else {
		delete(m.v6, key6(p))
	}
}

func (m *prefixMap[V]) len() int { return len(m.v4) + len(m.v6) }

func (m *prefixMap[V]) clear() {
	clear(m.v4)
	clear(m.v6)
}

// all goes through the prefixes in no order. What is deleted meanwhile is not gone through, as with any map.
func (m *prefixMap[V]) all() iter.Seq2[netip.Prefix, V] {
	return func(yield func(netip.Prefix, V) bool) {
		for k, v := range m.v4 {
			addr := netip.AddrFrom4([4]byte{byte(k >> 32), byte(k >> 24), byte(k >> 16), byte(k >> 8)})
			if !yield(netip.PrefixFrom(addr, int(uint8(k))), v) {
				return
			}
		}
		for k, v := range m.v6 {
			if !yield(netip.PrefixFrom(netip.AddrFrom16([16]byte(k[:16])), int(k[16])), v) {
				return
			}
		}
	}
}
