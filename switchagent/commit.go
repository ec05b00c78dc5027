package switchagent

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
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
	a.waitForLock(now, err)
	if outcome == junos.Pending {
		a.role.sure = now
	}
	if outcome == junos.Pending || outcome == junos.Unknown && a.cfg.Database == junos.Shared {
		a.log.Info("commit is on trial", "changes", p.size(), "outcome", outcome, "window", a.cfg.Confirm)
		a.trial = &trial{
			plan: p, change: change, begun: begun, answered: now, lost: outcome == junos.Unknown,
			patience: a.cfg.ConfirmAfter, window: a.window(),
		}
		a.audience.ended(outcome, nil)
		return err
	}
	a.audience.ended(outcome, err)
	if outcome == junos.Unknown {
		a.asked = p
	}
	switch {
	case outcome == junos.Applied:
		a.role.sure = now
		a.accepted(p)
		a.besideAnother(err)
	case errors.Is(err, junos.ErrChanged): // somebody was faster: the next poll sees it
		a.pace.failed(now)
		a.log.Info("commit given up", "err", err)
	case ctx.Err() != nil: // we were told to stop: the next run looks it up
	case outcome == junos.Refused && a.putAside(now, p, err):
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
		if a.role.yield() {
			a.log.Info("standing by", "err", err)
			a.metrics.role(a.role)
		}
	case err != nil && !errors.Is(err, junos.ErrLost):
		a.log.Warn("commit is done, and whether another agent was at work is not known", "err", err)
	}
}

// waitForLock notes since when somebody else is at work in the database.
func (a *Agent) waitForLock(now time.Time, err error) {
	if !errors.Is(err, junos.ErrLocked) && !errors.Is(err, junos.ErrDirty) && !errors.Is(err, junos.ErrUnconfirmed) {
		a.locked = time.Time{}
	} else if a.locked.IsZero() {
		a.locked = now
	}
	a.metrics.lockWait(now, a.locked)
}

// accepted notes a commit that is done.
func (a *Agent) accepted(p plan) {
	a.applied = p
	a.removals.note(time.Now(), p)
	a.quarantine.applied(p.change)
	a.metrics.drift.WithLabelValues(driftRestore).Add(float64(a.drift.committed(time.Now(), p.change)))
	if a.role.write() {
		a.log.Info("taking over: what the leaf needed was not committed by another", "after", a.role.patience.Round(time.Millisecond))
		a.metrics.role(a.role)
	}
	for _, s := range p.change.Add {
		a.logChange("neighbour added", s)
	}
	for _, s := range p.change.Remove {
		a.logChange("neighbour removed", s)
	}
	for _, e := range p.change.Edit {
		a.logChange("neighbour changed", e.To)
	}
}

func (a *Agent) logChange(what string, s junos.Stanza) {
	a.log.Info(what, "link", s.Peer.Zone(), "peer", s.Peer.WithZone(""), "group", s.Group)
}

// putAside puts the stanzas that the leaf refused into quarantine, and says whether the others
// are worth a commit at once.
func (a *Agent) putAside(now time.Time, p plan, err error) bool {
	all := p.change.Stanzas()
	blamed, general := junos.Blame(err, all)
	if general {
		return false
	}
	aside, again := a.quarantine.refused(now, all, blamed)
	for _, s := range aside {
		bad := a.quarantine.bad[s.Place()]
		bad.peer, bad.why = s.Peer, err
		a.log.Warn("neighbour quarantined: the leaf refuses its stanza", "link", s.Peer.Zone(), "peer", s.Peer.WithZone(""), "err", err,
			a.retry(bad.until.Sub(now).Round(time.Second)))
	}
	return again
}

// judge looks whether a commit on trial is good, and tells the leaf. The session may be another than
// that of the commit.
func (a *Agent) judge(ctx context.Context, l leaf, seen tables) error {
	now, t := time.Now(), a.trial // before they are read: what is seen is at least as old
	g, err := l.guards(ctx)
	if err != nil {
		a.pollFailed(err)
		return err
	}
	if gone := missing(t.change, seen.stanzas); len(gone) > 0 {
		return a.takenBack(ctx, l, gone)
	}
	t.lost = false
	if t.bad == nil {
		var good bool
		if good, t.bad = t.judge(now, seen, g); good {
			return a.confirm(ctx, l)
		}
		if t.bad == nil {
			return nil
		}
		if t.asked { // the confirmation may have been heard, and what has failed since is another matter
			outcome, err := l.confirm(ctx, t.change, false)
			if outcome == junos.Applied {
				a.confirmed(t)
				return nil
			}
			if err != nil {
				t.bad = nil
				return err
			}
		}
		// The lock is kept until the leaf has taken the commit back: somebody's commit would confirm it.
		a.log.Error("commit is not confirmed, the leaf takes it back", "err", t.bad, "within", (t.window - now.Sub(t.answered)).Round(time.Second))
		a.setHealth(func(h *health) { h.commit = t.bad })
	}
	if !t.over(now) {
		return nil
	}
	return a.takenBack(ctx, l, nil)
}

// takenBack ends a trial whose change is not there, or is somebody else's by now.
func (a *Agent) takenBack(ctx context.Context, l leaf, gone []netip.Addr) error {
	t := a.trial
	_, err := l.confirm(ctx, t.change, false)
	switch {
	case t.bad != nil:
		a.unconfirmed(t.bad)
	case t.lost: // it never took effect, and may be tried again
		a.trial = nil
		a.audience.ended(junos.Refused, errNotInEffect)
	default:
		a.unconfirmed(fmt.Errorf("the leaf has taken back %v before it was confirmed", gone))
	}
	return err
}

func (a *Agent) confirm(ctx context.Context, l leaf) error {
	t := a.trial
	outcome, err := a.busy(func() (junos.Outcome, error) { return l.confirm(ctx, t.change, true) })
	busy := errors.Is(err, junos.ErrLocked) || errors.Is(err, junos.ErrDirty)
	switch {
	case outcome == junos.Applied:
		a.confirmed(t)
	case outcome == junos.Unknown, errors.Is(err, junos.ErrLost):
		t.asked = true // the next session looks
	case busy && t.inTime(time.Now()): // the next poll tries again
	default:
		a.unconfirmed(fmt.Errorf("confirmation %s: %w", outcome, err))
	}
	return err
}

// confirmed ends a trial whose commit stands.
func (a *Agent) confirmed(t *trial) {
	a.trial = nil
	a.trialPause.reset()
	a.metrics.committed(junos.Applied, nil, t.change)
	a.accepted(t.plan)
	a.audience.ended(junos.Applied, nil)
}

// window is how long the leaf waits for a confirmation.
func (a *Agent) window() time.Duration { return a.cfg.Confirm / time.Minute * a.minute }

// unconfirmed ends a trial whose commit the leaf takes back.
func (a *Agent) unconfirmed(err error) {
	a.trial = nil
	a.drift.forget() // what is missing now was taken back
	a.trialPause.first, a.trialPause.most = a.window(), max(a.window(), time.Hour)
	a.metrics.commits.WithLabelValues(resultUnconfirmed).Inc()
	a.audience.ended(junos.Refused, fmt.Errorf("not confirmed, the leaf takes it back: %v", err))
	a.commitFailed(err)
	a.pace.after = time.Now().Add(a.trialPause.pause())
}

// verify compares what the database holds with what the last commit was to make of it. A leaf
// that confirms and does nothing must not be made to commit the same in every poll.
func (a *Agent) verify(seen tables) {
	if a.applied.empty() {
		return
	}
	unchanged := missing(a.applied.change, seen.stanzas)
	a.applied = plan{}
	if len(unchanged) > 0 {
		a.commitFailed(fmt.Errorf("the last commit was confirmed and changed nothing of %v", unchanged))
		return
	}
	a.commitDone()
}

func (a *Agent) commitFailed(err error) {
	pause := a.pace.failed(time.Now())
	if !a.once {
		a.log.Warn("commit failed", "err", err, "retry", pause.Round(time.Millisecond))
	}
	a.setHealth(func(h *health) { h.commit = err })
}

// commitBlocked notes that something waits for somebody to mend the leaf's configuration.
func (a *Agent) commitBlocked(err error) {
	if last := a.health.Load().commit; !a.once && (last == nil || last.Error() != err.Error()) {
		a.log.Warn("nothing is committed", "err", err)
	}
	a.setHealth(func(h *health) { h.commit = err })
}

// commitDone notes that nothing waits any more.
func (a *Agent) commitDone() {
	a.pace.done()
	a.locked = time.Time{}
	a.metrics.lockWait(a.locked, a.locked)
	a.setHealth(func(h *health) { h.commit = nil })
}
