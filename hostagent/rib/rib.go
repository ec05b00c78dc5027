// Package rib is the table of routes received from the leaves. Paths go in, changed next-hop sets come out: it chooses the
// best path of each prefix (RFC 4271 section 9.1) and every other that is as good, across different neighbour ASes.
//
// It does no I/O, starts no goroutine and has one owner: its methods must not be called at the same time.
package rib

import (
	"net/netip"
	"slices"
)

// DefaultMaxPaths is the limit of next hops for a prefix where [Config] names none.
const DefaultMaxPaths = 64

// Config says how paths are judged.
type Config struct {
	AS        uint32
	AllowASIn int // how often our own AS may stand in a path; servers that share an AS need 1
	MaxPaths  int // next hops of a prefix at most; 0 is DefaultMaxPaths
}

// Path is what a leaf says of a prefix.
type Path struct {
	ASPath    []uint32 // all ASes from left to right, sets and confederation segments included: for the loop check and for show
	Length    int      // as RFC 4271 section 9.1.2.2 (a) counts: a set is one, confederation segments are none
	Origin    uint8    // 0 IGP, 1 EGP, 2 incomplete
	MED       uint32   // 0 when absent
	LocalPref uint32   // 100 when absent
}

// Route is a path to a prefix.
type Route struct {
	Prefix netip.Prefix
	Path   Path
}

// Change is a prefix whose next hops changed.
type Change struct {
	Prefix   netip.Prefix
	NextHops []netip.Addr // the peers to use, sorted; empty: no route any more. Shared, not to be changed
}

// Peer is what came from one peer.
type Peer struct {
	Addr     netip.Addr
	Prefixes int    // accepted and not withdrawn
	Looped   uint64 // announcements rejected because our own AS stood in the path too often, since the session came up
}

// Table holds the paths of all peers.
type Table struct {
	config     Config
	entries    map[netip.Prefix]*entry
	peers      map[netip.Addr]*Peer
	originated map[netip.Prefix]bool // what we announce ourselves
	reasons    []Reason              // room for judge
}

// entry is a prefix with at least one path.
type entry struct {
	paths    []peerPath // sorted by peer
	nextHops []netip.Addr
}

type peerPath struct {
	peer netip.Addr
	path Path
}

// New returns an empty table.
func New(config Config) *Table {
	if config.MaxPaths <= 0 {
		config.MaxPaths = DefaultMaxPaths
	}
	return &Table{config: config, entries: make(map[netip.Prefix]*entry), peers: make(map[netip.Addr]*Peer)}
}

// Update takes in what the peer announced and withdrew, and returns the prefixes whose next hops changed, sorted. A prefix
// in both is announced (RFC 4271 section 4.3); a path that loops back to us counts as withdrawn. The table keeps the
// slices inside the routes.
func (t *Table) Update(peer netip.Addr, announced []Route, withdrawn []netip.Prefix) []Change {
	p := t.peers[peer]
	if p == nil {
		p = &Peer{Addr: peer}
		t.peers[peer] = p
	}
	touched := make([]netip.Prefix, 0, len(announced)+len(withdrawn))
	for _, prefix := range withdrawn {
		prefix = prefix.Masked()
		t.withdraw(p, prefix)
		touched = append(touched, prefix)
	}
	for _, route := range announced {
		prefix := route.Prefix.Masked()
		if t.loops(route.Path) {
			p.Looped++
			t.withdraw(p, prefix)
		} else {
			t.announce(p, prefix, route.Path)
		}
		touched = append(touched, prefix)
	}
	return t.decide(touched)
}

// Drop forgets the peer and all it announced, and returns the prefixes whose next hops changed, sorted.
func (t *Table) Drop(peer netip.Addr) []Change {
	p := t.peers[peer]
	if p == nil {
		return nil
	}
	touched := make([]netip.Prefix, 0, p.Prefixes)
	for prefix, e := range t.entries {
		if _, ok := e.find(peer); ok {
			t.withdraw(p, prefix)
			touched = append(touched, prefix)
		}
	}
	delete(t.peers, peer)
	return t.decide(touched)
}

// Originate names the prefixes that we announce ourselves, in place of those named before, and returns the prefixes whose
// next hops changed, sorted. The address stands on this server: what a leaf says of it, be it an echo of our own
// announcement or another server with the same anycast address, is not used.
func (t *Table) Originate(prefixes []netip.Prefix) []Change {
	before := t.originated
	t.originated = make(map[netip.Prefix]bool, len(prefixes))
	var touched []netip.Prefix
	for _, prefix := range prefixes {
		t.originated[prefix.Masked()] = true
		touched = append(touched, prefix.Masked())
	}
	for prefix := range before {
		touched = append(touched, prefix)
	}
	return t.decide(touched)
}

// Routes returns the prefixes with the next hops they have, sorted: what all changes so far have come to.
func (t *Table) Routes() []Change {
	var routes []Change
	for prefix, e := range t.entries {
		if len(e.nextHops) > 0 {
			routes = append(routes, Change{Prefix: prefix, NextHops: e.nextHops})
		}
	}
	slices.SortFunc(routes, func(a, b Change) int { return a.Prefix.Compare(b.Prefix) })
	return routes
}

// Peers returns the peers that have said something since their session came up, sorted by address.
func (t *Table) Peers() []Peer {
	peers := make([]Peer, 0, len(t.peers))
	for _, p := range t.peers {
		peers = append(peers, *p)
	}
	slices.SortFunc(peers, func(a, b Peer) int { return a.Addr.Compare(b.Addr) })
	return peers
}

// loops reports whether the path has been through our AS too often (RFC 4271 section 9.1.2).
func (t *Table) loops(path Path) bool {
	seen := 0
	for _, as := range path.ASPath {
		if as == t.config.AS {
			seen++
		}
	}
	return seen > t.config.AllowASIn
}

func (t *Table) announce(p *Peer, prefix netip.Prefix, path Path) {
	e := t.entries[prefix]
	if e == nil {
		e = new(entry)
		t.entries[prefix] = e
	}
	i, ok := e.find(p.Addr)
	if ok {
		e.paths[i].path = path
		return
	}
	e.paths = slices.Insert(e.paths, i, peerPath{peer: p.Addr, path: path})
	p.Prefixes++
}

func (t *Table) withdraw(p *Peer, prefix netip.Prefix) {
	e := t.entries[prefix]
	if e == nil {
		return
	}
	if i, ok := e.find(p.Addr); ok {
		e.paths = slices.Delete(e.paths, i, i+1)
		p.Prefixes--
	}
}

func (e *entry) find(peer netip.Addr) (int, bool) {
	return slices.BinarySearchFunc(e.paths, peer, func(p peerPath, peer netip.Addr) int { return p.peer.Compare(peer) })
}

// decide chooses anew for the prefixes and returns those with other next hops than before.
func (t *Table) decide(prefixes []netip.Prefix) []Change {
	slices.SortFunc(prefixes, netip.Prefix.Compare)
	var changes []Change
	var nextHops, shared []netip.Addr
	for _, prefix := range slices.Compact(prefixes) {
		e := t.entries[prefix]
		if e == nil {
			continue
		}
		nextHops = t.nextHops(nextHops[:0], prefix, e)
		if len(e.paths) == 0 {
			delete(t.entries, prefix)
		}
		if slices.Equal(nextHops, e.nextHops) {
			continue
		}
		if !slices.Equal(nextHops, shared) { // neighbours in the table mostly have the same next hops
			shared = slices.Clone(nextHops)
		}
		e.nextHops = shared
		changes = append(changes, Change{Prefix: prefix, NextHops: shared})
	}
	return changes
}
