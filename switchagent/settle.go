package switchagent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"lastmile/switchagent/junos"
)

// pending is the commit of which it is not known yet that the leaf holds it for good. It is in one of three states.
type pending struct {
	asked   *junos.Change // its answer was lost
	applied *junos.Change // the leaf has confirmed it; the next poll shows whether it holds it
	trial   *trial        // the leaf takes it back unless it is confirmed
}

// unfinished says that there is such a commit.
func (p pending) unfinished() bool { return p.asked != nil || p.applied != nil || p.trial != nil }

// errNotInEffect is what became of a commit whose answer was lost, if the leaf does not have it.
var errNotInEffect = errors.New("the leaf does not have the commit whose answer was lost")

// readBack looks what became of a commit whose answer was lost or made no sense.
func (a *Agent) readBack(seen tables) {
	change := a.asked
	if change == nil {
		return
	}
	a.asked = nil
	if len(missing(*change, seen.stanzas)) > 0 {
		a.audience.ended(junos.Refused, errNotInEffect)
		return
	}
	a.log.Info("commit has taken effect, although its answer was lost", "changes", len(change.Stanzas()))
	a.accepted(*change)
	a.audience.ended(junos.Applied, nil)
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
	a.pace.trial.reset()
	a.metrics.committed(junos.Applied, nil, t.change)
	a.accepted(t.change)
	a.audience.ended(junos.Applied, nil)
}

// window is how long the leaf waits for a confirmation.
func (a *Agent) window() time.Duration { return a.cfg.Confirm / time.Minute * a.minute }

// unconfirmed ends a trial whose commit the leaf takes back.
func (a *Agent) unconfirmed(err error) {
	a.trial = nil
	a.planner.drift.forget() // what is missing now was taken back
	a.metrics.commits.WithLabelValues(resultUnconfirmed).Inc()
	a.audience.ended(junos.Refused, fmt.Errorf("not confirmed, the leaf takes it back: %v", err))
	a.commitFailed(err)
	a.pace.takenBack(time.Now(), a.window())
}

// verify compares what the database holds with what the last commit was to make of it. A leaf
// that confirms and does nothing must not be made to commit the same in every poll.
func (a *Agent) verify(seen tables) {
	if a.applied == nil {
		return
	}
	unchanged := missing(*a.applied, seen.stanzas)
	a.applied = nil
	if len(unchanged) > 0 {
		a.commitFailed(fmt.Errorf("the last commit was confirmed and changed nothing of %v", unchanged))
		return
	}
	a.commitDone()
}
