package rib

import (
	"cmp"
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
	MED        Reason = "MED"         // another path of the same neighbour AS has a lower MED
	MaxPaths   Reason = "Max Paths"   // as good as the best, but there are enough; the lowest peer addresses stay
)

// Entry is a prefix with all its paths, for people to read.
type Entry struct {
	Prefix netip.Prefix
	Paths  []EntryPath // sorted by peer
}

// EntryPath is a path and what the decision made of it.
type EntryPath struct {
	Peer      netip.Addr
	Path      Path   // its slices are the table's own, not to be changed
	Best      bool   // of the paths in use, the one of the lowest peer address
	Multipath bool   // in use, together with others
	Reason    Reason // why it is not in use
}

// Entries returns the whole table, sorted by prefix.
func (t *Table) Entries() []Entry {
	entries := make([]Entry, 0, len(t.entries))
	for prefix, e := range t.entries {
		entries = append(entries, t.describe(prefix, e))
	}
	slices.SortFunc(entries, func(a, b Entry) int { return a.Prefix.Compare(b.Prefix) })
	return entries
}

// Lookup returns the entry of exactly this prefix.
func (t *Table) Lookup(prefix netip.Prefix) (Entry, bool) {
	e := t.entries[prefix.Masked()]
	if e == nil {
		return Entry{}, false
	}
	return t.describe(prefix.Masked(), e), true
}

func (t *Table) describe(prefix netip.Prefix, e *entry) Entry {
	d := Entry{Prefix: prefix, Paths: make([]EntryPath, len(e.paths))}
	reasons := t.judge(prefix, e.paths)
	best := slices.Index(reasons, "")
	for i, p := range e.paths {
		used := reasons[i] == ""
		d.Paths[i] = EntryPath{Peer: p.peer, Path: p.path, Reason: reasons[i], Best: i == best, Multipath: used && len(e.nextHops) > 1}
	}
	return d
}

// nextHops appends the peers of the paths to use.
func (t *Table) nextHops(used []netip.Addr, prefix netip.Prefix, e *entry) []netip.Addr {
	for i, reason := range t.judge(prefix, e.paths) {
		if reason == "" {
			used = append(used, e.paths[i].peer)
		}
	}
	return used
}

// judge returns for each path why it is not used. Each step of RFC 4271 section 9.1.2.2 takes out what is worse than the
// best of those that are left, so the order of the paths does not matter. What is left after the MED is used together
// (FRR: bestpath as-path multipath-relax): all leaves are external, and a next hop on a link has no cost to compare.
//
// The result is valid until the next call.
func (t *Table) judge(prefix netip.Prefix, paths []peerPath) []Reason {
	t.reasons = append(t.reasons[:0], make([]Reason, len(paths))...)
	reasons := t.reasons
	if t.originated[prefix] {
		for i := range reasons {
			reasons[i] = Originated
		}
		return reasons
	}
	rank(paths, reasons, LocalPref, func(p Path) uint32 { return ^p.LocalPref })
	rank(paths, reasons, ASPath, func(p Path) int { return p.Length })
	rank(paths, reasons, Origin, func(p Path) uint8 { return p.Origin })
	rankMED(paths, reasons)
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
func rank[V cmp.Ordered](paths []peerPath, reasons []Reason, step Reason, value func(Path) V) {
	var lowest V
	first := true
	for i, p := range paths {
		if reasons[i] == "" && (first || value(p.path) < lowest) {
			lowest, first = value(p.path), false
		}
	}
	for i, p := range paths {
		if reasons[i] == "" && value(p.path) > lowest {
			reasons[i] = step
		}
	}
}

// rankMED takes out the paths with a higher MED than another one of the same neighbour AS, as RFC 4271 section 9.1.2.2 (c)
// spells it out.
func rankMED(paths []peerPath, reasons []Reason) {
	for i, m := range paths {
		for j, n := range paths {
			if reasons[i] == "" && reasons[j] == "" && m.path.neighborAS() == n.path.neighborAS() && n.path.MED < m.path.MED {
				reasons[i] = MED
			}
		}
	}
}

// neighborAS is the AS that the path came from; 0 for one that begins inside the peer's own AS.
func (p Path) neighborAS() uint32 {
	if len(p.ASPath) == 0 {
		return 0
	}
	return p.ASPath[0]
}
