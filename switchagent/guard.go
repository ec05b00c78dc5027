package switchagent

import (
	"net/netip"
	"slices"

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
}

// guarded is the plan without what the leaf's state forbids. All rules are for the side of doing
// nothing: what is not known for sure is not touched.
func (p plan) guarded(g guards) plan {
	result := p.none()
	g.sessions = g.located(p.from)
	result.up = g.established()
	for _, s := range p.add {
		if reason := g.forbidAdd(s); reason != "" {
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
	for _, e := range p.edit {
		if !keepsSession(e) && !g.mayRemove(e.From) {
			result.refused[e.To.Peer] = established
			result.waiting = append(result.waiting, e)
			if e = e.Gentle(); e.From.Same(e.To) {
				continue // what else is to change waits for the session to go down
			}
		}
		result.edit = append(result.edit, e)
	}
	switch {
	case result.empty():
	case g.group != nil:
		return result.blockedBy(g.group, unusableGroup)
	default:
		if result = result.proved(g); g.readsOnly && result.blocked == nil {
			blocked := result.blockedBy(errReadsOnly, readsOnly)
			blocked.would = result.change()
			return blocked
		}
	}
	return result
}

// proved is the plan without the stanzas that cannot be proved harmless. They hold up none of the others: what
// is left is proved once more as a whole.
func (p plan) proved(g guards) plan {
	whole := g.prove(p.change())
	if whole == nil {
		return p
	}
	harmless := func(s junos.Stanza, one junos.Change) bool {
		one.From = p.from
		err := g.prove(one)
		if err != nil {
			p.refused[s.Peer] = unproven
		}
		return err == nil
	}
	p.add = slices.DeleteFunc(slices.Clone(p.add), func(s junos.Stanza) bool { return !harmless(s, junos.Change{Add: []junos.Stanza{s}}) })
	p.remove = slices.DeleteFunc(slices.Clone(p.remove), func(s junos.Stanza) bool { return !harmless(s, junos.Change{Remove: []junos.Stanza{s}}) })
	p.edit = slices.DeleteFunc(slices.Clone(p.edit), func(e junos.Edit) bool { return !harmless(e.To, junos.Change{Edit: []junos.Edit{e}}) })
	if p.empty() || g.prove(p.change()) != nil {
		return p.blockedBy(whole, unproven)
	}
	return p
}

// blockedBy is the plan with nothing to do, for a reason that is no neighbour's.
func (p plan) blockedBy(reason error, shown refusal) plan {
	for _, s := range p.add {
		p.refused[s.Peer] = shown
	}
	p = p.none()
	p.blocked = reason
	return p
}

func (g guards) forbidAdd(s junos.Stanza) refusal {
	peer := s.Peer
	ifl, known := g.interfaces[peer.Zone()]
	if !known {
		return unknownInterface
	}
	if slices.ContainsFunc(ifl.Addrs, notLinkLocal) {
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
	return ""
}

func notLinkLocal(prefix netip.Prefix) bool {
	return !prefix.Addr().IsLinkLocalUnicast() || prefix.Addr().Is4()
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
