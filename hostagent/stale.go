package hostagent

import (
	"context"
	"time"

	"lastmile/hostagent/bgp"
)

// A leaf whose BGP restarts while it forwards on (RFC 4724) stays in the
// routes, for as long as its link is up.

// lost takes the leaf out of the routes, or keeps its routes while it restarts.
func (a *Agent) lost(u *uplink, s bgp.PeerState) {
	if s.Stale == 0 || u.fault != "" {
		at := time.Now()
		a.forgo(u)
		if u.fault == "" {
			a.blame(u, byBGP, at)
		}
		return
	}
	u.keptUntil = time.Now().Add(s.Stale)
	a.apply(a.rib.Stale(s.Peer))
	a.log.Info("leaf restarts, its routes are kept", "link", u.link.Name, "peer", s.Peer, "for", s.Stale)
}

// forgo takes the leaf out of the routes.
func (a *Agent) forgo(u *uplink) {
	a.leafLost(u.leaf) // at once: a large table takes a second to work through
	a.apply(a.rib.Drop(u.leaf))
	u.keptUntil, u.waitsFor = time.Time{}, ""
}

// back notes that the leaf has its session again. Unless it has forwarded on,
// what is kept is not good; otherwise it has until its End-of-RIB.
func (a *Agent) back(u *uplink) {
	u.keptUntil = time.Time{}
	if !u.session.Kept {
		a.apply(a.rib.Sweep(u.leaf))
	}
}

// expire gives up a leaf that has not come back in time.
func (a *Agent) expire(u *uplink) {
	if u.keptUntil.IsZero() || time.Now().Before(u.keptUntil) {
		return
	}
	a.log.Warn("leaf has not come back in time, its routes go", "link", u.link.Name, "peer", u.leaf)
	at := time.Now()
	a.forgo(u)
	if u.fault == "" {
		a.blame(u, byBGP, at)
	}
}

// speaking returns the context for BGP's work. Where our routes stay on a stop
// the leaves are to keep theirs, so they are not told of it. They are not told
// of an end with an error either, which is the cause of ctx then.
func (a *Agent) speaking(ctx context.Context) context.Context {
	if !a.cfg.KeepRoutesOnStop {
		return ctx
	}
	speaking, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() { cancel(bgp.ErrRestart) })
	return speaking
}
