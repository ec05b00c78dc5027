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

// lookAround asks for what nothing is decided by, when it is time. It comes after a poll that leaves nothing under way: no
// commit waits for it, and no trial. Only a lost session is an error, or the end of ctx.
func (a *Agent) lookAround(ctx context.Context, l leaf, stanzas []junos.Stanza) error {
	now := time.Now()
	if a.usage.due(now) {
		if err := a.watchUsage(ctx, l); errors.Is(err, junos.ErrLost) || ctx.Err() != nil {
			return err
		} else if err != nil {
			a.log.Warn("database usage is not known", "err", err)
		}
	}
	if a.sessions.due(now) {
		if err := a.watchSessions(ctx, l, stanzas); errors.Is(err, junos.ErrLost) || ctx.Err() != nil {
			return err
		} else if err != nil {
			a.log.Warn("sessions are not known", "err", err)
		}
	}
	return nil
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

// watchSessions looks what the servers announce, and how much of it the leaf rejects.
func (a *Agent) watchSessions(ctx context.Context, l leaf, stanzas []junos.Stanza) error {
	sessions, err := l.sessions(ctx)
	if err != nil {
		return err
	}
	links, states := announcedBy(sessions, stanzas)
	a.metrics.announced(links, states)
	return a.watchRejected(ctx, l, rejectingOf(sessions, stanzas))
}
