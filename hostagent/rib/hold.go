package rib

import (
	"net/netip"
	"slices"
)

// Hold says how far the paths of a peer are used.
type Hold uint8

// From the least to the most.
const (
	Free   Hold = iota // as the decision has it
	Spare              // only for prefixes of which no peer that is free has a path
	Last               // only for prefixes of which no other peer has a path that is used
	Barred             // not at all
)

// SetHold holds the paths of a peer back, those that it has announced and those that it will, or lets them go again. It
// returns the prefixes whose next hops changed, sorted. The changes are valid until the next call of a method. Drop ends it.
func (t *Table) SetHold(addr netip.Addr, hold Hold) Changes {
	p := t.peers[addr]
	if p == nil && hold == Free {
		return Changes{}
	}
	if p == nil {
		p = t.peer(addr)
	}
	if p.hold == hold {
		return Changes{}
	}
	p.hold = hold
	if p.stale != nil {
		p.stale.hold = hold
	}
	return t.reconsider(p)
}

// Held returns how far the paths of a peer are used.
func (t *Table) Held(addr netip.Addr) Hold {
	if p := t.peers[addr]; p != nil {
		return p.hold
	}
	return Free
}

// Beside says whether any prefix is to use the peer together with others.
func (t *Table) Beside(addr netip.Addr) bool {
	for _, h := range t.hops {
		if len(h.addrs) > 1 && slices.Contains(h.addrs, addr) {
			return true
		}
	}
	return false
}

// reconsider makes the decision anew for all sets that the peer has a path in.
func (t *Table) reconsider(p *peer) Changes {
	changed := make(map[*set]bool)
	for _, s := range t.sets {
		t.config.Heed(1)
		if !s.has(p.number) && (p.stale == nil || !s.has(p.stale.number)) {
			continue
		}
		use := t.share(t.choose(s))
		use.sets++
		before := s.use
		s.use = use
		if before.sets--; before.sets == 0 {
			delete(t.hops, before.id)
		}
		if before != use {
			changed[s] = true
		}
	}
	if len(changed) == 0 {
		return Changes{}
	}
	t.v4.tell(changed)
	t.v6.tell(changed)
	return t.finish()
}

// tell notes the prefixes of sets whose next hops changed.
func (f *family[K]) tell(sets map[*set]bool) {
	for k, s := range f.entries {
		f.heed(1)
		if sets[s] && !f.originated[k] {
			f.note(k)
		}
	}
}

// holdBack takes out the paths of peers that are held more than another.
func holdBack(paths []candidate, reasons []Reason) {
	least := Barred
	for _, c := range paths {
		least = min(least, c.peer.hold)
	}
	for i, c := range paths {
		if c.peer.hold == Barred || c.peer.hold > least {
			reasons[i] = Returning
		}
	}
}
