package rib

import (
	"math"
	"net/netip"
	"slices"
)

// Reason says why a path is not used, in FRR's words where it has some; empty for a path that is used.
type Reason string

// The steps of the decision, in the order they are taken.
const (
	Originated Reason = "Local Route" // we announce the prefix ourselves
	LocalPref  Reason = "Local Pref"  // another path has a higher local preference
	ASPath     Reason = "AS Path"     // another path is shorter
	Origin     Reason = "Origin"      // another path has a lower origin
	MED        Reason = "MED"         // another path has a lower MED: of the same neighbour AS, or of any if Config says so
	MaxPaths   Reason = "Max Paths"   // as good as the best, but there are enough; the lowest peer addresses stay
)

// Entry is a prefix with all its paths, for people to read.
type Entry struct {
	Prefix netip.Prefix
	Paths  []EntryPath // sorted by peer; may be shared with other entries, not to be changed
}

// EntryPath is a path and what the decision made of it.
type EntryPath struct {
	Peer      netip.Addr
	Path      Path   // as the import policy left it
	Best      bool   // of the paths in use, the one of the lowest peer address
	Multipath bool   // in use, together with others
	Reason    Reason // why it is not in use
}

// Entries returns the whole table, sorted by prefix.
func (t *Table) Entries() []Entry {
	entries := make([]Entry, 0, len(t.v4.entries)+len(t.v6.entries))
	known := make(map[*set][]EntryPath, len(t.sets))
	describe := func(s *set) []EntryPath {
		if known[s] == nil {
			known[s] = t.describe(s)
		}
		return known[s]
	}
	entries = t.v4.list(entries, describe)
	return t.v6.list(entries, describe)
}

// list appends the family's entries.
func (f *family[K]) list(entries []Entry, describe func(*set) []EntryPath) []Entry {
	all := make([]item[K, *set], 0, len(f.entries))
	for k, s := range f.entries {
		all = append(all, item[K, *set]{k, s})
	}
	for _, e := range sorted(all, make([]item[K, *set], len(all))) {
		paths := describe(e.value)
		if f.originated[e.key] {
			paths = unused(paths)
		}
		entries = append(entries, Entry{Prefix: e.key.prefix(), Paths: paths})
	}
	return entries
}

// Lookup returns the entry of exactly this prefix.
func (t *Table) Lookup(prefix netip.Prefix) (Entry, bool) {
	e := Entry{Prefix: prefix.Masked()}
	var s *set
	var originated bool
	if e.Prefix.Addr().Is4() {
		k := key4Of(e.Prefix)
		s, originated = t.v4.entries[k], t.v4.originated[k]
	} else {
		k := key6Of(e.Prefix)
		s, originated = t.v6.entries[k], t.v6.originated[k]
	}
	if s == nil {
		return Entry{}, false
	}
	e.Paths = t.describe(s)
	if originated {
		e.Paths = unused(e.Paths)
	}
	return e, true
}

// unused returns the paths as they are to a prefix that we announce ourselves.
func unused(paths []EntryPath) []EntryPath {
	paths = slices.Clone(paths)
	for i := range paths {
		paths[i].Best, paths[i].Multipath, paths[i].Reason = false, false, Originated
	}
	return paths
}

// describe returns the paths of a set as they are to a prefix that we do not announce.
func (t *Table) describe(s *set) []EntryPath {
	candidates := t.candidates(s)
	reasons := t.judge(candidates)
	best := slices.Index(reasons, "")
	paths := make([]EntryPath, len(candidates))
	for i, c := range candidates {
		together := reasons[i] == "" && len(s.use.addrs) > 1
		paths[i] = EntryPath{Peer: c.peer.Addr, Path: c.encoded.path(), Best: i == best, Multipath: together, Reason: reasons[i]}
	}
	return paths
}

// choose returns the peers of the paths to use, sorted by address. The result is valid until the next call.
func (t *Table) choose(s *set) []*peer {
	candidates := t.candidates(s)
	used := t.used[:0]
	for i, reason := range t.judge(candidates) {
		if reason == "" {
			used = append(used, candidates[i].peer)
		}
	}
	t.used = used
	return used
}

// candidate is a path, and what the decision compares of it.
type candidate struct {
	peer                           *peer
	encoded                        reader
	localPref, length, origin, med uint64
	from                           uint64 // the neighbour AS; 0 for a path that begins inside it
}

// candidates returns the paths of a set, sorted by the peer's address. The result is valid until the next call.
func (t *Table) candidates(s *set) []candidate {
	list := t.judged[:0]
	for r := reader(s.paths); len(r) > 0; {
		number, path, _ := r.member()
		c := candidate{peer: t.numbers[number], encoded: path}
		c.localPref, c.length, c.origin, c.med = path.uvarint(), path.uvarint(), path.uvarint(), path.uvarint()
		if path.uvarint() > 0 {
			c.from = path.uvarint()
		}
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b candidate) int { return a.peer.Addr.Compare(b.peer.Addr) })
	t.judged = list
	return list
}

// judge returns for each path why it is not used. Each step of RFC 4271 section 9.1.2.2 takes out what is worse than the
// best of those that are left, so the order of the paths does not matter. What is left after the MED is used together
// (FRR: bestpath as-path multipath-relax): all leaves are external, and a next hop on a link has no cost to compare.
//
// The result is valid until the next call.
func (t *Table) judge(paths []candidate) []Reason {
	t.reasons = append(t.reasons[:0], make([]Reason, len(paths))...)
	reasons := t.reasons
	rank(paths, reasons, LocalPref, func(c *candidate) uint64 { return ^c.localPref })
	rank(paths, reasons, ASPath, func(c *candidate) uint64 { return c.length })
	rank(paths, reasons, Origin, func(c *candidate) uint64 { return c.origin })
	if t.config.AlwaysCompareMED {
		rank(paths, reasons, MED, func(c *candidate) uint64 { return c.med })
	} else {
		rankMED(paths, reasons)
	}
	used := 0
	for i := range reasons {
		if reasons[i] != "" {
			continue
		}
		if used++; used > t.config.MaxPaths {
			reasons[i] = MaxPaths
		}
	}
	return reasons
}

// rank takes out the paths whose value is not the lowest.
func rank(paths []candidate, reasons []Reason, step Reason, value func(*candidate) uint64) {
	lowest := uint64(math.MaxUint64)
	for i := range paths {
		if reasons[i] == "" {
			lowest = min(lowest, value(&paths[i]))
		}
	}
	for i := range paths {
		if reasons[i] == "" && value(&paths[i]) > lowest {
			reasons[i] = step
		}
	}
}

// rankMED takes out the paths with a higher MED than another one of the same neighbour AS, as RFC 4271 section 9.1.2.2 (c)
// spells it out.
func rankMED(paths []candidate, reasons []Reason) {
	for i, m := range paths {
		for j, n := range paths {
			if reasons[i] == "" && reasons[j] == "" && m.from == n.from && n.med < m.med {
				reasons[i] = MED
			}
		}
	}
}
