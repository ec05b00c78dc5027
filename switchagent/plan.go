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

// refusal is why a neighbour gets no stanza; it is a label of a metric.
type refusal string

// The refusals, in the order they are checked.
const (
	unresolved       = refusal("unresolved")     // no MAC address, or a state in which it cannot be reached
	notRouter        = refusal("not_router")     // an ordinary host
	unknownPort      = refusal("port_unknown")   // the inventory does not list it
	wrongMAC         = refusal("mac_mismatch")   // the inventory expects another machine
	noKey            = refusal("key_unreadable") // the file that the inventory names
	duplicate        = refusal("duplicate")      // the same address has a stanza on, or was given to, another interface
	portFull         = refusal("port_full")      // the port has as many stanzas as it may have
	leafFull         = refusal("leaf_full")      // all ports together
	unknownInterface = refusal("interface_unknown")
	addressed        = refusal("interface_addressed") // has an address of its own: somebody else's interface
	native           = refusal("native_discovery")    // Junos discovers its neighbour by itself
	foreign          = refusal("foreign_session")     // somebody else has configured this peer
	established      = refusal("session_established") // its stanza is to change, and its session would end
	drifted          = refusal("drifted")             // somebody has taken its stanza away or changed it
	quarantined      = refusal("quarantined")         // the leaf has refused its stanza
	unproven         = refusal("unproven")            // a change could not be proved harmless: a fault of ours
	unusableGroup    = refusal("group_unusable")      // no session can come up in the configured group
	readsOnly        = refusal("transport_reads")     // transport: cli commits nothing
)

var allRefusals = []refusal{
	unresolved, notRouter, unknownPort, wrongMAC, noKey, duplicate, portFull, leafFull, unknownInterface, addressed, native, foreign, established, drifted, quarantined, unproven, unusableGroup, readsOnly,
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

// plan is what to do about one poll. A stanza that is in neither add, remove nor edit stays as it is.
type plan struct {
	add, remove []junos.Stanza
	edit        []junos.Edit
	absent      map[junos.Stanza]absence
	refused     map[netip.Addr]refusal // link-local neighbours on interfaces that may be touched
	crowd       map[string]int         // by interface, how many more are portFull
	isolate     map[junos.Place]bool   // of the edits, those that only make a stanza accept nothing
	blocked     error                  // why there is nothing to do, although there should be
	would       junos.Change           // what could be done by another transport
	waiting     []junos.Edit           // wanted, and left in part or as a whole until a session is down
	withheld    int                    // removals that were too many at once
	from        []junos.Stanza         // what the database held
	up          []junos.Session        // that the guards saw Established
	end         bool                   // sessions of remove may be up: an operator wants them ended
}

func (p plan) empty() bool { return len(p.add) == 0 && len(p.remove) == 0 && len(p.edit) == 0 }

func (p plan) change() junos.Change {
	return junos.Change{Add: p.add, Remove: p.remove, Edit: p.edit, From: p.from, EndSessions: p.end}
}

// size is how many stanzas it changes.
func (p plan) size() int { return len(p.add) + len(p.remove) + len(p.edit) }

// keep is the plan without what f does not want, for a reason that is shown for neighbours that
// should have a stanza, or another one.
func (p plan) keep(reason refusal, f func(junos.Stanza) bool) plan {
	unwanted := func(s junos.Stanza) bool { return !f(s) }
	shown := func(s junos.Stanza) bool {
		if f(s) {
			return false
		}
		p.refused[s.Peer] = reason
		return true
	}
	p.remove = slices.DeleteFunc(slices.Clone(p.remove), unwanted)
	p.add = slices.DeleteFunc(slices.Clone(p.add), shown)
	p.edit = slices.DeleteFunc(slices.Clone(p.edit), func(e junos.Edit) bool { return shown(e.To) })
	return p
}

// none is the plan with nothing to do.
func (p plan) none() plan {
	p.add, p.remove, p.edit = nil, nil, nil
	return p
}

// plan decides from the tables of one good poll and the absences of the plan before.
//
// Who is present gets a stanza, once. Who has a stanza and is not present is remembered, and the
// stanza goes when that has lasted for the hold-down. What is decided here is still subject to
// the guards; to read those is only worth it when there is something to do.
func (p policy) plan(now time.Time, seen tables, before map[junos.Stanza]absence) plan {
	result := plan{
		absent: map[junos.Stanza]absence{}, refused: map[netip.Addr]refusal{}, from: seen.stanzas,
		crowd: map[string]int{}, isolate: map[junos.Place]bool{},
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
			result.remove = append(result.remove, s)
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
	p.edit = append(p.edit, junos.Edit{From: s, To: wanted})
	return true
}

// disown makes a stanza accept nothing.
func (p *plan) disown(s junos.Stanza) bool {
	none := s
	none.Import = junos.RejectAll
	e := junos.Edit{From: s, To: none}.Gentle()
	p.isolate[e.To.Place()] = true
	p.edit = append(p.edit, e)
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
		result.add = append(result.add, p.stanza(n, key))
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

// missing is what a commit of the plan should have done to the stanzas and has not.
func (p plan) missing(stanzas []junos.Stanza) (peers []netip.Addr) {
	there := byPlace(stanzas)
	for _, s := range p.add {
		if _, ok := there[s.Place()]; !ok {
			peers = append(peers, s.Peer)
		}
	}
	for _, s := range p.remove {
		if _, ok := there[s.Place()]; ok {
			peers = append(peers, s.Peer)
		}
	}
	for _, e := range p.edit {
		if s, ok := there[e.To.Place()]; ok && !s.Same(e.To) {
			peers = append(peers, e.To.Peer)
		}
	}
	slices.SortFunc(peers, netip.Addr.Compare)
	return peers
}

func byPlace(stanzas []junos.Stanza) map[junos.Place]junos.Stanza {
	all := make(map[junos.Place]junos.Stanza, len(stanzas))
	for _, s := range stanzas {
		all[s.Place()] = s
	}
	return all
}
