package switchagent

import (
	"errors"
	"time"

	"lastmile/switchagent/junos"
)

// pace decides when a change may be committed: not before what is wanted has waited for long enough
// to bring others with it, not more often than the rate, and not soon after a failure.
type pace struct {
	rate  float64 // commits a minute, in the long run
	burst float64 // commits at once
	// spread is the least time between two commits once half of the burst is used up: messages of
	// syslog make polls four times a second, and would leave nothing for what comes a little later.
	spread time.Duration

	last    time.Time // that take was true
	tokens  float64
	filled  time.Time
	failure backoff
	trial   backoff   // after one that was not confirmed
	after   time.Time // no attempt before
	locked  time.Time // since when somebody else has the database
	waiting map[junos.Place]time.Time
}

func newPace(perMinute, burst int, poll time.Duration) *pace {
	return &pace{
		spread: min(poll*7/8, time.Minute/time.Duration(perMinute)), // polls are never quite an interval apart
		rate:   float64(perMinute), burst: float64(burst), tokens: float64(burst),
		failure: backoff{first: time.Second, most: time.Minute},
		waiting: map[junos.Place]time.Time{},
	}
}

// see notes what is to be committed, and returns how long the oldest of it has waited.
func (c *pace) see(now time.Time, change junos.Change) (oldest time.Duration) {
	wanted := byPlace(change.Stanzas())
	for place := range c.waiting {
		if _, ok := wanted[place]; !ok {
			delete(c.waiting, place)
		}
	}
	for place := range wanted {
		since, ok := c.waiting[place]
		if !ok {
			since = now
			c.waiting[place] = now
		}
		oldest = max(oldest, now.Sub(since))
	}
	return oldest
}

// take takes the right to one attempt, if there is one.
func (c *pace) take(now time.Time) bool {
	if now.Before(c.after) {
		return false
	}
	if !c.filled.IsZero() {
		c.tokens = min(c.burst, c.tokens+c.rate*now.Sub(c.filled).Minutes())
	}
	c.filled = now
	if c.tokens < 1 || c.tokens <= c.burst/2 && now.Sub(c.last) < c.spread {
		return false
	}
	c.tokens--
	c.last = now
	return true
}

// failed puts the next attempt off and says for how long.
func (c *pace) failed(now time.Time) time.Duration {
	pause := c.failure.pause()
	c.after = now.Add(pause)
	return pause
}

// takenBack puts the next attempt off after a commit that was not confirmed in a window.
func (c *pace) takenBack(now time.Time, window time.Duration) {
	c.trial.first, c.trial.most = window, time.Hour // a longer window is not cut: no pause is shorter than the first
	c.after = now.Add(c.trial.pause())
}

// lock notes an attempt, and returns for how long somebody else has been at work in the database by then.
func (c *pace) lock(now time.Time, err error) time.Duration {
	if !errors.Is(err, junos.ErrLocked) && !errors.Is(err, junos.ErrDirty) && !errors.Is(err, junos.ErrUnconfirmed) {
		c.locked = time.Time{}
		return 0
	}
	if c.locked.IsZero() {
		c.locked = now
	}
	return now.Sub(c.locked)
}

// done forgets failures.
func (c *pace) done() {
	c.failure.reset()
	c.after, c.locked = time.Time{}, time.Time{}
}
