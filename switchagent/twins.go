package switchagent

import (
	"net/netip"

	"lastmile/switchagent/junos"
)

// twins are the stanzas beside another of the same peer: since 20.4R1 its key may be the address alone, or have the
// interface too. One of them is gone on with, by preference that with the bare address, and only that is ever edited.
// Both have the same policy.
func twins(stanzas []junos.Stanza) map[junos.Place]bool {
	type peer struct {
		group string
		addr  netip.Addr
	}
	kept, others := map[peer]junos.Stanza{}, map[junos.Place]bool{}
	for _, s := range stanzas {
		p := peer{s.Group, s.Peer}
		first, twice := kept[p]
		switch {
		case s.Peer.Zone() == "": // whose it is nobody knows
			continue
		case !twice:
		case s.Place().Key == s.Peer.WithZone("").String():
			others[first.Place()] = true
		default:
			others[s.Place()] = true
			continue
		}
		kept[p] = s
	}
	return others
}

// dropTwin takes away a stanza beside another, which the guards allow only while the session is down, and leaves the
// policy, which is the other's too.
func (p *plan) dropTwin(s junos.Stanza, here bool) {
	if here {
		p.refused[s.Peer] = drifted
	}
	s.Import = junos.Import{}
	p.change.Remove = append(p.change.Remove, s)
}
