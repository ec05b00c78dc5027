package switchagent

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"lastmile/switchagent/junos"
)

// tables is what one good poll saw. A poll that failed in part is no poll.
type tables struct {
	neighbors   []junos.Neighbor
	advertisers []netip.Addr   // who was heard sending router advertisements, zone = interface
	stanzas     []junos.Stanza // what our instance holds
}

// guards is what else must be known before anything is changed.
type guards struct {
	sessions   []junos.Session
	static     []junos.Stanza // of others; a routing daemon that has just started lists no sessions yet
	interfaces map[string][]netip.Prefix
	group      error // why no neighbour of the configured group can have a session
}

// absence is since when, and in how many consecutive good polls, a stanza had no neighbour.
type absence struct {
	since time.Time
	polls int
}

// refusal is why a neighbour gets no stanza; it is a label of a metric.
type refusal string

// The refusals, in the order they are checked.
const (
	unresolved       = refusal("unresolved") // no MAC address, or a state in which it cannot be reached
	notRouter        = refusal("not_router") // an ordinary host
	duplicate        = refusal("duplicate")  // the same address has a stanza on, or was given to, another interface
	unknownInterface = refusal("interface_unknown")
	addressed        = refusal("interface_addressed") // has an address of its own: somebody else's interface
	foreign          = refusal("foreign_session")     // somebody else has configured this peer
	unusableGroup    = refusal("group_unusable")      // no session can come up in the configured group
)

var allRefusals = []refusal{unresolved, notRouter, duplicate, unknownInterface, addressed, foreign, unusableGroup}

// leastAbsentPolls is how many polls must have missed a neighbour before its stanza goes, however
// short the hold-down is and however long the process was stopped between two of them.
const leastAbsentPolls = 3

// policy is the part of the configuration that decides.
type policy struct {
	group    string
	holdDown time.Duration
	mayTouch func(ifl string) bool
}

// plan is what to do about one poll. A stanza that is neither in add nor in remove stays as it is.
type plan struct {
	add, remove []junos.Stanza
	absent      map[junos.Stanza]absence
	refused     map[netip.Addr]refusal // link-local neighbours on interfaces that may be touched
	blocked     error                  // why there is nothing to add or remove, although there should be
}

func (p plan) empty() bool { return len(p.add) == 0 && len(p.remove) == 0 }

// plan decides from the tables of one good poll and the absences of the plan before.
//
// Who is present gets a stanza, once. Who has a stanza and is not present is remembered, and the
// stanza goes when that has lasted for the hold-down. What is decided here is still subject to
// the guards; to read those is only worth it when there is something to do.
func (p policy) plan(now time.Time, seen tables, before map[junos.Stanza]absence) plan {
	result := plan{absent: map[junos.Stanza]absence{}, refused: map[netip.Addr]refusal{}}
	if len(seen.neighbors) == 0 {
		// A leaf that works has neighbours, the spine if nobody else. An empty table is that of one
		// which has just started, or a fault: nobody is absent from it.
		return result
	}
	present := p.present(seen, result.refused)
	// Before 20.4R1 the key of a stanza is the bare address: a second interface has no place.
	taken, served := map[netip.Addr]bool{}, map[netip.Addr]bool{}
	for _, s := range seen.stanzas {
		taken[s.Peer.WithZone("")], served[s.Peer] = true, true
		if _, ok := present[s.Peer]; ok && s.Group == p.group {
			continue
		}
		gone := before[s]
		if gone.polls == 0 {
			gone.since = now
		}
		gone.polls++
		result.absent[s] = gone
		if gone.polls >= leastAbsentPolls && now.Sub(gone.since) >= p.holdDown {
			result.remove = append(result.remove, s)
		}
	}
	for _, n := range inOrder(present) {
		bare := n.Addr.WithZone("")
		switch {
		case served[n.Addr]:
		case taken[bare]:
			result.refused[n.Addr] = duplicate
		default:
			taken[bare] = true
			result.add = append(result.add, junos.Stanza{Group: p.group, Peer: n.Addr, Description: describe(n)})
		}
	}
	return result
}

// present is the neighbours that should have a stanza, as far as they themselves are concerned.
func (p policy) present(seen tables, refused map[netip.Addr]refusal) map[netip.Addr]junos.Neighbor {
	advertises := map[netip.Addr]bool{}
	for _, sender := range seen.advertisers {
		advertises[sender] = true
	}
	present := map[netip.Addr]junos.Neighbor{}
	for _, n := range seen.neighbors {
		switch {
		case !p.mayTouch(n.Addr.Zone()):
		case n.MAC == "" || !reachable(n.State):
			refused[n.Addr] = unresolved
		// A server that does not forward answers solicitations without the router flag,
		// but it advertises.
		case !n.Router && !advertises[n.Addr]:
			refused[n.Addr] = notRouter
		default:
			present[n.Addr] = n
		}
	}
	return present
}

// reachable says whether the state is one of a neighbour that is there (RFC 4861 section 7.3.2).
// Stale is: a live but quiet neighbour is stale for most of its life.
func reachable(state string) bool {
	return slices.Contains([]string{"reachable", "stale", "delay", "probe"}, state)
}

// inOrder is by address, then interface: the same of two duplicates comes first every time.
func inOrder(neighbors map[netip.Addr]junos.Neighbor) []junos.Neighbor {
	list := make([]junos.Neighbor, 0, len(neighbors))
	for _, n := range neighbors {
		list = append(list, n)
	}
	slices.SortFunc(list, func(a, b junos.Neighbor) int { return a.Addr.Compare(b.Addr) })
	return list
}

// describe says who put the stanza there and for which machine on which port. It does not change
// while the machine stays: monitoring shows it as a label.
func describe(n junos.Neighbor) string {
	return fmt.Sprintf("lastmile: %s on %s", n.MAC, n.Addr.Zone())
}

// guarded is the plan without what the leaf's state forbids. All rules are for the side of doing
// nothing: what is not known for sure is not touched.
func (p plan) guarded(g guards) plan {
	result := plan{absent: p.absent, refused: p.refused}
	for _, s := range p.add {
		if reason := g.forbidAdd(s.Peer); reason != "" {
			result.refused[s.Peer] = reason
			continue
		}
		result.add = append(result.add, s)
	}
	for _, s := range p.remove {
		if g.mayRemove(s) {
			result.remove = append(result.remove, s)
		}
	}
	if g.group != nil && !result.empty() {
		return result.withheld(g.group)
	}
	return result
}

// withheld is the plan with nothing to do, for a reason that is no neighbour's.
func (p plan) withheld(reason error) plan {
	for _, s := range p.add {
		p.refused[s.Peer] = unusableGroup
	}
	return plan{absent: p.absent, refused: p.refused, blocked: reason}
}

func (g guards) forbidAdd(peer netip.Addr) refusal {
	prefixes, known := g.interfaces[peer.Zone()]
	if !known {
		return unknownInterface
	}
	for _, prefix := range prefixes {
		if !prefix.Addr().IsLinkLocalUnicast() || prefix.Addr().Is4() {
			return addressed
		}
	}
	if slices.ContainsFunc(g.sessions, func(s junos.Session) bool { return same(s.Peer, peer) }) ||
		slices.ContainsFunc(g.static, func(s junos.Stanza) bool { return same(s.Peer, peer) }) {
		return foreign
	}
	return ""
}

// mayRemove is false while routes flow. A leaf that lists no session at all has just started its
// routing daemon, and what it does not say is not known.
func (g guards) mayRemove(s junos.Stanza) bool {
	return len(g.sessions) > 0 && !slices.ContainsFunc(g.sessions, func(session junos.Session) bool {
		return same(session.Peer, s.Peer) && !session.Down()
	})
}

// same compares a peer of the session table, which need not name the interface, with that of a
// stanza, which should.
func same(listed, peer netip.Addr) bool {
	bare := listed.WithZone("") == peer.WithZone("")
	return bare && (listed.Zone() == "" || peer.Zone() == "" || listed.Zone() == peer.Zone())
}

// missing is what a commit of the plan should have done to the stanzas and has not.
func (p plan) missing(stanzas []junos.Stanza) (peers []netip.Addr) {
	place := func(s junos.Stanza) junos.Stanza { return junos.Stanza{Group: s.Group, Peer: s.Peer} }
	there := map[junos.Stanza]bool{}
	for _, s := range stanzas {
		there[place(s)] = true
	}
	for _, s := range p.add {
		if !there[place(s)] {
			peers = append(peers, s.Peer)
		}
	}
	for _, s := range p.remove {
		if there[place(s)] {
			peers = append(peers, s.Peer)
		}
	}
	slices.SortFunc(peers, netip.Addr.Compare)
	return peers
}
