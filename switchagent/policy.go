package switchagent

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"lastmile/switchagent/junos"
)

// tables is what one good poll saw. A poll that failed in part is no poll.
type tables struct {
	neighbors   []junos.Neighbor
	advertisers []netip.Addr   // who was heard sending router advertisements, zone = interface
	stanzas     []junos.Stanza // what our instance holds
}

// absence is since when, and in how many consecutive good polls, a stanza had no neighbour.
type absence struct {
	since time.Time
	polls int
	last  time.Time // the newest of the polls
}

// missed is the absence after one more poll. What lies between two polls is seen by neither, however
// long a commit took or the process was stopped: no more of it counts than lets leastAbsentPolls polls
// make up the hold-down.
func (a absence) missed(now time.Time, holdDown time.Duration) absence {
	if a.polls == 0 {
		return absence{now, 1, now}
	}
	unseen := now.Sub(a.last) - holdDown/(leastAbsentPolls-1)
	return absence{a.since.Add(max(unseen, 0)), a.polls + 1, now}
}

// leastAbsentPolls is how many polls must have missed a neighbour before its stanza goes, however
// short the hold-down is and however long the process was stopped between two of them.
const leastAbsentPolls = 3

// policy is the part of the configuration that decides.
type policy struct {
	group    string
	holdDown time.Duration
	mayTouch func(ifl string) bool
	others   map[junos.Place]bool // where the guards have last seen others' neighbours
	admission
}

// plan decides from the tables of one good poll and the absences of the plan before.
//
// Who is present gets a stanza, once. Who has a stanza and is not present is remembered, and the
// stanza goes when that has lasted for the hold-down. What is decided here is still subject to
// the guards; to read those is only worth it when there is something to do.
func (p policy) plan(now time.Time, seen tables, before map[junos.Stanza]absence) plan {
	result := plan{
		change: junos.Change{From: seen.stanzas},
		report: report{absent: map[junos.Stanza]absence{}, refused: map[netip.Addr]refusal{}, crowd: map[string]int{}},
	}
	if len(seen.neighbors) == 0 {
		// A leaf that works has neighbours, the spine if nobody else. An empty table is that of one
		// which has just started, or a fault: nobody is absent from it.
		return result
	}
	present, served := p.present(seen, result.refused), map[netip.Addr]bool{}
	for _, s := range seen.stanzas {
		served[s.Peer] = true
	}
	room := p.room(seen.stanzas)
	displaced, twin := room.displaced(present, served), twins(seen.stanzas)
	for _, s := range seen.stanzas {
		n, here := present[s.Peer]
		if twin[s.Place()] {
			result.dropTwin(s, here)
			continue
		}
		if result.refused[s.Peer] == noKey { // it is there, and what its stanza should be is not known
			continue
		}
		here = here && s.Group == p.group
		edited := here && result.rewrite(s, p.stanza(n, s.Key)) || !here && p.disowns(s) && result.disown(s)
		if here && !(n.State == stale && displaced[s.Peer.Zone()]) {
			continue
		}
		gone := before[s].missed(now, p.holdDown)
		result.absent[s] = gone
		if !edited && gone.polls >= leastAbsentPolls && now.Sub(gone.since) >= p.holdDown {
			result.change.Remove = append(result.change.Remove, s)
		}
	}
	p.plug(&result, present, served, room)
	return result
}

// rewrite makes of a stanza what is wanted, and says whether there is something to do.
func (p *plan) rewrite(s, wanted junos.Stanza) bool {
	if s.Same(wanted) {
		return false
	}
	p.change.Edit = append(p.change.Edit, junos.Edit{From: s, To: wanted})
	return true
}

// disown makes a stanza accept nothing.
func (p *plan) disown(s junos.Stanza) bool {
	none := s
	none.Import = junos.RejectAll
	p.change.Edit = append(p.change.Edit, junos.Edit{From: s, To: none}.Gentle())
	return true
}

// plug adds the stanzas of those who have none, as far as there is room.
func (p policy) plug(result *plan, present map[netip.Addr]junos.Neighbor, served map[netip.Addr]bool, room *room) {
	taken := map[netip.Addr]bool{}
	for peer := range served {
		taken[peer.WithZone("")] = true
	}
	for _, n := range inOrder(present) {
		peer, key := n.Peer(), ""
		switch {
		case served[peer]:
			continue
		case taken[n.Addr] && !p.scoped: // the key is the bare address: a second interface has no place
			result.refused[peer] = duplicate
			continue
		case room.full(n.Interface):
			result.crowd[n.Interface]++
			continue
		case room.all >= p.total:
			result.refused[peer] = leafFull
			continue
		case taken[n.Addr], p.scoped && p.others[junos.Place{Group: p.group, Key: n.Addr.String()}]:
			key = peer.String()
		}
		taken[n.Addr] = true
		room.take(peer)
		result.change.Add = append(result.change.Add, p.stanza(n, key))
	}
}

// stanza is what a neighbour should have.
func (p policy) stanza(n junos.Neighbor, key string) junos.Stanza {
	s := junos.Stanza{Group: p.group, Peer: n.Peer(), Description: describe(n), Key: key}
	p.fill(&s, n)
	return s
}

// present is the neighbours that should have a stanza, as far as they themselves are concerned.
func (p policy) present(seen tables, refused map[netip.Addr]refusal) map[netip.Addr]junos.Neighbor {
	advertises := map[netip.Addr]bool{}
	for _, sender := range seen.advertisers {
		advertises[sender] = true
	}
	present := map[netip.Addr]junos.Neighbor{}
	for _, n := range seen.neighbors {
		if !p.mayTouch(n.Interface) {
			continue
		}
		peer := n.Peer()
		switch {
		case n.MAC == "" || !reachable(n.State):
			refused[peer] = unresolved
		// A server that does not forward answers solicitations without the router flag,
		// but it advertises.
		case !n.Router && !advertises[peer]:
			refused[peer] = notRouter
		default:
			if reason := p.refuses(n); reason != "" {
				refused[peer] = reason
				continue
			}
			present[peer] = n
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
	slices.SortFunc(list, func(a, b junos.Neighbor) int {
		return cmp.Or(a.Addr.Compare(b.Addr), strings.Compare(a.Interface, b.Interface))
	})
	return list
}

// describe says who put the stanza there and for which machine on which port. It does not change
// while the machine stays: monitoring shows it as a label.
func describe(n junos.Neighbor) string {
	return fmt.Sprintf("%s %s on %s", junos.Mark, n.MAC, n.Interface)
}
