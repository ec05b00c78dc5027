package hostagent

import (
	"cmp"
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"lastmile/hostagent/bfd"
	"lastmile/hostagent/bfd/worker"
)

// bfdWorker is what the agent asks of the process that runs BFD.
type bfdWorker interface {
	Watch(worker.Watch) error
	Unwatch(netip.Addr)
	Sessions(context.Context) ([]worker.Session, error)
	SetWatchdog(sessions, events *os.File, err error)
	Status() worker.ClientStatus
}

// liveness is what BFD says of the leaf on an uplink.
type liveness struct {
	session worker.Session // the last that was told; not Known before
	known   worker.Session // the last that was Known: a connection to the worker that was lost changes nothing
	refused error          // why there is no session with the timers that are configured
	again   bool           // refused by the client: another worker may take it
	// spoke is the leaf with which BFD was up last, unless that has said
	// AdminDown since: when it comes back, BFD will.
	spoke netip.Addr
	told  uint64 // changes that we were told of
	// wasUp is what is last known of the path: a worker that dies changes nothing,
	// nor does it that the next one has to bring the session up anew.
	wasUp bool
	upAs  uint32    // the discriminator of ours with which it was up
	anew  time.Time // since when another worker tries; zero if none does
}

// reviveWithin is for how long a path that was up counts as up, to rules that are
// strict, while the session of another worker is not.
const reviveWithin = 30 * time.Second

// up says whether the path is up, for all that is known.
func (l *liveness) up() bool {
	return l.wasUp && (l.anew.IsZero() || time.Since(l.anew) < reviveWithin)
}

// follow takes in what a worker knows of the session.
func (l *liveness) follow(s worker.Session) {
	switch {
	case s.State == bfd.Up:
		l.wasUp, l.upAs, l.anew = true, s.Discriminator, time.Time{}
	case s.Discriminator == l.upAs || s.Failures > 0:
		l.wasUp = false
	case l.anew.IsZero():
		l.anew = time.Now()
	}
}

// back notes that the leaf has its BGP session again, kept if it has forwarded on
// meanwhile. Another worker that tries has its time from now on then; otherwise
// what was before the session is nothing to go by.
func (l *liveness) back(kept bool) {
	switch {
	case l.anew.IsZero():
	case kept:
		l.anew = time.Now()
	default:
		l.wasUp = false
	}
}

// awaitsBFD says that the leaf spoke BFD and does not now. That another worker has
// not found it so is no reason while BGP goes on: the leaf answers, and a session
// that was never up says nothing of the path (RFC 5882 section 3.2).
func (u *uplink) awaitsBFD() bool {
	return u.bfd.spoke.IsValid() && u.bfd.spoke == u.leaf && !u.bfd.wasUp
}

// startBFD starts the client of the worker, whose socket is beside ours.
func (a *Agent) startBFD(ctx context.Context) <-chan worker.News {
	a.logBFD()
	client := worker.New(worker.Config{
		Socket: filepath.Join(filepath.Dir(a.cfg.Socket), "bfd-worker.sock"),
		Orphan: worker.DefaultOrphan,
		Claim:  worker.DefaultClaim,
		Log:    a.log,
	})
	a.bfd = client
	a.running.Store(client)
	a.handWatchdog()
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- client.Run(ctx) }()
	a.stopBFD = func() error { cancel(); return <-done }
	return client.News()
}

// bfdClient returns the client for those outside the loop, nil before it runs.
func (a *Agent) bfdClient() bfdWorker {
	if client := a.running.Load(); client != nil {
		return client
	}
	return nil
}

// endBFD ends BFD on an orderly stop: the leaves are told so. Otherwise the
// worker is left alone: what we leave in the kernel forwards on, and the next
// run takes both over.
func (a *Agent) endBFD(asked bool) error {
	if a.stopBFD == nil || !asked || a.cfg.KeepRoutesOnStop {
		return nil
	}
	return a.stopBFD()
}

// logBFD says how long a dead leaf may go unnoticed.
func (a *Agent) logBFD() {
	rules := a.cfg.BFD
	if n := len(rules); n == 0 || len(rules[n-1].Uplinks) > 0 {
		rules = append(slices.Clone(rules), BFDRule{})
	}
	for _, r := range rules {
		if t := r.timers(); r.enabled() {
			a.log.Info("BFD", "uplinks", r.Uplinks, "profile", cmp.Or(r.Profile, anyLeaf), "transmit", t.Transmit, "receive", t.Receive,
				"multiplier", t.Multiplier, "worst_detection", worst(t), "strict", r.Strict)
		} else {
			a.log.Info("no BFD", "uplinks", r.Uplinks)
		}
	}
}

// watch has BFD spoken with the leaf of the uplink, or not, as configured. A
// leaf that does not speak it is a session that stays down, which nothing
// follows from.
func (a *Agent) watch(u *uplink) {
	rule := a.cfg.bfd(u.link.Name)
	if !rule.enabled() {
		a.unwatch(u)
		u.bfd.spoke = netip.Addr{}
		return
	}
	err := a.bfd.Watch(worker.Watch{Peer: u.leaf, Timers: rule.timers()})
	u.bfd.refused, u.bfd.again = err, err != nil
	a.complain("BFD on "+u.link.Name, err)
}

// unwatch ends the session with the leaf.
func (a *Agent) unwatch(u *uplink) {
	a.bfd.Unwatch(u.leaf)
	u.bfd = liveness{spoke: u.bfd.spoke, told: u.bfd.told}
}

// onBFD follows a session.
func (a *Agent) onBFD(ctx context.Context, n worker.News) {
	a.noteBFD(n)
	a.follow(ctx)
}

// noteBFD is onBFD, but for what follows for BGP and the table.
func (a *Agent) noteBFD(n worker.News) {
	u := a.byLeaf(n.Peer)
	switch {
	case u == nil:
		a.inheritedBFD(n)
		return
	case n.Err != nil:
		u.bfd.refused = n.Err
		return
	}
	defer func() { a.neighbours(a.unreachable) }() // they count where BFD is not up
	before := u.bfd.known
	u.bfd.session, u.bfd.refused = n.Session, nil
	if !n.Known {
		return // which is no evidence of anything
	}
	u.bfd.known = n.Session
	a.countUntold(u, before, n)
	u.bfd.follow(n.Session)
	if n.Changed {
		u.bfd.told++
		a.log.Info("BFD session changes", "link", u.link.Name, "peer", u.leaf, "from", n.Change.From, "to", n.State,
			"cause", n.Change.Cause, "diagnostic", n.Change.Diagnostic, "remote_diagnostic", n.Change.RemoteDiagnostic)
		a.metrics.bfdTransitions.WithLabelValues(u.link.Name, n.State.String(), n.Change.Cause.String()).Inc()
	}
	switch {
	case n.State == bfd.Up:
		u.bfd.spoke = u.leaf
	case n.Remote.State == bfd.AdminDown, n.Change.Cause == bfd.PeerAdminDown && n.Change.To == n.State:
		// RFC 5882 section 3.2: nothing follows for the path, now or later.
		u.bfd.spoke = netip.Addr{}
	}
	switch {
	case n.PathFailed(), missed(before, n.Session):
		a.bfdFailed(u, n)
	case !before.Known && n.State != bfd.Up && n.Change.PathFailed():
		// It was up, in the days of an earlier run.
		u.bfd.spoke = u.leaf
		a.inheritedBFD(n)
	}
}

// missed says that a session has failed and come back faster than the news of
// it, or failed while there was no connection to its worker.
func missed(before, now worker.Session) bool {
	return before.Known && before.Discriminator == now.Discriminator && now.Failures > before.Failures
}

// countUntold counts the failures that came and went faster than the news of them.
func (a *Agent) countUntold(u *uplink, before worker.Session, n worker.News) {
	if !missed(before, n.Session) {
		return
	}
	count := map[bfd.Cause]uint64{bfd.Expired: n.Expired - before.Expired}
	count[bfd.PeerDown] = n.Failures - before.Failures - count[bfd.Expired]
	for cause, untold := range count {
		if n.PathFailed() && n.Change.Cause == cause && untold > 0 {
			untold-- // which is told now
		}
		if untold > 0 {
			a.metrics.bfdTransitions.WithLabelValues(u.link.Name, bfd.Down.String(), cause.String()).Add(float64(untold))
		}
	}
}

// inheritedBFD takes a leaf that has died while no hostagent ran out of the
// routes that an earlier one left.
func (a *Agent) inheritedBFD(n worker.News) {
	if a.restart.over || !n.Known || n.State == bfd.Up || !n.Change.PathFailed() || !slices.Contains(a.heritage.Inherited(), n.Peer) {
		return
	}
	a.log.Warn("leaf of an earlier run is dead, says BFD", "link", n.Peer.Zone(), "peer", n.Peer, "since", n.Time())
	a.leafLost(n.Peer)
	a.metrics.faults.WithLabelValues(n.Peer.Zone(), byBFD).Inc()
}
