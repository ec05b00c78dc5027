package switchagent

import (
	"net/netip"
	"slices"

	"lastmile/switchagent/inventory"
	"lastmile/switchagent/junos"
)

// kind is what a prefix is that a server has announced and the leaf has rejected.
type kind string

const (
	kindDefault  kind = "default"
	kindOther    kind = "other_server" // exactly what another server is listed for
	kindLoopback kind = "loopback"     // the leaf's
	kindLonger   kind = "longer"       // inside of what a server is listed for, itself or another
	kindShorter  kind = "shorter"      // around what servers are listed for
	kindPath     kind = "as_path"      // its own, with an AS path that it is not listed for
	kindOwn      kind = "own"          // its own, rejected all the same: its policy is not committed yet, or wants another next hop
	kindUnlisted kind = "unlisted"     // nobody's
	kindUnread   kind = "unread"       // rejected, and not known
)

var allKinds = []kind{kindDefault, kindOther, kindLoopback, kindLonger, kindShorter, kindPath, kindOwn, kindUnlisted, kindUnread}

// claims is who is listed for which prefix.
type claims struct {
	inventory *inventory.Inventory
	loopbacks map[netip.Addr]bool // of the leaf
	servers   map[netip.Prefix]string
	sorted    []netip.Prefix
	lengths   [2][]int // that prefixes of IPv4 and of IPv6 have, the longest first
}

func newClaims(inv *inventory.Inventory, loopbacks map[netip.Addr]bool) *claims {
	c := &claims{inventory: inv, loopbacks: loopbacks, servers: map[netip.Prefix]string{}}
	for _, e := range inv.Entries() {
		for _, p := range e.Announced() {
			if _, known := c.servers[p]; known { // a shared one
				continue
			}
			c.servers[p] = e.Server
			c.sorted = append(c.sorted, p)
			if n := family(p); !slices.Contains(c.lengths[n], p.Bits()) {
				c.lengths[n] = append(c.lengths[n], p.Bits())
			}
		}
	}
	slices.SortFunc(c.sorted, netip.Prefix.Compare)
	for n := range c.lengths {
		slices.SortFunc(c.lengths[n], func(a, b int) int { return b - a })
	}
	return c
}

func family(p netip.Prefix) int {
	if p.Addr().Is4() {
		return 0
	}
	return 1
}

// judge says what a prefix is that was announced on a port, and whose: a server's name, or nobody's.
func (c *claims) judge(port string, h junos.Hidden) (is kind, whose string) {
	e, _ := c.inventory.Port(port)
	p, own := h.Prefix, e.Announced()
	switch {
	case p.Bits() == 0:
		return kindDefault, ""
	case slices.Contains(own, p):
		return pathKind(e.AS, h), e.Server
	case c.servers[p] != "":
		return kindOther, c.servers[p]
	case p.IsSingleIP() && c.loopbacks[p.Addr()]:
		return kindLoopback, ""
	}
	if around, ok := c.around(p); ok {
		if slices.Contains(own, around) {
			return kindLonger, e.Server
		}
		return kindLonger, c.servers[around]
	}
	inside := c.inside(p)
	for _, other := range inside {
		if !slices.Contains(own, other) {
			return kindShorter, c.servers[other]
		}
	}
	if len(inside) > 0 {
		return kindShorter, e.Server
	}
	return kindUnlisted, ""
}

// around is the longest listed prefix that has p inside.
func (c *claims) around(p netip.Prefix) (netip.Prefix, bool) {
	for _, bits := range c.lengths[family(p)] {
		if bits >= p.Bits() {
			continue
		}
		around := netip.PrefixFrom(p.Addr(), bits).Masked()
		if _, listed := c.servers[around]; listed {
			return around, true
		}
	}
	return netip.Prefix{}, false
}

// mostInside is how many listed prefixes are looked at for one that is another's.
const mostInside = 100

// inside is the first listed prefixes that p has inside.
func (c *claims) inside(p netip.Prefix) []netip.Prefix {
	first, _ := slices.BinarySearchFunc(c.sorted, p, netip.Prefix.Compare) // p itself is not listed
	end := first
	for end < len(c.sorted) && end < first+mostInside && p.Overlaps(c.sorted[end]) {
		end++
	}
	return c.sorted[first:end]
}

// pathKind is the kind of a prefix that the server is listed for.
func pathKind(as []uint32, h junos.Hidden) kind {
	path, plain := h.ASes()
	switch {
	case h.Path == "": // the leaf does not tell
	case !plain, !acceptedPath(as, path):
		return kindPath
	}
	return kindOwn
}

// acceptedPath says whether a policy of junos.Accept takes an AS path: the first AS once or more, and behind it any of
// the others.
func acceptedPath(as, path []uint32) bool {
	n := 0
	for n < len(path) && path[n] == as[0] {
		n++
	}
	behind := path[n:]
	return n > 0 && !slices.ContainsFunc(behind, func(as1 uint32) bool { return !slices.Contains(as[1:], as1) })
}

// mostNamed is how many prefixes of a kind are named in a line of the log.
const mostNamed = 3

// sample is the prefixes of one kind on one port.
type sample struct {
	n        int
	prefixes []netip.Prefix // the first of them
	whose    string         // of the first
	path     string         // of the first
}

// tally adds what a peer on a port announces, in this order, and as unread what is rejected beyond it.
func (c *claims) tally(port string, hidden []junos.Hidden, rejected int, into map[kind]sample) {
	for _, h := range hidden {
		is, whose := c.judge(port, h)
		s := into[is]
		if s.n == 0 {
			s.whose, s.path = whose, h.Path
		}
		if s.n++; s.n <= mostNamed {
			s.prefixes = append(s.prefixes, h.Prefix)
		}
		into[is] = s
	}
	if unread := rejected - len(hidden); unread > 0 {
		s := into[kindUnread]
		s.n += unread
		into[kindUnread] = s
	}
}
