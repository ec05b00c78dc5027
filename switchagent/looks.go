package switchagent

import (
	"context"
	"errors"
	"time"

	"lastmile/switchagent/junos"
)

// seldom is for what is not worth a question in every poll.
type seldom struct {
	every time.Duration
	next  time.Time // zero: now
}

// due says whether to ask now, which then is done.
func (s *seldom) due(now time.Time) bool {
	if now.Before(s.next) {
		return false
	}
	s.next = now.Add(s.every)
	return true
}

const (
	usageEvery = 5 * time.Minute
	usageHigh  = 0.8 // of the most that the database takes
	// pollsPerLook is in how many polls the leaf is asked once what its servers announce.
	pollsPerLook = 5
)

// lookAround asks for one thing that nothing is decided by, when it is time. It comes after a poll that leaves nothing
// under way: no commit waits for it, and no trial. Of its errors only a lost session matters.
func (a *Agent) lookAround(ctx context.Context, l leaf, stanzas []junos.Stanza) (err error) {
	begin := time.Now()
	over := func() bool { return errors.Is(err, junos.ErrLost) || ctx.Err() != nil }
	switch {
	case a.usage.due(begin):
		if err = a.watchUsage(ctx, l); err != nil && !over() {
			a.log.Warn("database usage is not known", "err", err)
		}
	case a.sessions.due(begin):
		if err = a.watchSessions(ctx, l, stanzas); err != nil && !over() {
			a.log.Warn("sessions are not known", "err", err)
		}
	default:
		err = a.watchRejected(ctx, l)
	}
	a.role.busy(min(time.Since(begin), askFor))
	return err
}

// watchUsage looks how full the database is. What is deleted in an ephemeral one takes
// room for a while, and a full one takes no stanza.
func (a *Agent) watchUsage(ctx context.Context, l leaf) error {
	u, err := l.usage(ctx)
	if err != nil {
		return err
	}
	if a.metrics.usage(u); u.Maximum > 0 && float64(u.Used) > usageHigh*float64(u.Maximum) {
		a.log.Warn("configuration database is filling up", "used", u.Used, "maximum", u.Maximum)
	}
	return nil
}

// watchSessions looks how much the servers announce, and how much of it the leaf rejects.
func (a *Agent) watchSessions(ctx context.Context, l leaf, stanzas []junos.Stanza) error {
	sessions, err := l.sessions(ctx)
	if err != nil {
		return err
	}
	links, states := announcedBy(sessions, stanzas)
	a.metrics.announced(links, states)
	a.rejections.see(rejectingOf(sessions, stanzas))
	a.showRejected()
	return nil
}
