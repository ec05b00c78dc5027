package nd

import (
	"math/rand/v2"
	"time"
)

const (
	defaultInterval = 30 * time.Second

	// RFC 4861 section 10.
	minDelayBetweenRAs = 3 * time.Second
	maxRADelay         = 500 * time.Millisecond

	// maxSolicitInterval is short beside RFC 7559's MRT, an hour: a network may
	// have no router at all, but an uplink has a leaf.
	maxSolicitInterval = 30 * time.Second
)

// opening returns the wait after the nth message of its kind on a link that
// has just come up, and false when it is up for long enough.
func opening(n int) (time.Duration, bool) {
	waits := [...]time.Duration{250 * time.Millisecond, 750 * time.Millisecond, minDelayBetweenRAs}
	if n >= len(waits) {
		return 0, false
	}
	return waits[n], true
}

// advertising says when to advertise.
type advertising struct {
	interval time.Duration
	count    int
	last     time.Time
	next     time.Time
}

// sent plans the advertisement after the one sent now.
func (a *advertising) sent(now time.Time) (next time.Time) {
	wait, ok := opening(a.count)
	if !ok || wait > a.interval {
		wait = jitter(a.interval)
	}
	a.count++
	a.last, a.next = now, now.Add(wait)
	return a.next
}

// solicited brings the next advertisement forward (RFC 4861 section 6.2.6): it
// comes after a random delay, and not too soon after the last one.
func (a *advertising) solicited(now time.Time) (next time.Time) {
	at := now.Add(rand.N(maxRADelay))
	if soonest := a.last.Add(minDelayBetweenRAs); at.Before(soonest) {
		at = soonest
	}
	if at.Before(a.next) {
		a.next = at
	}
	return a.next
}

// soliciting says when to solicit.
type soliciting struct {
	count int
	wait  time.Duration // after the one sent last
}

// sent plans the solicitation after the one sent now: the first ones quickly,
// then each wait up to twice the one before (RFC 7559 section 2).
func (s *soliciting) sent(now time.Time) (next time.Time) {
	wait, ok := opening(s.count)
	if !ok {
		wait = jitter(min(2*s.wait, maxSolicitInterval))
	}
	s.count++
	s.wait = wait
	return now.Add(wait)
}

// jitter returns between three quarters of d and d.
func jitter(d time.Duration) time.Duration { return d - rand.N(d/4+1) }
