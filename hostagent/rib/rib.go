// Package rib is the table of routes received from the leaves. Paths go in, changed next-hop sets come out: the import policy
// says which are accepted, and the best path of each prefix is chosen (RFC 4271 section 9.1) with every other that is as
// good, across different neighbour ASes.
//
// It does no I/O, starts no goroutine and has one owner: its methods must not be called at the same time.
//
// It is made for a million prefixes. A prefix is a number in a map; all that is said of it, by all peers, is one shared
// [set], and the decision is made once a set, not once a prefix.
package rib

import (
	"net/netip"
	"slices"
)

// DefaultMaxPaths is the limit of next hops for a prefix where [Config] names none.
const DefaultMaxPaths = 64

// Config says which paths are accepted and how they are judged.
type Config struct {
	AS               uint32
	AllowASIn        int    // how often our own AS may stand in a path; servers that share an AS need 1
	MaxPaths         int    // next hops of a prefix at most; 0 is DefaultMaxPaths
	AlwaysCompareMED bool   // compare the MED of paths from different neighbour ASes too
	Import           []Rule // the first that matches an announcement decides; one that none matches is rejected. Empty accepts all

	// Heed is called in the midst of what takes as long as the table is large: for each prefix or set that is gone through, at
	// some 20 to 500 ns, with 1, or for several with their number. It may call no method of the table. May be nil.
	Heed func(steps int)
}

// Route is a path to a prefix. Routes that have the path in common should share it: what is the same in memory is looked
// at once.
type Route struct {
	Prefix netip.Prefix
	Path   *Path
}

// Peer is what came from one peer.
type Peer struct {
	Addr     netip.Addr
	Prefixes int    // accepted and not withdrawn, the stale ones too
	Looped   uint64 // announcements rejected because our own AS stood in the path too often, since the session came up
	Rejected uint64 // announcements rejected by the import policy, since the session came up
}

// peer is a peer as the table knows it.
type peer struct {
	Peer
	number uint64 // in sets; no other peer has it
	hop    uint64 // in next hops: the same before a restart and after it
	rules  []Rule // of the import policy, for this peer's link
	hold   Hold
	stale  *peer // has the number of the paths from before a restart; nil if there are none
}

// Table holds the paths of all peers.
type Table struct {
	config  Config
	peers   map[netip.Addr]*peer
	numbers []*peer // by number, nil where one has gone
	lastHop uint64  // that a peer was given
	v4      family[key4]
	v6      family[key6]
	sets    map[string]*set // by paths
	peak    int             // of sets, for fit
	hops    map[string]*nextHops

	said    []statement // in the present update; the first is the withdrawal
	paths   []byte      // of what is said
	room    []byte      // for making sets
	judged  []candidate
	reasons []Reason
	used    []*peer
}

// New returns an empty table.
func New(config Config) *Table {
	if config.MaxPaths <= 0 {
		config.MaxPaths = DefaultMaxPaths
	}
	if config.Heed == nil {
		config.Heed = func(int) {}
	}
	return &Table{
		config: config,
		peers:  make(map[netip.Addr]*peer),
		v4:     family[key4]{entries: make(map[key4]*set), heed: config.Heed},
		v6:     family[key6]{entries: make(map[key6]*set), heed: config.Heed},
		sets:   make(map[string]*set),
		hops:   make(map[string]*nextHops),
	}
}

// Update takes in what the peer announced and withdrew, and returns the prefixes whose next hops changed. A prefix
// in both is announced (RFC 4271 section 4.3); a path that is rejected, because it loops back to us or by the import policy,
// counts as withdrawn. Prefixes that are not valid are passed over.
//
// Nothing of the arguments is kept.
func (t *Table) Update(addr netip.Addr, announced []Route, withdrawn []netip.Prefix) Changes {
	p := t.peer(addr)
	t.said = append(t.said, statement{})
	for _, prefix := range withdrawn {
		t.stage(prefix, 0)
	}
	last := spoken{}
	for i := range announced {
		r := &announced[i]
		if r.Path != last.path {
			last = spoken{path: r.Path, looped: t.loops(r.Path)}
		}
		t.stage(r.Prefix, t.hear(p, r.Prefix, &last))
	}
	t.v4.settle(t, p)
	t.v6.settle(t, p)
	return t.finish()
}

// spoken is the path that an update spoke of last.
type spoken struct {
	path      *Path
	looped    bool
	said      int    // its place in Table.said; 0 if it has none yet
	localPref uint32 // that it has there
}

// hear returns the place in Table.said of what the peer says of the prefix: that of the withdrawal if it is rejected.
func (t *Table) hear(p *peer, prefix netip.Prefix, last *spoken) int {
	if last.looped {
		p.Looped++
		return 0
	}
	localPref, accepted := admit(p.rules, prefix, last.path)
	if !accepted {
		p.Rejected++
		return 0
	}
	if last.said == 0 || last.localPref != localPref {
		start := len(t.paths)
		t.paths = appendPath(t.paths, last.path, localPref)
		t.said = append(t.said, statement{path: t.paths[start:]})
		last.said, last.localPref = len(t.said)-1, localPref
	}
	return last.said
}

// stage notes what the present update says of a prefix, by its place in Table.said.
func (t *Table) stage(prefix netip.Prefix, said int) {
	switch prefix = prefix.Masked(); {
	case !prefix.IsValid():
	case prefix.Addr().Is4():
		t.v4.claims = append(t.v4.claims, item[key4, int]{said, key4Of(prefix)})
	default:
		t.v6.claims = append(t.v6.claims, item[key6, int]{said, key6Of(prefix)})
	}
}

// finish returns the changes, and gives back the memory that the table does not need any more.
func (t *Table) finish() Changes {
	t.sets = fit(t.sets, &t.peak, t.config.Heed)
	clear(t.said) // they hold sets
	t.said, t.paths = reuse(t.said)[:0], reuse(t.paths)[:0]
	return Changes{t, t.v4.ordered(), t.v6.ordered()}
}

// Drop forgets the peer and all it announced, and returns the prefixes whose next hops changed.
func (t *Table) Drop(addr netip.Addr) Changes {
	p := t.peers[addr]
	if p == nil {
		return Changes{}
	}
	numbers := []uint64{p.number}
	if p.stale != nil {
		numbers = append(numbers, p.stale.number)
	}
	t.vacate(numbers...)
	delete(t.peers, addr)
	return t.finish()
}

// Originate names the prefixes that we announce ourselves, in place of those named before, and returns the prefixes whose
// next hops changed. The address stands on this server: what a leaf says of it, be it an echo of our own announcement or
// another server with the same anycast address, is not used.
func (t *Table) Originate(prefixes []netip.Prefix) Changes {
	v4, v6 := make(map[key4]bool), make(map[key6]bool)
	for _, prefix := range prefixes {
		switch prefix = prefix.Masked(); {
		case !prefix.IsValid():
		case prefix.Addr().Is4():
			v4[key4Of(prefix)] = true
		default:
			v6[key6Of(prefix)] = true
		}
	}
	t.v4.originate(v4)
	t.v6.originate(v6)
	return t.finish()
}

// Routes returns the prefixes that have next hops: what all changes so far have come to.
func (t *Table) Routes() Changes {
	t.v4.routes()
	t.v6.routes()
	return t.finish()
}

// Peers returns the peers that have said something since their session came up, sorted by address.
func (t *Table) Peers() []Peer {
	peers := make([]Peer, 0, len(t.peers))
	for _, p := range t.peers {
		peers = append(peers, p.Peer)
	}
	slices.SortFunc(peers, func(a, b Peer) int { return a.Addr.Compare(b.Addr) })
	return peers
}

// loops reports whether the path has been through our AS too often (RFC 4271 section 9.1.2).
func (t *Table) loops(path *Path) bool {
	seen := 0
	for _, as := range path.ASPath {
		if as == t.config.AS {
			seen++
		}
	}
	return seen > t.config.AllowASIn
}
