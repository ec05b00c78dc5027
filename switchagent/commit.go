package switchagent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"lastmile/switchagent/junos"
)

// commit makes one commit of the whole plan. Whatever becomes of it, the next poll reads what the
// database then holds and starts from that.
func (a *Agent) commit(ctx context.Context, l leaf, p plan) error {
	change := p.change
	change.Label = fmt.Sprintf("%016x", rand.Uint64())
	begun := time.Now()
	a.audience.planned(p)
	outcome, err := a.busy(func() (junos.Outcome, error) { return l.commit(ctx, change) })
	now := time.Now()
	a.metrics.committed(outcome, err, change)
	a.metrics.locked.Set(a.pace.lock(now, err).Seconds())
	if outcome == junos.Applied || outcome == junos.Pending {
		a.role.sure = now
	}
	if outcome == junos.Pending || outcome == junos.Unknown && a.cfg.Database == junos.Shared {
		a.log.Info("commit is on trial", "changes", p.size(), "outcome", outcome, "window", a.cfg.Confirm)
		a.trial = &trial{
			change: change, up: p.up, begun: begun, answered: now, lost: outcome == junos.Unknown,
			patience: a.cfg.ConfirmAfter, window: a.window(),
		}
		a.audience.ended(outcome, nil)
		return err
	}
	a.audience.ended(outcome, err)
	if outcome == junos.Unknown {
		a.asked = &change
	}
	switch {
	case outcome == junos.Applied:
		a.accepted(change)
		a.besideAnother(err)
	case errors.Is(err, junos.ErrChanged): // somebody was faster: the next poll sees it
		a.pace.failed(now)
		a.log.Info("commit given up", "err", err)
	case ctx.Err() != nil: // we were told to stop: the next run looks it up
	case outcome == junos.Refused && a.putAside(now, change, err):
	default:
		a.commitFailed(fmt.Errorf("commit %s: %w", outcome, err))
	}
	return err
}

// busy notes that a commit is under way.
func (a *Agent) busy(commit func() (junos.Outcome, error)) (junos.Outcome, error) {
	a.setHealth(func(h *health) { h.committing = true })
	defer a.setHealth(func(h *health) { h.committing, h.free = false, time.Now() })
	return commit()
}

// besideAnother steps back where another agent was at work at the same time. err is what came with a
// commit that is done.
func (a *Agent) besideAnother(err error) {
	switch {
	case errors.Is(err, junos.ErrBeside):
		a.standBy(slog.Any("err", err))
	case err != nil && !errors.Is(err, junos.ErrLost):
		a.log.Warn("commit is done, and whether another agent was at work is not known", "err", err)
	}
}

// accepted notes a commit that is done.
func (a *Agent) accepted(change junos.Change) {
	a.applied = &change
	restored := a.planner.committed(time.Now(), change)
	a.metrics.drift.WithLabelValues(driftRestore).Add(float64(restored))
	if a.role.write() {
		a.log.Info("taking over: what the leaf needed was not committed by another", "after", a.role.patience.Round(time.Millisecond))
		a.metrics.role(a.role)
	}
	for _, s := range change.Add {
		a.logChange("neighbour added", s)
	}
	for _, s := range change.Remove {
		a.logChange("neighbour removed", s)
	}
	for _, e := range change.Edit {
		a.logChange("neighbour changed", e.To)
	}
}

func (a *Agent) logChange(what string, s junos.Stanza) {
	a.log.Info(what, "link", s.Peer.Zone(), "peer", s.Peer.WithZone(""), "group", s.Group)
}

// putAside puts the stanzas that the leaf refused into quarantine, and says whether the others
// are worth a commit at once.
func (a *Agent) putAside(now time.Time, change junos.Change, err error) bool {
	all, q := change.Stanzas(), &a.planner.quarantine
	blamed, general := junos.Blame(err, all)
	if general {
		return false
	}
	aside, again := q.refused(now, all, blamed)
	for _, s := range aside {
		bad := q.bad[s.Place()]
		bad.peer, bad.why = s.Peer, err
		a.log.Warn("neighbour quarantined: the leaf refuses its stanza", "link", s.Peer.Zone(), "peer", s.Peer.WithZone(""), "err", err,
			a.retry(bad.until.Sub(now).Round(time.Second)))
	}
	return again
}

func (a *Agent) commitFailed(err error) {
	pause := a.pace.failed(time.Now())
	if !a.once {
		a.log.Warn("commit failed", "err", err, "retry", pause.Round(time.Millisecond))
	}
	a.setHealth(func(h *health) { h.commit = err })
}

// leftOut notes what waits for somebody to mend the leaf's configuration, or this program; nil if nothing does.
func (a *Agent) leftOut(err error) {
	if last := a.health.Load().blocked; err != nil && !a.once && (last == nil || last.Error() != err.Error()) {
		a.log.Warn("neighbours are left out", "err", err)
	}
	a.setHealth(func(h *health) { h.blocked = err })
}

// commitDone notes that nothing waits that could be committed.
func (a *Agent) commitDone() {
	a.pace.done()
	a.metrics.locked.Set(0)
	a.setHealth(func(h *health) { h.commit = nil })
}

// retry is when there is another attempt, if there is one.
func (a *Agent) retry(pause time.Duration) slog.Attr {
	if a.once {
		return slog.Attr{}
	}
	return slog.Duration("retry", pause)
}
