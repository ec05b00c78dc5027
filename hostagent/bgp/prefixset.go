package bgp

import (
	"hash/maphash"
	"net/netip"
)

// prefixSet is a set of prefixes as good as one can be that holds 64 bits of
// each: one that is full to the limit of a million knows two prefixes for the
// same with a chance of one in thirty million. A map of Go's would take four
// times the memory and of the prefixes themselves eight times.
type prefixSet struct {
	slots []uint64 // open addressing, linear probing; 0 is a free slot
	size  int
	seed  maphash.Seed // so that nobody can choose prefixes that collide
}

func newPrefixSet() *prefixSet {
	return &prefixSet{slots: make([]uint64, 64), seed: maphash.MakeSeed()}
}

// key is never 0.
func (s *prefixSet) key(p netip.Prefix) uint64 {
	var b [17]byte // an IPv4 address is inside ::ffff:0:0/96, where IPv6 prefixes of up to 32 bits are not
	a := p.Addr().As16()
	copy(b[:], a[:])
	b[16] = byte(p.Bits())
	return max(maphash.Bytes(s.seed, b[:]), 1)
}

// find returns the slot of a key, or the free one where it belongs.
func (s *prefixSet) find(key uint64) int {
	mask := len(s.slots) - 1
	i := int(key) & mask
	for s.slots[i] != 0 && s.slots[i] != key {
		i = (i + 1) & mask
	}
	return i
}

func (s *prefixSet) add(p netip.Prefix) {
	key := s.key(p)
	i := s.find(key)
	if s.slots[i] == key {
		return
	}
	s.slots[i] = key
	if s.size++; s.size*4 > len(s.slots)*3 {
		s.grow()
	}
}

func (s *prefixSet) grow() {
	old := s.slots
	s.slots = make([]uint64, 2*len(old))
	for _, key := range old {
		if key != 0 {
			s.slots[s.find(key)] = key
		}
	}
}

func (s *prefixSet) remove(p netip.Prefix) {
	key := s.key(p)
	free := s.find(key)
	if s.slots[free] != key {
		return
	}
	s.size--
	// Those behind it move up, as far as they still can be found.
	mask := len(s.slots) - 1
	for i := (free + 1) & mask; s.slots[i] != 0; i = (i + 1) & mask {
		home := int(s.slots[i]) & mask
		if (i-home)&mask >= (i-free)&mask {
			s.slots[free], free = s.slots[i], i
		}
	}
	s.slots[free] = 0
}
