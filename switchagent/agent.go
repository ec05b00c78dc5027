// Package switchagent gives every server behind a Juniper leaf its stanza: a committed BGP
// neighbor statement.
//
// The Agent polls the leaf's IPv6 neighbours and received router advertisements over one NETCONF
// session, plans, and commits what is missing into an ephemeral configuration instance of its own:
// observe, plan, commit, in one goroutine. It keeps no state that matters: what it has done is
// read from the switch in every poll, so a restart, a reconnect and a rebooted leaf are nothing
// special. What it does not know for sure it does not touch: a poll that fails, comes back cut off
// or says nothing removes nothing, and no Established session is ever removed.
package switchagent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lastmile/switchagent/junos"
)

// Agent watches one leaf.
type Agent struct {
	cfg     Config
	policy  policy
	log     *slog.Logger
	metrics *metrics
	dial    func(context.Context) (leaf, error)
	health  atomic.Pointer[health]

	// All below belongs to Run's goroutine.
	absent      map[junos.Stanza]absence // consecutive good polls only
	refused     map[netip.Addr]refusal   // of the last plan, to log changes once
	verdicts    verdicts                 // of this session
	applied     plan                     // what the last commit should have changed
	commitPause backoff
	commitAfter time.Time         // no commit before
	warned      map[string]string // last warnings by RPC
}

// health is what Health looks at.
type health struct {
	polled time.Time // last good poll
	poll   error     // why none has succeeded since
	commit error     // why neighbours wait for their stanza
}

// New prepares an agent; Run starts it.
func New(cfg Config, log *slog.Logger, reg prometheus.Registerer) *Agent {
	a := &Agent{
		cfg:         cfg,
		policy:      policy{group: cfg.Group, holdDown: cfg.HoldDown, mayTouch: cfg.mayTouch},
		log:         log,
		metrics:     newMetrics(reg),
		commitPause: backoff{first: time.Second, most: time.Minute},
		verdicts:    verdicts{},
		warned:      map[string]string{},
	}
	a.dial = a.dialDevice
	a.health.Store(&health{poll: errors.New("starting")})
	return a
}

// Health says why servers may not be getting their stanza; nil if they are.
func (a *Agent) Health() error {
	h := a.health.Load()
	if h.poll != nil && h.polled.IsZero() {
		return fmt.Errorf("no good poll yet: %w", h.poll)
	}
	if patience := 3*a.cfg.PollInterval + 10*time.Second; time.Since(h.polled) > patience {
		since := time.Since(h.polled).Round(time.Second)
		if h.poll == nil {
			return fmt.Errorf("no good poll for %s: waiting for the leaf", since)
		}
		return fmt.Errorf("no good poll for %s: %w", since, h.poll)
	}
	if h.commit != nil {
		return fmt.Errorf("neighbours wait for a commit: %w", h.commit)
	}
	return nil
}

func (a *Agent) setHealth(change func(*health)) {
	h := *a.health.Load()
	change(&h)
	a.health.Store(&h)
}

// Run watches the leaf until ctx ends, and dials it again whenever the session is lost. It calls
// ready at once: a leaf that reboots is no reason to restart its agent.
func (a *Agent) Run(ctx context.Context, ready func()) error {
	ready()
	redial := backoff{first: time.Second, most: 15 * time.Second}
	logged := "" // a leaf that stays away is one line
	for {
		before := a.health.Load().polled
		err := a.session(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if a.health.Load().polled != before {
			redial.reset()
			logged = ""
		}
		a.absent, a.applied = nil, plan{} // the leaf may be rebooting
		clear(a.verdicts)
		a.setHealth(func(h *health) { h.poll = err })
		pause := redial.pause()
		if err.Error() != logged {
			logged = err.Error()
			a.log.Warn("no session with the leaf", "err", err, "retry", pause.Round(time.Millisecond))
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
}

// session dials and polls until the session is lost or ctx ends.
func (a *Agent) session(ctx context.Context) error {
	l, err := a.dial(ctx)
	if err != nil {
		a.metrics.dials.WithLabelValues(resultError).Inc()
		return err
	}
	defer l.Close()
	a.metrics.dials.WithLabelValues(resultOK).Inc()
	a.metrics.up.Set(1)
	defer a.metrics.up.Set(0)

	tick := time.NewTicker(a.cfg.PollInterval)
	defer tick.Stop()
	for {
		if err := a.poll(ctx, l); errors.Is(err, junos.ErrLost) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// poll is one round: observe, plan, commit.
func (a *Agent) poll(ctx context.Context, l leaf) error {
	seen, p, err := a.observe(ctx, l)
	if err != nil {
		a.pollFailed(err)
		return err
	}
	now := time.Now()
	a.metrics.polled(now, seen, p, a.cfg.mayTouch)
	a.logRefusals(p.refused)
	a.absent, a.refused = p.absent, p.refused
	a.setHealth(func(h *health) { h.polled, h.poll = now, nil })
	a.verify(seen)
	if p.blocked != nil {
		a.commitBlocked(p.blocked)
		return nil
	}
	if p.empty() {
		a.commitDone()
		return nil
	}
	if now.Before(a.commitAfter) {
		return nil
	}
	return a.commit(ctx, l, p)
}

// observe reads the tables and makes a plan of them. The guards are read only when the plan is to
// change something that they have not just refused, and anew each time.
func (a *Agent) observe(ctx context.Context, l leaf) (tables, plan, error) {
	seen, err := l.tables(ctx)
	if err != nil {
		return tables{}, plan{}, err
	}
	now := time.Now()
	p, known := a.verdicts.apply(now, a.policy.plan(now, seen, a.absent))
	if known {
		return seen, p, nil
	}
	g, err := l.guards(ctx)
	if err != nil {
		return tables{}, plan{}, err
	}
	allowed := p.guarded(g)
	a.verdicts.learn(now, p, allowed)
	return seen, allowed, nil
}

// pollFailed forgets all absences: what could not be seen was not absent.
func (a *Agent) pollFailed(err error) {
	a.absent = nil
	a.metrics.pollFailed(err)
	last := a.health.Load().poll
	repeated := last != nil && last.Error() == err.Error()
	if !repeated && !errors.Is(err, junos.ErrLost) { // a lost session is logged when it has ended
		a.log.Warn("poll failed", "err", err)
	}
	a.setHealth(func(h *health) { h.poll = err })
}

// commit makes one commit of the whole plan. Whatever becomes of it, the next poll reads what the
// instance then holds and starts from that.
func (a *Agent) commit(ctx context.Context, l leaf, p plan) error {
	outcome, err := l.commit(ctx, junos.Change{Add: p.add, Remove: p.remove})
	a.metrics.committed(outcome, err, p)
	if ctx.Err() != nil && outcome != junos.Applied {
		return err // we were told to stop: the next run looks it up
	}
	if outcome != junos.Applied {
		a.commitFailed(fmt.Errorf("commit %s: %w", outcome, err))
		return err
	}
	a.applied = p
	for _, s := range p.add {
		a.log.Info("neighbour added", "link", s.Peer.Zone(), "peer", s.Peer.WithZone(""), "group", s.Group)
	}
	for _, s := range p.remove {
		a.log.Info("neighbour removed", "link", s.Peer.Zone(), "peer", s.Peer.WithZone(""), "group", s.Group)
	}
	return nil
}

// verify compares what the instance holds with what the last commit was to make of it. A leaf
// that confirms and does nothing must not be made to commit the same in every poll.
func (a *Agent) verify(seen tables) {
	if a.applied.empty() {
		return
	}
	missing := a.applied.missing(seen.stanzas)
	a.applied = plan{}
	if len(missing) > 0 {
		a.commitFailed(fmt.Errorf("the last commit was confirmed and changed nothing of %v", missing))
		return
	}
	a.commitDone()
}

func (a *Agent) commitFailed(err error) {
	pause := a.commitPause.pause()
	a.commitAfter = time.Now().Add(pause)
	a.log.Warn("commit failed", "err", err, "retry", pause.Round(time.Millisecond))
	a.setHealth(func(h *health) { h.commit = err })
}

// commitBlocked notes that something waits for somebody to mend the leaf's configuration.
func (a *Agent) commitBlocked(err error) {
	if last := a.health.Load().commit; last == nil || last.Error() != err.Error() {
		a.log.Warn("nothing is committed", "err", err)
	}
	a.setHealth(func(h *health) { h.commit = err })
}

// commitDone notes that nothing waits any more.
func (a *Agent) commitDone() {
	a.commitPause.reset()
	a.commitAfter = time.Time{}
	a.setHealth(func(h *health) { h.commit = nil })
}

// logRefusals logs what is new: one line for each neighbour and reason.
func (a *Agent) logRefusals(refused map[netip.Addr]refusal) {
	for peer, reason := range refused {
		if a.refused[peer] == reason {
			continue
		}
		level := slog.LevelWarn
		switch reason {
		case unresolved, notRouter: // as ordinary as a desktop
			level = slog.LevelDebug
		case unusableGroup: // one line says it for all
			level = slog.LevelDebug
		}
		a.log.Log(context.Background(), level, "neighbour refused",
			"link", peer.Zone(), "peer", peer.WithZone(""), "reason", reason)
	}
}

// traceRPC is called after each RPC.
func (a *Agent) traceRPC(t junos.Trace) {
	a.metrics.rpcs.WithLabelValues(t.RPC).Observe(t.Took.Seconds())
	a.log.Debug("rpc", "rpc", t.RPC, "took", t.Took, "err", t.Err)
	if warnings := strings.Join(t.Warnings, "; "); warnings != "" && a.warned[t.RPC] != warnings {
		a.warned[t.RPC] = warnings
		a.log.Info("leaf warned", "rpc", t.RPC, "warnings", warnings)
	}
}
