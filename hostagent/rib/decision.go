package rib

import (
	"math"
	"slices"
)

// Reason is a step of the decision, in FRR's words where it has some.
type Reason string

// The steps of the decision, in the order they are taken. A path that is not used has the one that took it out.
const (
	Originated Reason = "Local Route" // we announce the prefix ourselves
	Returning  Reason = "Returning"   // the peer is held, see [Table.SetHold]
	LocalPref  Reason = "Local Pref"  // another path has a higher local preference
	ASPath     Reason = "AS Path"     // another path is shorter
	Origin     Reason = "Origin"      // another path has a lower origin
	MED        Reason = "MED"         // another path has a lower MED: of the same neighbour AS, or of any if Config says so
	MaxPaths   Reason = "Max Paths"   // as good as the best, but there are enough; the lowest peer addresses stay
)

// What else can make a path the best.
const (
	OnlyPath   Reason = "First path received" // there is no other
	NeighborIP Reason = "Neighbor IP"         // of those in use, that of the lowest peer address is called the best
)

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
	from                           uint64 // the neighbour AS, whose paths' MEDs compare; see neighbour
}

// candidates returns the paths of a set, sorted by the peer's address. The result is valid until the next call.
func (t *Table) candidates(s *set) []candidate {
	list := t.judged[:0]
	for r := reader(s.paths); len(r) > 0; {
		number, path, _ := r.member()
		c := candidate{peer: t.numbers[number], encoded: path}
		c.localPref, c.length, c.origin, c.med = path.uvarint(), path.uvarint(), path.uvarint(), path.uvarint()
		c.from = neighbour(path, number)
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b candidate) int { return a.peer.Addr.Compare(b.peer.Addr) })
	t.judged = list
	return list
}

// neighbour returns what stands for the AS that a path comes from, of which the rest is given: its first AS, 0 if it has
// none. A path that begins with a set does not tell; its MED compares with no other, as in FRR.
func neighbour(path reader, peer uint64) uint64 {
	first := ^uint64(0) // where the first set begins
	for i := range path.uvarint() {
		from, _ := path.uvarint(), path.uvarint()
		if i == 0 {
			first = from
		}
	}
	switch {
	case first == 0:
		return 1<<32 + peer
	case path.uvarint() > 0:
		return path.uvarint()
	}
	return 0
}

// judge returns for each path why it is not used. Each step of RFC 4271 section 9.1.2.2 takes out what is worse than the
// best of those that are left, so the order of the paths does not matter. What is left after the MED is used together
// (FRR: bestpath as-path multipath-relax): all leaves are external, and a next hop on a link has no cost to compare.
//
// The result is valid until the next call.
func (t *Table) judge(paths []candidate) []Reason {
	t.reasons = append(t.reasons[:0], make([]Reason, len(paths))...)
	reasons := t.reasons
	holdBack(paths, reasons)
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
