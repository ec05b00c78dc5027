package rib

import "slices"

// family is the part of a table with the prefixes of one address family.
type family[K key[K]] struct {
	entries    map[K]*set
	heed       func(steps int) // see Config
	peak       int             // of entries, for fit
	originated map[K]bool      // what we announce ourselves
	claims     []item[K, int]  // what the peer says in the present update, by its place in Table.said
	room       []item[K, int]  // for sorting them
	changed    []mark[K]       // what the present call returns
}

// statement is what a peer says of the prefixes of one path in an update: the path, encoded, or nothing for a withdrawal.
type statement struct {
	path []byte
	last move // the one it made last: most prefixes come from the same set
}

// move is what a statement makes of a prefix.
type move struct {
	from, to *set
	gain     int // of prefixes by the peer: -1, 0, 1
	known    bool
}

// settle makes the claims of the peer true, the last one of each prefix.
func (f *family[K]) settle(t *Table, p *peer) {
	f.room = slices.Grow(f.room[:0], len(f.claims))[:len(f.claims)]
	claims := sorted(f.claims, f.room, f.heed)
	for i, c := range claims {
		if i+1 < len(claims) && claims[i+1].key == c.key {
			continue
		}
		from, said := f.entries[c.key], &t.said[c.value]
		if !said.last.known || said.last.from != from {
			said.last = t.plan(p, from, said.path)
		}
		f.carry(t, c.key, said.last)
		p.Prefixes += said.last.gain
	}
	f.claims, f.room = reuse(f.claims)[:0], reuse(f.room)
	f.entries = fit(f.entries, &f.peak, f.heed)
}

// carry makes one prefix's move.
func (f *family[K]) carry(t *Table, k K, m move) {
	if m.from == m.to {
		return
	}
	if m.to == nil {
		delete(f.entries, k)
	} else {
		m.to.prefixes++
		f.entries[k] = m.to
	}
	if m.from.nextHops() != m.to.nextHops() && !f.originated[k] {
		f.note(k)
	}
	if m.from == nil {
		return
	}
	if m.from.prefixes--; m.from.prefixes == 0 {
		t.forget(m.from)
	}
}

// routes notes the prefixes that have next hops.
func (f *family[K]) routes() {
	f.changed = make([]mark[K], 0, len(f.entries)) // rather than moved again and again
	for k := range f.entries {
		f.heed(1)
		if len(f.nextHops(k).addresses()) > 0 {
			f.note(k)
		}
	}
}

// inherit gives the prefixes of all sets that no prefix is counted for any more, of which there are at most so many, to the
// heirs of these sets.
func (f *family[K]) inherit(most int) {
	f.changed = make([]mark[K], 0, min(most, len(f.entries)))
	for k, s := range f.entries {
		f.heed(1)
		if s.prefixes > 0 {
			continue
		}
		if s.heir == nil {
			delete(f.entries, k)
		} else {
			f.entries[k] = s.heir
		}
		if s.heir.nextHops() != s.use && !f.originated[k] {
			f.note(k)
		}
	}
	f.entries = fit(f.entries, &f.peak, f.heed)
}

// originate makes these the prefixes that we announce ourselves.
func (f *family[K]) originate(now map[K]bool) {
	for k := range now {
		if f.entries[k] != nil && !f.originated[k] {
			f.note(k)
		}
	}
	for k := range f.originated {
		if f.entries[k] != nil && !now[k] {
			f.note(k)
		}
	}
	f.originated = now
}

// plan says what becomes of a prefix with this set of paths when the peer's path is the given one, or none if it is empty.
func (t *Table) plan(p *peer, from *set, path []byte) move {
	m := move{from: from, known: true}
	had := from.has(p.number)
	if p.stale == nil {
		m.to = t.with(from, p.number, path)
	} else {
		m.to = t.freshen(p, from, path)
		had = had || from.has(p.stale.number)
	}
	if had {
		m.gain--
	}
	if m.to.has(p.number) {
		m.gain++
	}
	return m
}

// mostKept is how many elements of room are kept for the next update.
const mostKept = 1 << 13

// reuse returns s if it is not too large to be kept.
func reuse[E any](s []E) []E {
	if cap(s) > mostKept {
		return nil
	}
	return s
}

// fit returns m, or a smaller map with the same content when less than a quarter is left of its peak: a map does not
// give back room by itself.
func fit[K comparable, V any](m map[K]V, peak *int, heed func(steps int)) map[K]V {
	*peak = max(*peak, len(m))
	if *peak < mostKept || len(m) > *peak/4 {
		return m
	}
	*peak = len(m)
	small := make(map[K]V, len(m))
	for k, v := range m {
		heed(1)
		small[k] = v
	}
	return small
}
