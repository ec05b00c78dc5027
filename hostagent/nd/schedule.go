package nd

import (
	"math/rand/v2"
	"time"
)

// RFC 4861 section 10, and our own figures for a link that has just come up.
const (
	minDelayBetweenRAs = 3 * time.Second
	maxRADelay         = 500 * time.Millisecond
	defaultInterval    = 30 * time.Second
	// rtrSolicitationMax bounds the wait between solicitations (RFC 7559's MRT
	// is an hour, for networks that may have no router at all).
	rtrSolicitationMax = 30 * time.Second
)

// burst is the wait after each of the first advertisements, and quick that
// after each of the first solicitations.
var (
	burst = [...]time.Duration{250 * time.Millisecond, 750 * time.Millisecond, 3 * time.Second}
	quick = [...]time.Duration{250 * time.Millisecond, 750 * time.Millisecond, time.Second}
)

// advertising says when to advertise.
type advertising struct {
	interval time.Duration
	sent     int
	last     time.Time // when sent last; zero before the first
	next     time.Time
}

// done plans the advertisement after the one sent now.
func (a *advertising) done(now time.Time) {
	wait := jitter(a.interval)
	if a.sent < len(burst) {
		wait = min(wait, burst[a.sent])
	}
	a.sent++
	a.last, a.next = now, now.Add(wait)
}

// solicited brings the next advertisement forward (RFC 4861 section 6.2.6): it
// comes after a random delay, and not too soon after the last one.
func (a *advertising) solicited(now time.Time) {
	at := now.Add(rand.N(maxRADelay))
	if soonest := a.last.Add(minDelayBetweenRAs); at.Before(soonest) {
		at = soonest
	}
	if at.Before(a.next) {
		a.next = at
	}
}

// soliciting says when to solicit. It ends when a router is heard (section
// 6.3.7).
type soliciting struct {
	sent int
	wait time.Duration // after the one sent last
	next time.Time
}

// done plans the solicitation after the one sent now: the first ones quickly,
// then each wait twice the one before (RFC 7559 section 2), give or take a
// quarter.
func (s *soliciting) done(now time.Time) {
	if s.sent < len(quick) {
		s.wait = quick[s.sent]
	} else {
		s.wait = min(2*s.wait, rtrSolicitationMax)
	}
	s.sent++
	s.next = now.Add(jitter(s.wait))
}

// jitter returns between three quarters of d and d.
func jitter(d time.Duration) time.Duration { return d - rand.N(d/4+1) }
