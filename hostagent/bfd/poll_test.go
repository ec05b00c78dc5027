package bfd

import (
	"testing"
	"time"
)

// What a change of our timers makes of the session, before and after the Final
// (RFC 5880 section 6.8.3). The neighbour does 10 ms, times 3.
func TestTimersChange(t *testing.T) {
	type effect struct{ transmit, detect time.Duration }
	was := effect{10 * ms, 30 * ms}
	for _, c := range []struct {
		rule          string
		transmit      time.Duration
		receive       time.Duration
		before, after effect
	}{
		{"an increase of Desired Min TX waits", 40 * ms, 10 * ms, was, effect{40 * ms, 30 * ms}},
		{"a decrease of Desired Min TX does not", 5 * ms, 10 * ms, was, was}, // they want 10 ms
		{"an increase of Required Min RX does not wait", 10 * ms, 40 * ms, effect{10 * ms, 120 * ms}, effect{10 * ms, 120 * ms}},
		{"both at once", 40 * ms, 40 * ms, effect{10 * ms, 120 * ms}, effect{40 * ms, 120 * ms}},
		{"longer than a second", 3 * time.Second, 10 * ms, was, effect{3 * time.Second, 30 * ms}},
	} {
		e := newEnd(t, Config{}).reach(Up)
		if err := e.SetTimers(Timers{Transmit: c.transmit, Receive: c.receive, Multiplier: 3}); err != nil {
			t.Fatal(err)
		}
		if got := (effect{e.TransmitInterval(), e.DetectTime()}); got != c.before {
			t.Errorf("%s: %v at once, want %v", c.rule, got, c.before)
		}
		for range 3 { // section 6.5: in every packet, and in no additional one
			if e.wait(); e.now != e.sent+10*ms {
				t.Errorf("%s: a packet %v after the one before", c.rule, e.now-e.sent)
			}
			p := e.sendsOne()
			if !p.Poll || p.DesiredMinTx != c.transmit || p.RequiredMinRx != c.receive {
				t.Errorf("%s: sends %+v", c.rule, p)
			}
			e.hears(said(Up))
		}
		e.hears(said(Up, asFinal))
		if got := (effect{e.TransmitInterval(), e.DetectTime()}); got != c.after {
			t.Errorf("%s: %v after the Final, want %v", c.rule, got, c.after)
		}
		for e.now < e.sent+e.TransmitInterval() {
			e.hears(said(Up))
			e.now += min(10*ms, e.Deadline()-e.now)
		}
		if p := e.sendsOne(); p.Poll {
			t.Errorf("%s: polls after the Final", c.rule)
		}
	}
}

// A decrease of Required Min RX waits: the neighbour sends at the old rate until
// it knows.
func TestShorterReceiveIntervalWaits(t *testing.T) {
	e := newEnd(t, Config{Timers: Timers{Transmit: 10 * ms, Receive: 40 * ms, Multiplier: 3}}).reach(Up)
	e.SetTimers(fast)
	for range 2 {
		if e.DetectTime() != 120*ms {
			t.Errorf("detection time %v before the Final", e.DetectTime())
		}
		e.wait()
		e.sendsOne()
		e.hears(said(Up))
	}
	e.hears(said(Up, asFinal))
	if e.DetectTime() != 30*ms {
		t.Errorf("detection time %v after the Final", e.DetectTime())
	}
}

// What the neighbour changes is in force with the packet that says so.
func TestNeighbourChangesTimers(t *testing.T) {
	for _, c := range []struct {
		rule             string
		edit             func(*Packet)
		transmit, detect time.Duration
	}{
		{"6.8.4: Detect Mult", func(p *Packet) { p.Multiplier = 5 }, 10 * ms, 50 * ms},
		{"6.8.4: Desired Min TX, up", func(p *Packet) { p.DesiredMinTx = time.Second }, 10 * ms, 3 * time.Second},
		{"6.8.4: Desired Min TX, down", func(p *Packet) { p.DesiredMinTx = ms }, 10 * ms, 30 * ms},
		{"6.8.2: Required Min RX, up", func(p *Packet) { p.RequiredMinRx = time.Second }, time.Second, 30 * ms},
		{"6.8.2: Required Min RX, down", func(p *Packet) { p.RequiredMinRx = ms }, 10 * ms, 30 * ms},
		{"both, as Junos does when it adapts", func(p *Packet) { p.DesiredMinTx, p.RequiredMinRx = time.Second, time.Second }, time.Second, 3 * time.Second},
		{"the greatest there are", func(p *Packet) { p.DesiredMinTx, p.RequiredMinRx, p.Multiplier = MaxInterval, MaxInterval, 255 }, MaxInterval, 255 * MaxInterval},
		{"none", func(p *Packet) { p.DesiredMinTx, p.RequiredMinRx = 0, 0 }, 0, 30 * ms},
	} {
		e := newEnd(t, Config{}).reach(Up)
		e.hears(said(Up, asPoll, c.edit))
		if e.TransmitInterval() != c.transmit || e.DetectTime() != c.detect {
			t.Errorf("%s: every %v, detection time %v; want %v, %v", c.rule, e.TransmitInterval(), e.DetectTime(), c.transmit, c.detect)
		}
		if p := e.sendsOne(); !p.Final || e.state != Up || len(e.changes) > 0 {
			t.Errorf("%s: sends %+v, says %+v", c.rule, p, e.changes)
		}
	}
}

// A session that comes up leaves the slow rate, which is a change of timers.
func TestPollsWhenUp(t *testing.T) {
	e := newEnd(t, Config{})
	if p := e.sendsOne(); p.Poll {
		t.Errorf("sends %+v", p)
	}
	e.hears(said(Init))
	if p := e.sendsOne(); p.State != Up || !p.Poll || p.DesiredMinTx != 10*ms || e.TransmitInterval() != 10*ms {
		t.Errorf("sends %+v", p)
	}
	slow := Timers{Transmit: 2 * time.Second, Receive: 2 * time.Second, Multiplier: 3}
	e = newEnd(t, Config{Timers: slow})
	e.sends()
	e.hears(said(Init))
	if p := e.sendsOne(); p.Poll {
		t.Errorf("nothing has changed, and it polls: %+v", p)
	}
}

// What was waiting for a Final is in force when the session is down.
func TestGoesDownWhilePolling(t *testing.T) {
	e := newEnd(t, Config{Timers: Timers{Transmit: 10 * ms, Receive: 40 * ms, Multiplier: 3}}).reach(Up)
	e.SetTimers(Timers{Transmit: 2 * time.Second, Receive: 10 * ms, Multiplier: 3})
	e.hears(said(AdminDown))
	if want := (intervals{2 * time.Second, 10 * ms}); e.inForce != want || e.offered != want {
		t.Errorf("in force %+v, offered %+v", e.inForce, e.offered)
	}
	e.now += time.Minute
	e.Tick(e.now)
	if e.poll != (poll{}) {
		t.Errorf("nobody is there, and %+v", e.poll)
	}
}

// raise changes the transmit interval.
func (e *end) raise(transmit time.Duration) {
	e.t.Helper()
	if err := e.SetTimers(Timers{Transmit: transmit, Receive: 10 * ms, Multiplier: 3}); err != nil {
		e.t.Fatal(err)
	}
}

// polls waits for the next packet, and says whether it is a Poll.
func (e *end) polls() bool {
	e.t.Helper()
	e.wait()
	p := e.sendsOne()
	e.hears(said(Up))
	return p.Poll
}

// polling is an end that has sent so many Polls with 20 ms.
func polling(t *testing.T, sent int) *end {
	t.Helper()
	e := newEnd(t, Config{}).reach(Up)
	e.raise(20 * ms)
	for range sent {
		if !e.polls() {
			t.Fatal("does not poll")
		}
	}
	return e
}

// The answer to a Poll with old timers is not one to a Poll with new ones.
func TestTimersChangeWhilePolling(t *testing.T) {
	e := polling(t, 1)
	e.raise(40 * ms)
	if e.hears(said(Up, asFinal)); e.TransmitInterval() != 10*ms {
		t.Errorf("every %v", e.TransmitInterval())
	}
	if !e.polls() {
		t.Error("does not poll again")
	}
	if e.hears(said(Up, asFinal)); e.TransmitInterval() != 40*ms {
		t.Errorf("every %v", e.TransmitInterval())
	}
}

func TestOldAnswersDoNotCome(t *testing.T) {
	e := polling(t, 2)
	e.raise(40 * ms)
	last := e.sent
	for e.now < last+maxRoundTrip-10*ms {
		if e.polls() {
			t.Fatal("polls while answers are under way")
		}
	}
	if !e.polls() {
		t.Error("does not poll again")
	}
	if e.hears(said(Up, asFinal)); e.TransmitInterval() != 40*ms {
		t.Errorf("every %v", e.TransmitInterval())
	}
}

func TestSecondAnswerComesLate(t *testing.T) {
	e := polling(t, 2)
	e.hears(said(Up, asFinal))
	e.raise(40 * ms)
	if e.polls() {
		t.Error("polls while an answer is under way")
	}
	if e.hears(said(Up, asFinal)); e.TransmitInterval() != 20*ms {
		t.Errorf("every %v", e.TransmitInterval())
	}
	if !e.polls() {
		t.Error("does not poll")
	}
}

func TestTimersChangeBackWhilePolling(t *testing.T) {
	e := polling(t, 1)
	e.raise(10 * ms)
	e.hears(said(Up, asFinal))
	if !e.polls() {
		t.Error("the neighbour may know something else")
	}
}

func TestUnwantedFinal(t *testing.T) {
	e := newEnd(t, Config{}).reach(Up)
	before := e.Status()
	e.hears(said(Up, asFinal))
	if e.Status() != before || len(e.sends()) > 0 {
		t.Errorf("%+v", e.Status())
	}
	e.SetTimers(Timers{Transmit: 20 * ms, Receive: 10 * ms, Multiplier: 3})
	if e.hears(said(Up, asFinal)); !e.poll.wanted || e.TransmitInterval() != 10*ms {
		t.Error("an answer to a Poll that was not sent")
	}
}
