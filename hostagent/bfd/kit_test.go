package bfd

import (
	"testing"
	"time"
)

const ms = time.Millisecond

// fast is what most tests run with, at both ends.
var fast = Timers{Transmit: 10 * ms, Receive: 10 * ms, Multiplier: 3}

const (
	ours   = 1 // our discriminator
	theirs = 2 // the neighbour's
)

// end is a session and what became of it. Its clock stands still until a test
// moves it.
type end struct {
	*Session
	t       *testing.T
	now     time.Duration
	changes []Change
}

// newEnd makes a session; its jitter is none unless c says another.
func newEnd(t *testing.T, c Config) *end {
	t.Helper()
	e := &end{t: t, now: time.Hour}
	c.Changed = func(c Change) { e.changes = append(e.changes, c) }
	if c.Timers == (Timers{}) {
		c.Timers = fast
	}
	if c.Discriminator == 0 {
		c.Discriminator = ours
	}
	if c.Random == nil {
		c.Random = func() float64 { return 1 }
	}
	s, err := New(c, e.now)
	if err != nil {
		t.Fatal(err)
	}
	e.Session = s
	return e
}

// said is a packet of the neighbour, which has the timers fast.
func said(state State, edit ...func(*Packet)) *Packet {
	p := &Packet{
		State: state, Multiplier: 3, MyDiscriminator: theirs, YourDiscriminator: ours,
		DesiredMinTx: 10 * ms, RequiredMinRx: 10 * ms,
	}
	if state != Up {
		p.DesiredMinTx = time.Second
	}
	for _, e := range edit {
		e(p)
	}
	return p
}

func asPoll(p *Packet)   { p.Poll = true }
func asFinal(p *Packet)  { p.Final = true }
func asDemand(p *Packet) { p.Demand = true }

// hears gives the session a packet now.
func (e *end) hears(p *Packet) Drop {
	e.t.Helper()
	return e.Receive(p, e.now)
}

// sends returns everything that is to be sent now.
func (e *end) sends() []Packet {
	e.t.Helper()
	var all []Packet
	for p, ok := e.Transmit(e.now); ok; p, ok = e.Transmit(e.now) {
		if all = append(all, p); len(all) > 100 {
			e.t.Fatal("it does not stop sending")
		}
	}
	if d := e.Deadline(); d <= e.now {
		e.t.Fatalf("nothing to send at %v, and a deadline at %v", e.now, d)
	}
	return all
}

// sendsOne returns the only packet that is to be sent now.
func (e *end) sendsOne() Packet {
	e.t.Helper()
	all := e.sends()
	if len(all) != 1 {
		e.t.Fatalf("sends %+v, want one packet", all)
	}
	return all[0]
}

// wait moves the clock to the deadline, and returns how long that took. Other
// than a test that says so, the neighbour goes on being heard meanwhile.
func (e *end) wait() time.Duration {
	e.t.Helper()
	d := e.Deadline()
	if d == Never {
		e.t.Fatal("waits for ever")
	}
	passed := d - e.now
	e.now = d
	e.Tick(e.now)
	return passed
}

// reach brings the session into a state, and takes what it sends on the way. An
// end that is up has no Poll running.
func (e *end) reach(state State) *end {
	e.t.Helper()
	e.sends()
	switch state {
	case AdminDown:
		e.hears(said(Down))
		e.Disable(e.now)
	case Init:
		e.hears(said(Down))
	case Up:
		e.hears(said(Init))
		e.sends()
		e.hears(said(Up, asFinal))
	}
	e.sends()
	if e.state != state || e.poll.wanted && state == Up {
		e.t.Fatalf("%v, want %v: %+v", e.state, state, e.changes)
	}
	e.changes = nil
	return e
}

// exchange carries packets between two ends, in no time, until neither has any.
func exchange(t *testing.T, a, b *end) {
	t.Helper()
	for range 20 {
		if !carry(t, a, b) && !carry(t, b, a) {
			return
		}
	}
	t.Fatal("they do not stop talking")
}

func carry(t *testing.T, from, to *end) bool {
	t.Helper()
	p, ok := from.Transmit(from.now)
	if ok {
		if drop := to.Receive(&p, to.now); drop != Accepted {
			t.Fatalf("%+v dropped: %v", p, drop)
		}
	}
	return ok
}
