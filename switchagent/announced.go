package switchagent

import (
	"net/netip"

	"lastmile/switchagent/junos"
)

// announced is what the peers of the stanzas have announced, by interface.
type announced struct{ accepted, rejected, flaps int }

func announcedBy(sessions []junos.Session, stanzas []junos.Stanza) (links map[string]announced, states map[string]int) {
	links, states = map[string]announced{}, map[string]int{}
	ours := map[netip.Addr]bool{}
	for _, s := range stanzas {
		ours[s.Peer] = true
	}
	for _, s := range located(sessions, stanzas) {
		if !ours[s.Peer] {
			continue
		}
		one := links[s.Peer.Zone()]
		one.accepted += s.Accepted
		one.rejected += max(s.Received-s.Accepted, 0)
		one.flaps += s.Flaps
		links[s.Peer.Zone()] = one
		switch {
		case s.Established():
			states["established"]++
		case s.Down():
			states["down"]++
		default:
			states[otherState]++
		}
	}
	return links, states
}
