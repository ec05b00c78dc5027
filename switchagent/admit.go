package switchagent

import (
	"fmt"
	"net/netip"

	"lastmile/switchagent/inventory"
	"lastmile/switchagent/junos"
)

// What is done about a neighbour on a port that the inventory does not list.
const (
	unknownRefuse     = "refuse"     // it gets no stanza
	unknownQuarantine = "quarantine" // it gets one that accepts nothing
	unknownAccept     = "accept"     // it gets one that accepts what the group's policy does
)

// admission is who may have a session, and what each may announce. Who a neighbour is, its port says:
// an address or a name anybody can give himself.
type admission struct {
	inventory *inventory.Inventory
	keys      map[string]junos.Secret // by port, of those that want one
	unknown   string
	perPort   int // most stanzas of one port, and of the leaf
	total     int
	limit     uint32 // of prefixes of each family
	nextHop   bool   // announced prefixes must have the peer's own address as next hop
	scoped    bool   // the leaf takes one address on two ports
}

// refuses says why a neighbour may have no stanza; "" if it may.
func (a admission) refuses(n junos.Neighbor) refusal {
	e, known := a.inventory.Port(n.Interface)
	switch {
	case !known && a.unknown == unknownRefuse:
		return unknownPort
	case !known:
		return ""
	case !e.Expects(n.MAC):
		return wrongMAC
	case e.KeyFile != "" && !a.keys[e.Port].Set():
		return noKey
	}
	return ""
}

// fill completes the stanza of a neighbour that is admitted.
func (a admission) fill(s *junos.Stanza, n junos.Neighbor) {
	e, known := a.inventory.Port(n.Interface)
	switch {
	case known:
		s.Description = fmt.Sprintf("%s %s, %s on %s", junos.Mark, e.Server, n.MAC, e.Port)
		s.PeerAS, s.Secret, s.Limit = e.AS[0], a.keys[e.Port], a.limit
		s.Import = junos.Accept(e.AS, e.Announced(), a.nextHop)
	case a.unknown == unknownQuarantine:
		s.Description = fmt.Sprintf("%s unknown, %s on %s", junos.Mark, n.MAC, n.Interface)
		s.Limit, s.Import = a.limit, junos.RejectAll
	}
}

// disowns says that nothing may be accepted any more of a stanza that is there: its port was taken out
// of the inventory. Its session need not end for that.
func (a admission) disowns(s junos.Stanza) bool {
	if _, known := a.inventory.Port(s.Peer.Zone()); known || a.inventory == nil || a.unknown != unknownRefuse {
		return false
	}
	return s.Import != junos.RejectAll
}

// room counts stanzas. Whoever has one keeps it; what a port or the leaf has too many of is
// counted and not looked at any further, so that a flood on one port costs the others nothing.
type room struct {
	admission
	ports map[string]int
	all   int
}

func (a admission) room(stanzas []junos.Stanza) *room {
	r := &room{admission: a, ports: map[string]int{}}
	for _, s := range stanzas {
		r.take(s.Peer)
	}
	return r
}

func (r *room) take(peer netip.Addr) {
	r.ports[peer.Zone()]++
	r.all++
}

func (r *room) full(port string) bool { return r.ports[port] >= r.perPort }

// displaced is the ports on which somebody who is heard of now waits for a place.
func (r *room) displaced(present map[netip.Addr]junos.Neighbor, served map[netip.Addr]bool) map[string]bool {
	ports := map[string]bool{}
	for peer, n := range present {
		if !served[peer] && n.State != stale && r.full(n.Interface) {
			ports[n.Interface] = true
		}
	}
	return ports
}

// stale is the state of a neighbour that was not heard of for a while.
const stale = "stale"
