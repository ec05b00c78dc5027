package hostagent

import (
	"context"
	"time"

	"lastmile/hostagent/bgp"
)

// onBGP follows sessions and routes.
func (a *Agent) onBGP(ctx context.Context, n bgp.News) {
	switch n := n.(type) {
	case bgp.PeerState:
		a.onPeerState(ctx, n)
	case bgp.Update:
		u := a.byLeaf(n.Peer)
		if u == nil || !u.established() {
			return // of a session that has been given up since
		}
		if u.fault != "" && u.fault != byNeighbour {
			return // the same: BGP has been told, and says so next
		}
		u.updated = time.Now()
		if n.EndOfRIB && !u.endOfRIB {
			u.endOfRIB, u.wholeAt = true, u.updated
		}
		routes := routesOf(n.Announced)
		a.apply(a.rib.Update(n.Peer, routes, n.Withdrawn))
		if n.EndOfRIB {
			a.apply(a.rib.Sweep(n.Peer))
		}
	}
}

func (a *Agent) onPeerState(ctx context.Context, s bgp.PeerState) {
	u := a.byLeaf(s.Peer)
	if u == nil {
		return
	}
	if s.State == u.session.State {
		u.session.Reason = s.Reason
		return
	}
	was := u.session
	u.session, u.updated, u.endOfRIB = s, time.Time{}, false
	switch {
	case u.established():
		u.fault = ""
		kept := !u.keptUntil.IsZero() && s.Kept
		u.bfd.back(kept)
		a.replaced(s.Peer)
		a.returns(u, kept)
		a.metrics.transitions.WithLabelValues(u.link.Name, "up").Inc()
		a.back(u)
	case was.State == bgp.Established:
		a.lost(u, s)
		a.metrics.transitions.WithLabelValues(u.link.Name, "down").Inc()
		u.since = time.Now()
		// The leaf may have been replaced, by one that has been heard already or
		// that would not advertise itself for half a minute.
		if s.Stale == 0 && u.other.IsValid() && u.heard.After(was.Since) {
			a.peerWith(ctx, u, u.other)
		}
		a.solicit(ctx, u)
	}
}
