package bfd

import (
	"testing"
	"time"
)

const ms = time.Millisecond

// fast is what most tests run with.
var fast = Timers{Transmit: 10 * ms, Receive: 10 * ms, Multiplier: 3}

// end is a session with its clock, and what it did.
type end struct {
	*Session
	changes []Change
}

func newEnd(t *testing.T, c Config) *end {
	t.Helper()
	e := &end{}
	c.Changed = func(c Change) { e.changes = append(e.changes, c) }
	if c.Timers == (Timers{}) {
		c.Timers = fast
	}
	s, err := New(c, 0)
	if err != nil {
		t.Fatal(err)
	}
	e.Session = s
	return e
}

// exchange carries packets between two ends, in no time, until neither has any.
func exchange(t *testing.T, now time.Duration, a, b *end) {
	t.Helper()
	for range 20 {
		if !carry(t, now, a, b) && !carry(t, now, b, a) {
			return
		}
	}
	t.Fatal("they do not stop talking")
}

func carry(t *testing.T, now time.Duration, from, to *end) bool {
	t.Helper()
	p, ok := from.Transmit(now)
	if ok {
		if drop := to.Receive(&p, now); drop != Accepted {
			t.Fatalf("%+v dropped: %v", p, drop)
		}
	}
	return ok
}

func TestHandshakeTakesNoTime(t *testing.T) {
	a, b := newEnd(t, Config{Discriminator: 1}), newEnd(t, Config{Discriminator: 2})
	exchange(t, 0, a, b)
	for _, e := range []*end{a, b} {
		if e.state != Up {
			t.Errorf("state %v, want up: %+v", e.state, e.changes)
		}
	}
}

func TestRunsAtTheNegotiatedInterval(t *testing.T) {
	a, b := newEnd(t, Config{Discriminator: 1}), newEnd(t, Config{Discriminator: 2})
	var now time.Duration
	sent := 0
	for now < time.Second {
		exchange(t, now, a, b)
		now = min(a.Deadline(), b.Deadline())
		a.Tick(now)
		b.Tick(now)
		sent++
	}
	if a.state != Up || b.state != Up {
		t.Errorf("%v and %v, want both up", a.state, b.state)
	}
	// 200 at 10 ms, and an eighth more for the jitter.
	if sent < 200 || sent > 267 {
		t.Errorf("%d packets in a second", sent)
	}
	if a.poll.wanted || b.poll.wanted {
		t.Error("a Poll was not answered")
	}
	b.Tick(now) // b hears no more
	want := b.received + 30*ms
	for b.state == Up {
		now = b.Deadline()
		b.Tick(now)
		for _, ok := b.Transmit(now); ok; _, ok = b.Transmit(now) {
		}
	}
	if now != want {
		t.Errorf("down at %v, want %v", now, want)
	}
}
