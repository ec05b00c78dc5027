package rib

import (
	"net/netip"
	"slices"
)

// Stale keeps all paths of a peer whose session has ended for a restart (RFC 4724 section 4.2), until Sweep, or until the
// peer says something else of their prefix. Paths that were stale already are swept: their peer has failed to say them again.
// It returns the prefixes whose next hops changed.
//
// No path is touched: the peer goes on under another number, and the stale paths are those under its old one.
func (t *Table) Stale(addr netip.Addr) Changes {
	p := t.peers[addr]
	if p == nil {
		return Changes{}
	}
	changes := t.Sweep(addr)
	old := *p
	p.stale, t.numbers[p.number] = &old, &old
	p.Looped, p.Rejected = 0, 0
	p.number = t.number()
	t.numbers[p.number] = p
	return changes
}

// Sweep forgets the paths of a peer that are still stale, and returns the prefixes whose next hops changed.
func (t *Table) Sweep(addr netip.Addr) Changes {
	p := t.peers[addr]
	if p == nil || p.stale == nil {
		return Changes{}
	}
	p.Prefixes -= t.vacate(p.stale.number)
	p.stale = nil
	return t.finish()
}

// number returns one that no peer has.
func (t *Table) number() uint64 {
	free := slices.Index(t.numbers, nil)
	if free < 0 {
		free = len(t.numbers)
		t.numbers = append(t.numbers, nil)
	}
	return uint64(free)
}

// vacate forgets all paths under these numbers, of which no set has more than one, and returns how many prefixes had one.
func (t *Table) vacate(numbers ...uint64) (prefixes int) {
	var orphans []*set
	for _, s := range t.sets {
		t.config.Heed(1)
		if slices.ContainsFunc(numbers, s.has) {
			orphans = append(orphans, s)
		}
	}
	for _, s := range orphans {
		t.config.Heed(1)
		prefixes += s.prefixes
		number := numbers[slices.IndexFunc(numbers, s.has)]
		if s.heir = t.with(s, number, nil); s.heir != nil {
			s.heir.prefixes += s.prefixes
		}
		s.prefixes = 0
	}
	t.v4.inherit(prefixes)
	t.v6.inherit(prefixes)
	for _, s := range orphans {
		t.config.Heed(1)
		t.forget(s)
	}
	for _, number := range numbers {
		t.numbers[number] = nil
	}
	return prefixes
}

// freshen returns the set that s becomes when the peer's path in it is the given one, or none if that is empty, and
// whatever it said before its restart is forgotten.
func (t *Table) freshen(p *peer, s *set, path []byte) *set {
	if !s.has(p.stale.number) {
		return t.with(s, p.number, path)
	}
	without := t.with(s, p.stale.number, nil)
	to := t.with(without, p.number, path)
	if without != nil && without != to && without.prefixes == 0 {
		t.forget(without) // it was on the way only
	}
	return to
}
