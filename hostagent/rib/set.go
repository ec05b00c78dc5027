package rib

import (
	"encoding/binary"
	"net/netip"
)

// set is the paths to a prefix, one a peer. All prefixes with the same paths share one: the leaves of a fabric say the same
// of many, so there are far fewer sets than prefixes, and each is judged once.
type set struct {
	paths    string // see appendPath; one follows the other, the peers' numbers ascend
	use      *nextHops
	prefixes int  // that have this set
	heir     *set // while a peer is dropped: what takes this set's place, nil for nothing
}

// nextHops is shared by all sets that use the same peers, so that it is the same where it is equal.
type nextHops struct {
	id    string       // peer.hop of each
	addrs []netip.Addr // of the peers, sorted
	sets  int          // that use it
}

// appendMember appends a peer's path to a set.
func appendMember(b []byte, number uint64, path []byte) []byte {
	b = binary.AppendUvarint(b, number)
	b = binary.AppendUvarint(b, uint64(len(path)))
	return append(b, path...)
}

// reader reads what appendMember or appendPath wrote.
type reader string

func (r *reader) uvarint() uint64 {
	var v uint64
	for i := range len(*r) {
		c := (*r)[i]
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			*r = (*r)[i+1:]
			break
		}
	}
	return v
}

// member reads the next peer's number and path; whole is both as they are written.
func (r *reader) member() (number uint64, path, whole reader) {
	before := *r
	number = r.uvarint()
	length := r.uvarint()
	path, *r = (*r)[:length], (*r)[length:]
	return number, path, before[:len(before)-len(*r)]
}

// has reports whether the peer has a path in the set.
func (s *set) has(peer uint64) bool {
	if s == nil {
		return false
	}
	for r := reader(s.paths); len(r) > 0; {
		if number, _, _ := r.member(); number == peer {
			return true
		}
	}
	return false
}

func (s *set) nextHops() *nextHops {
	if s == nil {
		return nil
	}
	return s.use
}

func (n *nextHops) addresses() []netip.Addr {
	if n == nil {
		return nil
	}
	return n.addrs
}

// with returns the set that s becomes when the peer's path in it is the given one, or none if that is empty; nil for a set
// of no paths.
func (t *Table) with(s *set, peer uint64, path []byte) *set {
	b := t.room[:0]
	placed := len(path) == 0
	if s != nil {
		for r := reader(s.paths); len(r) > 0; {
			number, _, whole := r.member()
			if !placed && number >= peer {
				b, placed = appendMember(b, peer, path), true
			}
			if number != peer {
				b = append(b, whole...)
			}
		}
	}
	if !placed {
		b = appendMember(b, peer, path)
	}
	t.room = b
	if len(b) == 0 {
		return nil
	}
	if known := t.sets[string(b)]; known != nil {
		return known
	}
	fresh := &set{paths: string(b)}
	fresh.use = t.share(t.choose(fresh))
	fresh.use.sets++
	t.sets[fresh.paths] = fresh
	return fresh
}

// share returns the next hops of these peers.
func (t *Table) share(used []*peer) *nextHops {
	b := t.room[:0]
	for _, p := range used {
		b = binary.AppendUvarint(b, p.hop)
	}
	t.room = b
	if known := t.hops[string(b)]; known != nil {
		return known
	}
	fresh := &nextHops{id: string(b), addrs: make([]netip.Addr, len(used))}
	for i, p := range used {
		fresh.addrs[i] = p.Addr
	}
	t.hops[fresh.id] = fresh
	return fresh
}

// forget gives back a set that no prefix has.
func (t *Table) forget(s *set) {
	delete(t.sets, s.paths)
	if s.use.sets--; s.use.sets == 0 {
		delete(t.hops, s.use.id)
	}
}

// peer returns the peer of this address, a new one if need be.
func (t *Table) peer(addr netip.Addr) *peer {
	if p := t.peers[addr]; p != nil {
		return p
	}
	t.lastHop++
	p := &peer{Peer: Peer{Addr: addr}, number: t.number(), hop: t.lastHop, rules: rulesFor(t.config.Import, addr.Zone())}
	t.peers[addr], t.numbers[p.number] = p, p
	return p
}
