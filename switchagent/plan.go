package switchagent

import (
	"maps"
	"net/netip"
	"slices"

	"lastmile/switchagent/junos"
)

// plan is what comes of one poll: what is to be committed, and what is told of the rest. Each step on the way to a
// commit makes a smaller plan of it, with a longer report, and leaves the one before as it was.
type plan struct {
	change junos.Change    // a stanza that is in no part of it stays as it is
	up     []junos.Session // that the guards saw Established
	report
}

// report is what is told of a poll to those who look: in logs, in metrics, and at a terminal.
type report struct {
	absent   map[junos.Stanza]absence
	refused  map[netip.Addr]refusal // link-local neighbours on interfaces that may be touched
	crowd    map[string]int         // by interface, how many more are portFull
	waiting  []junos.Edit           // wanted, and left in part or as a whole until a session is down
	withheld int                    // removals that were too many at once
	blocked  error                  // why something is left out until somebody has mended the leaf's configuration, or this program
	would    junos.Change           // what could be done by another transport
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

// has says whether somebody is refused for a reason.
func (r report) has(reason refusal) bool {
	return slices.Contains(slices.Collect(maps.Values(r.refused)), reason)
}

func (p plan) empty() bool { return p.size() == 0 }

// size is how many stanzas it changes.
func (p plan) size() int { return len(p.change.Stanzas()) }

// without is the plan less what there is a reason against. The reason is told of neighbours that should have a
// stanza, or another one. Each stanza is asked for with the part of the change that is about it.
func (p plan) without(why func(s junos.Stanza, part junos.Change) refusal) plan {
	p.refused = maps.Clone(p.refused)
	against := func(s junos.Stanza, part junos.Change) bool {
		part.From = p.change.From
		reason := why(s, part)
		if reason != "" && len(part.Remove) == 0 {
			p.refused[s.Peer] = reason
		}
		return reason != ""
	}
	p.change.Add = slices.DeleteFunc(slices.Clone(p.change.Add), func(s junos.Stanza) bool {
		return against(s, junos.Change{Add: []junos.Stanza{s}})
	})
	p.change.Remove = slices.DeleteFunc(slices.Clone(p.change.Remove), func(s junos.Stanza) bool {
		return against(s, junos.Change{Remove: []junos.Stanza{s}})
	})
	p.change.Edit = slices.DeleteFunc(slices.Clone(p.change.Edit), func(e junos.Edit) bool {
		return against(e.To, junos.Change{Edit: []junos.Edit{e}})
	})
	return p
}

// missing is the peers of what a commit of the change should have done to the stanzas and has not.
func missing(change junos.Change, stanzas []junos.Stanza) (peers []netip.Addr) {
	there := byPlace(stanzas)
	for _, s := range change.Add {
		if _, ok := there[s.Place()]; !ok {
			peers = append(peers, s.Peer)
		}
	}
	for _, s := range change.Remove {
		if _, ok := there[s.Place()]; ok {
			peers = append(peers, s.Peer)
		}
	}
	for _, e := range change.Edit {
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
