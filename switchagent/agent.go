// Package switchagent gives every server behind a Juniper leaf its stanza: a committed BGP
// neighbor statement.
//
// The Agent polls the leaf's IPv6 neighbours and received router advertisements over one NETCONF
// session, plans, and commits what is missing into an ephemeral configuration instance of its own, or another database:
// observe, plan, guard, prove, commit, settle, in one goroutine. It keeps no state that matters: what it has done is
// read from the switch in every poll, so a restart, a reconnect and a rebooted leaf are nothing
// special. What it does not know for sure it does not touch: a poll that fails, comes back cut off
// or says nothing removes nothing, and no Established session is ever ended: each change is proved
// harmless before it is loaded.
package switchagent

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lastmile/switchagent/junos"
)

// Agent watches one leaf.
type Agent struct {
	cfg     Config
	log     *slog.Logger
	metrics *metrics
	dial    func(context.Context) (leaf, error)
	minute  time.Duration // the leaf's; another in tests
	// once says that a person waits: what goes wrong is the error that they get, and there is no next attempt.
	once     bool
	audience audience
	health   atomic.Pointer[health]
	// syslogAt is where syslog is heard, nil if it is not.
	syslogAt atomic.Pointer[string]

	// All below belongs to Run's goroutine.
	kicks   *kicks
	stock   *stock
	planner *planner // what is to be committed
	pace    *pace    // and when
	role    role     // and by whom
	pending          // what was committed and is not settled
	journal *journal
	answers answers
	booted  time.Time // the leaf, as far as it tells

	usage, sessions seldom
	rejections      *rejections
}

// New prepares an agent; Run starts it.
func New(cfg Config, log *slog.Logger, reg prometheus.Registerer) *Agent {
	a := &Agent{
		cfg:        cfg,
		log:        log,
		metrics:    newMetrics(reg),
		minute:     time.Minute,
		audience:   nobody{},
		kicks:      newKicks(),
		stock:      newStock(cfg.Inventory),
		planner:    newPlanner(cfg),
		pace:       newPace(cfg.CommitRate, cfg.CommitBurst, cfg.PollInterval),
		role:       newRole(cfg.Takeover, cfg.PollInterval),
		journal:    newJournal(log),
		answers:    answers{usual: usualWait},
		usage:      seldom{every: usageEvery},
		sessions:   seldom{every: pollsPerLook * cfg.PollInterval},
		rejections: newRejections(),
	}
	a.dial = a.dialDevice
	a.health.Store(&health{poll: errors.New("starting")})
	a.metrics.role(a.role)
	return a
}

// Run watches the leaf until ctx ends, and dials it again whenever the session is lost. It calls
// ready at once: a leaf that reboots is no reason to restart its agent.
func (a *Agent) Run(ctx context.Context, ready func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := a.listen(ctx); err != nil {
		return err
	}
	ready()
	redial := newRedial()
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
		a.forget()
		if wait := a.answers.late(time.Now(), err); wait > 0 {
			a.log.Warn("leaf did not answer in time, and is given more", "silence", wait)
		}
		a.setHealth(func(h *health) { h.poll = err })
		pause, refused := redial.pause(err)
		if err.Error() != logged {
			logged = err.Error()
			a.log.Warn("no session with the leaf", "err", err, "retry", pause.Round(time.Millisecond))
		}
		if !a.wait(ctx, pause, refused) {
			return nil
		}
	}
}

// forget drops what was known of the leaf when its session was lost: it may be rebooting. A commit
// on trial stays on trial: the next session looks what has become of it.
func (a *Agent) forget() {
	if a.trial != nil && !a.trial.asked && a.trial.over(time.Now()) {
		a.unconfirmed(errors.New("the session was lost until the leaf had taken the commit back"))
	}
	a.applied = nil
	a.planner.forget()
	a.rejections.forget()
}

// session dials and polls until the session is lost or ctx ends.
func (a *Agent) session(ctx context.Context) error {
	l, err := a.dial(ctx)
	a.metrics.dialled(err)
	if err != nil {
		return err
	}
	defer l.Close()
	a.metrics.up.Set(1)
	defer a.metrics.up.Set(0)

	tick := time.NewTicker(a.cfg.PollInterval)
	defer tick.Stop()
	for {
		seen, err := a.poll(ctx, l)
		if err == nil && !a.unfinished() {
			err = a.lookAround(ctx, l, seen.stanzas)
		}
		if errors.Is(err, junos.ErrLost) {
			return err
		}
		switch {
		case a.kicks.next(ctx, tick.C, l.Done()):
		case ctx.Err() != nil:
			return ctx.Err()
		default:
			return l.Err()
		}
	}
}

// poll is one round: what the leaf shows and holds is observed; a plan is made of it, of which the guards and the proof leave
// what is harmless; that is committed when it is time, and what was committed before is settled. Nothing else is asked
// in between: what the guards have read is as old as the commit is late.
func (a *Agent) poll(ctx context.Context, l leaf) (tables, error) {
	if err := a.refreshStock(ctx); err != nil {
		a.pollFailed(err)
		return tables{}, err
	}
	seen, p, err := a.observe(ctx, l)
	if err != nil {
		a.pollFailed(err)
		return tables{}, err
	}
	now := time.Now()
	a.polled(now, seen, p)
	a.audience.looked(seen, p)
	waited := a.pace.see(now, p.change)
	a.metrics.waiting.Set(waited.Seconds())
	switch {
	case a.trial != nil:
		return seen, a.judge(ctx, l, seen)
	case p.empty():
		a.commitDone()
	case waited < a.patience(), !a.pace.take(now): // more may come, or it is too soon
	default:
		return seen, a.commit(ctx, l, p)
	}
	return seen, nil
}

// patience is how long a change waits before it is committed.
func (a *Agent) patience() time.Duration {
	if a.role.writer {
		return a.cfg.BatchWindow
	}
	return a.role.patience
}

// observe reads the tables, settles a commit whose answer was lost, and makes a plan.
func (a *Agent) observe(ctx context.Context, l leaf) (tables, plan, error) {
	seen, err := l.tables(ctx)
	if err != nil {
		return tables{}, plan{}, err
	}
	a.readBack(seen)
	p, err := a.plan(ctx, l, seen)
	if err != nil {
		return tables{}, plan{}, err
	}
	return seen, p, nil
}

// plan makes a plan of what is seen. The guards are read only when it is to change something that
// they have not just refused, and anew each time.
func (a *Agent) plan(ctx context.Context, l leaf, seen tables) (plan, error) {
	now := time.Now()
	if a.role.replaced(now, a.booted, len(seen.stanzas) == 0) {
		a.standBy(slog.String("unseen", "for longer than takeover"))
	}
	wanted := a.planner.want(now, seen)
	if a.trial != nil { // what the database holds may be taken back
		return plan{report: wanted.report}, nil
	}
	p, strange := a.planner.sift(now, wanted)
	if strange > 0 {
		a.standBy(slog.Int("strange", strange))
	}
	if p.empty() {
		return p, nil
	}
	g, err := l.guards(ctx)
	if err != nil {
		return plan{}, err
	}
	return a.planner.guard(now, p, g), nil
}

// standBy leaves the writing to another agent, which is at work or may be.
func (a *Agent) standBy(why slog.Attr) {
	if a.role.yield() {
		a.log.Info("standing by", why)
		a.metrics.role(a.role)
	}
}

// polled notes a good poll.
func (a *Agent) polled(now time.Time, seen tables, p plan) {
	a.metrics.polled(now, seen, p.report, a.cfg.mayTouch)
	a.metrics.quarantined.Set(float64(len(a.planner.quarantine.bad)))
	a.journal.refusals(p.refused)
	a.journal.crowds(p.crowd, a.cfg.SessionsPerPort)
	a.setHealth(func(h *health) { h.polled, h.poll = now, nil })
	a.holdRemovals(p.withheld)
	if a.trial == nil {
		a.leftOut(p.blocked)
		a.verify(seen)
	}
}

// pollFailed notes a bad poll.
func (a *Agent) pollFailed(err error) {
	a.planner.missed()
	a.metrics.pollFailed(err)
	last := a.health.Load().poll
	repeated := last != nil && last.Error() == err.Error()
	if !repeated && !a.once && !errors.Is(err, junos.ErrLost) { // a lost session is logged when it has ended
		a.log.Warn("poll failed", "err", err)
	}
	a.setHealth(func(h *health) { h.poll = err })
}

// traceRPC is called after each RPC.
func (a *Agent) traceRPC(t junos.Trace) {
	a.metrics.rpcs.WithLabelValues(t.RPC).Observe(t.Took.Seconds())
	a.journal.rpc(t)
}
