package switchagent

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"lastmile/switchagent/junos"
)

// guards is what else must be known before anything is changed.
type guards struct {
	sessions   []junos.Session
	static     []junos.Stanza       // of others; a routing daemon that has just started lists no sessions yet
	others     map[junos.Place]bool // where others' neighbours stand, in the static configuration
	interfaces map[string]junos.Interface
	config     junos.Static // tells where Junos discovers neighbours by itself
	readsOnly  bool         // nothing can be committed by this transport
	group      error        // why no neighbour of the configured group can have a session
	noAS       error        // why none can have one without an AS of its own
}

// guarded is the plan without what the leaf's state forbids. All rules are for the side of doing
// nothing: what is not known for sure is not touched.
func (p plan) guarded(g guards) plan {
	g.sessions = g.located(p.change.From)
	p.up = g.established()
	p = p.gentle(g).without(g.forbid)
	if p.has(unusableGroup) {
		p.blocked = g.noAS
	}
	switch {
	case p.empty():
		return p
	case g.group != nil:
		return p.leaveOut(g.group, unusableGroup)
	}
	if p = p.proved(g); g.readsOnly && !p.empty() {
		would := p.change
		p = p.leaveOut(errReadsOnly, readsOnly)
		p.would = would
	}
	return p
}

// gentle is the plan without the parts of edits that would end a session, or leave the neighbour without an AS. They wait.
func (p plan) gentle(g guards) plan {
	p.refused = maps.Clone(p.refused)
	edits := p.change.Edit
	p.change.Edit = nil
	for _, e := range edits {
		if reason := g.postpone(e); reason != "" {
			p.refused[e.To.Peer] = reason
			p.waiting = append(p.waiting, e)
			if e = e.Gentle(); e.From.Same(e.To) {
				continue
			}
		}
		p.change.Edit = append(p.change.Edit, e)
	}
	return p
}

// postpone says why an edit is not made as a whole.
func (g guards) postpone(e junos.Edit) refusal {
	switch {
	case !keepsSession(e) && !g.mayRemove(e.From):
		return established
	case g.noAS != nil && e.To.PeerAS == 0 && e.From.PeerAS != 0:
		return unusableGroup
	}
	return ""
}

// proved is the plan without the stanzas that cannot be proved harmless. They hold up none of the others: what
// is left is proved once more as a whole.
func (p plan) proved(g guards) plan {
	if g.prove(p.change) == nil {
		return p
	}
	var faults []error
	p = p.without(func(_ junos.Stanza, part junos.Change) refusal {
		if err := g.prove(part); err != nil {
			faults = append(faults, err)
			return unproven
		}
		return ""
	})
	p.blocked = errors.Join(p.blocked, inAnyOrder(faults))
	if err := g.prove(p.change); err != nil {
		return p.leaveOut(err, unproven)
	}
	return p
}

// inAnyOrder joins errors to one that is the same however they were found.
func inAnyOrder(all []error) error {
	slices.SortFunc(all, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(all...)
}

// leaveOut is the plan with nothing to do, for a reason that is no neighbour's.
func (p plan) leaveOut(reason error, shown refusal) plan {
	p = p.without(func(junos.Stanza, junos.Change) refusal { return shown })
	p.blocked = errors.Join(p.blocked, reason)
	return p
}

// forbid says why a stanza is not added or removed.
func (g guards) forbid(s junos.Stanza, part junos.Change) refusal {
	switch {
	case len(part.Add) > 0:
		return g.forbidAdd(s)
	case len(part.Remove) > 0 && !g.mayRemove(s):
		return established
	}
	return ""
}

func (g guards) forbidAdd(s junos.Stanza) refusal {
	peer := s.Peer
	ifl, known := g.interfaces[peer.Zone()]
	if !known {
		return unknownInterface
	}
	if owned(ifl) {
		return addressed
	}
	if g.config.Discovers(peer.Zone()) {
		return native
	}
	if g.others[s.Place()] || // the statement is there, whatever its interface: it would be changed
		slices.ContainsFunc(g.sessions, func(s junos.Session) bool { return same(s.Peer, peer) }) ||
		slices.ContainsFunc(g.static, func(s junos.Stanza) bool { return same(s.Peer, peer) }) {
		return foreign
	}
	if s.PeerAS == 0 && g.noAS != nil {
		return unusableGroup
	}
	return ""
}

// owned says whether an interface has an address other than link-local ones: it is somebody else's.
func owned(ifl junos.Interface) bool {
	return slices.ContainsFunc(ifl.Addrs, func(prefix netip.Prefix) bool {
		return !prefix.Addr().IsLinkLocalUnicast() || prefix.Addr().Is4()
	})
}

// mayRemove is false while routes flow. A leaf that lists no session at all has just started its
// routing daemon, and what it does not say is not known.
func (g guards) mayRemove(s junos.Stanza) bool {
	return len(g.sessions) > 0 && !g.mayBeUp(s.Peer)
}

// mayBeUp says whether a session with the peer is listed that is not surely down.
func (g guards) mayBeUp(peer netip.Addr) bool {
	return slices.ContainsFunc(g.sessions, func(session junos.Session) bool {
		return same(session.Peer, peer) && !session.Down()
	})
}

// established is the sessions that are up.
func (g guards) established() (up []junos.Session) {
	for _, s := range g.sessions {
		if s.Established() {
			up = append(up, s)
		}
	}
	return up
}

// keepsSession says whether a session lives through an edit.
func keepsSession(e junos.Edit) bool {
	commands := junos.Change{Edit: []junos.Edit{e}}.Commands()
	return !slices.ContainsFunc(commands, func(c junos.Command) bool { return !c.KeepsSession() })
}

// located is the sessions with the interfaces that the leaf does not name, by our stanzas and those of
// others.
func (g guards) located(ours []junos.Stanza) []junos.Session {
	return located(g.sessions, slices.Concat(ours, g.static))
}

// located is the sessions with the interfaces that the leaf does not name: those of the stanzas, where
// only one has the address.
func located(sessions []junos.Session, stanzas []junos.Stanza) []junos.Session {
	owners := map[netip.Addr][]netip.Addr{}
	for _, s := range stanzas {
		if bare := s.Peer.WithZone(""); !slices.Contains(owners[bare], s.Peer) {
			owners[bare] = append(owners[bare], s.Peer)
		}
	}
	sessions = slices.Clone(sessions)
	for i, s := range sessions {
		if peers := owners[s.Peer]; s.Peer.Zone() == "" && len(peers) == 1 {
			sessions[i].Peer = peers[0]
		}
	}
	return sessions
}

// same compares a peer of the session table, which need not name the interface, with that of a
// stanza, which should.
func same(listed, peer netip.Addr) bool {
	bare := listed.WithZone("") == peer.WithZone("")
	return bare && (listed.Zone() == "" || peer.Zone() == "" || listed.Zone() == peer.Zone())
}
