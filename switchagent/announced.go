package switchagent

import (
	"net/netip"

	"lastmile/switchagent/junos"
)

// announced is what the peers of the stanzas have announced, by interface.
type announced struct{ accepted, rejected, flaps int }

func announcedIn(s junos.Session) announced {
	return announced{s.Accepted, max(s.Received-s.Accepted, 0), s.Flaps}
}

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
		one, more := links[s.Peer.Zone()], announcedIn(s)
		links[s.Peer.Zone()] = announced{one.accepted + more.accepted, one.rejected + more.rejected, one.flaps + more.flaps}
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
