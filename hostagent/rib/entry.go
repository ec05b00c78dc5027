package rib

import (
	"iter"
	"net/netip"
	"slices"
)

// Entry is a prefix with all its paths, for people to read.
type Entry struct {
	Prefix     netip.Prefix
	Originated bool        // we announce it ourselves; no path is used
	Paths      []EntryPath // sorted by peer
	Selection  Reason      // by which the best path won over the last of the others; empty if none is used
}

// EntryPath is a path and what the decision made of it.
type EntryPath struct {
	Peer      netip.Addr
	Path      Path   // as the import policy left it
	Best      bool   // of the paths in use, the one of the lowest peer address
	Multipath bool   // in use, together with others
	Reason    Reason // why it is not in use; empty if it is
}

// Lookup returns the entry of exactly this prefix: one that a leaf announces and the policy accepts, or we do.
func (t *Table) Lookup(prefix netip.Prefix) (Entry, bool) {
	e := Entry{Prefix: prefix.Masked()}
	var s *set
	switch {
	case !prefix.IsValid():
	case e.Prefix.Addr().Is4():
		k := key4Of(e.Prefix)
		s, e.Originated = t.v4.entries[k], t.v4.originated[k]
	default:
		k := key6Of(e.Prefix)
		s, e.Originated = t.v6.entries[k], t.v6.originated[k]
	}
	if s == nil {
		return e, e.Originated
	}
	t.describe(s, &e)
	return e, true
}

// Match returns the entry of the longest prefix that has the address in it.
func (t *Table) Match(addr netip.Addr) (Entry, bool) {
	for bits := addr.BitLen(); bits >= 0; bits-- {
		prefix, err := addr.Prefix(bits)
		if err != nil {
			break
		}
		if e, found := t.Lookup(prefix); found {
			return e, true
		}
	}
	return Entry{}, false
}

// describe adds the paths of a set to the entry.
func (t *Table) describe(s *set, e *Entry) {
	candidates := t.candidates(s)
	reasons := t.judge(candidates)
	best := slices.Index(reasons, "")
	e.Paths = make([]EntryPath, len(candidates))
	for i, c := range candidates {
		p := &e.Paths[i]
		p.Peer, p.Path, p.Reason = c.peer.Addr, c.encoded.path(), reasons[i]
		p.Best = i == best
		p.Multipath = reasons[i] == "" && len(s.use.addrs) > 1
	}
	e.Selection = selection(reasons)
	if !e.Originated {
		return
	}
	for i := range e.Paths {
		e.Paths[i].Best, e.Paths[i].Multipath, e.Paths[i].Reason = false, false, Originated
	}
	e.Selection = ""
}

// selection returns the last step that took a path out, or what stands for it where none did.
func selection(reasons []Reason) Reason {
	used := 0
	for _, r := range reasons {
		if r == "" {
			used++
		}
	}
	if used > 1 || slices.Contains(reasons, MaxPaths) {
		return NeighborIP
	}
	for _, step := range [...]Reason{MED, Origin, ASPath, LocalPref, Returning} {
		if slices.Contains(reasons, step) {
			return step
		}
	}
	return OnlyPath
}

// Prefixes are the prefixes that a table had at a time. They belong to whoever asked for them.
type Prefixes struct {
	v4 []key4
	v6 []key6
}

// Prefixes returns the prefixes that leaves announce. It takes 8 bytes for an IPv4 prefix, 17 for an IPv6 one; the work of
// sorting them is left to All.
func (t *Table) Prefixes() Prefixes {
	return Prefixes{keys(t.v4.entries, t.config.Heed), keys(t.v6.entries, t.config.Heed)}
}

func keys[K key[K]](entries map[K]*set, heed func(steps int)) []K {
	all := make([]K, 0, len(entries))
	for k := range entries {
		if all = append(all, k); len(all)%part == 0 {
			heed(part)
		}
	}
	return all
}

// All goes through them in order, the IPv4 ones first.
func (p Prefixes) All() iter.Seq[netip.Prefix] {
	return func(yield func(netip.Prefix) bool) {
		_ = inOrder(p.v4, yield) && inOrder(p.v6, yield)
	}
}

func inOrder[K key[K]](keys []K, yield func(netip.Prefix) bool) bool {
	slices.SortFunc(keys, K.compare)
	for _, k := range keys {
		if !yield(k.prefix()) {
			return false
		}
	}
	return true
}
