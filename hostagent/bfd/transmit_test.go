package bfd

import (
	"testing"
	"time"
)

// The rules of RFC 5880 section 6.8.7 on the interval, and where it comes from.
func TestInterval(t *testing.T) {
	slow := Timers{Transmit: 2 * time.Second, Receive: 10 * ms, Multiplier: 3}
	one := Timers{Transmit: 10 * ms, Receive: 10 * ms, Multiplier: 1}
	wants := func(rx time.Duration) func(*Packet) { return func(p *Packet) { p.RequiredMinRx = rx } }
	for _, c := range []struct {
		rule   string
		timers Timers
		state  State
		edit   func(*Packet) // of what the neighbour says, if it says anything more
		random float64
		want   time.Duration // until the next packet
	}{
		{"6.8.3: a second if not up", fast, Down, nil, 1, time.Second},
		{"6.8.3: a second if not up", fast, Init, nil, 1, time.Second},
		{"6.8.3: a second if not up", fast, AdminDown, nil, 1, time.Second},
		{"6.8.3: not less than a second", slow, Down, nil, 1, 2 * time.Second},
		{"6.8.7: by up to 25%", fast, Init, nil, 0, 750 * ms},
		{"6.8.2: the greater of ours and theirs", fast, Up, nil, 1, 10 * ms},
		{"6.8.2: the greater of ours and theirs", fast, Up, wants(40 * ms), 1, 40 * ms},
		{"6.8.2: the greater of ours and theirs", slow, Up, wants(40 * ms), 1, 2 * time.Second},
		{"6.8.7: jitter of the least", fast, Up, nil, 0, 7500 * time.Microsecond},
		{"6.8.7: jitter of the negotiated one", fast, Up, wants(40 * ms), 0.5, 35 * ms},
		{"6.8.7: multiplier 1, no more than 90%", one, Up, nil, 1, 9 * ms},
		{"6.8.7: multiplier 1, no less than 75%", one, Up, nil, 0, 7500 * time.Microsecond},
		{"6.8.7: no periodic packets if they want none", fast, Up, wants(0), 1, Never},
		{"6.8.7: no periodic packets if they want none", fast, Init, wants(0), 1, Never},
		{"6.6: demand", fast, Up, asDemand, 1, Never},
		{"6.6: no demand before both are up", fast, Init, asDemand, 1, time.Second},
		{"6.6: no demand before both are up", fast, Up, func(p *Packet) { p.Demand, p.State = true, Init }, 1, 10 * ms},
	} {
		e := newEnd(t, Config{Timers: c.timers, Random: func() float64 { return c.random }}).reach(c.state)
		if c.edit != nil {
			p := said(c.state, c.edit)
			if c.state == Init {
				p.State = Down
			}
			e.hears(p)
			e.sends()
		}
		got := e.periodicAt()
		if got != Never {
			got -= e.sent
		}
		if got != c.want {
			t.Errorf("%s: %v (%+v), want %v", c.rule, got, e.Status(), c.want)
		}
	}
}

func TestJitterIsDrawnForEachPacket(t *testing.T) {
	for _, c := range []struct {
		multiplier uint8
		most       time.Duration
	}{{3, 10 * ms}, {1, 9 * ms}} {
		var drawn int
		random := func() float64 { drawn++; return float64(drawn%11) / 11 }
		e := newEnd(t, Config{Timers: Timers{Transmit: 10 * ms, Receive: 10 * ms, Multiplier: c.multiplier}, Random: random})
		e.reach(Up)
		least, most := time.Hour, time.Duration(0)
		for range 100 {
			e.hears(said(Up))
			gap := e.Deadline() - e.sent
			least, most = min(least, gap), max(most, gap)
			e.wait()
			e.sendsOne()
		}
		if least < 7500*time.Microsecond || least > 7700*time.Microsecond || most > c.most || most < c.most*95/100 {
			t.Errorf("multiplier %d: gaps of %v to %v", c.multiplier, least, most)
		}
	}
}

// A neighbour that was told multiplier 1 is not kept waiting before it is told
// another, nor when it is told 1.
func TestJitterWhenTheMultiplierChanges(t *testing.T) {
	for _, c := range []struct{ from, to uint8 }{{1, 3}, {3, 1}} {
		e := newEnd(t, Config{Timers: Timers{Transmit: 10 * ms, Receive: 10 * ms, Multiplier: c.from}}).reach(Up)
		e.SetTimers(Timers{Transmit: 10 * ms, Receive: 10 * ms, Multiplier: c.to})
		if gap := e.Deadline() - e.sent; gap != 9*ms {
			t.Errorf("multiplier %d to %d: next packet after %v", c.from, c.to, gap)
		}
		e.wait()
		e.sendsOne()
		e.hears(said(Up))
		want := map[uint8]time.Duration{1: 9 * ms, 3: 10 * ms}[c.to]
		if gap := e.Deadline() - e.sent; gap != want {
			t.Errorf("multiplier %d: next packet after %v, want %v", c.to, gap, want)
		}
	}
}

// RFC 5880 section 6.8.3: a shorter interval is honoured from the packet before.
func TestShorterIntervalIsHonouredAtOnce(t *testing.T) {
	e := newEnd(t, Config{}).reach(Up)
	e.hears(said(Up, func(p *Packet) { p.RequiredMinRx, p.DesiredMinTx = time.Second, time.Second }))
	sent := e.sent
	e.now += 4 * ms
	e.hears(said(Up, func(p *Packet) { p.RequiredMinRx, p.DesiredMinTx = 20*ms, time.Second }))
	if got := e.Deadline() - sent; got != 20*ms {
		t.Errorf("next packet %v after the last one", got)
	}
	e.now = sent + 500*ms
	e.Receive(said(Up, func(p *Packet) { p.DesiredMinTx = time.Second }), e.now)
	e.sendsOne() // which is 490 ms late by the new interval
}

func TestContents(t *testing.T) {
	e := newEnd(t, Config{Independent: true}).reach(Up)
	e.wait()
	want := Packet{
		State: Up, Independent: true, Multiplier: 3, MyDiscriminator: ours, YourDiscriminator: theirs,
		DesiredMinTx: 10 * ms, RequiredMinRx: 10 * ms,
	}
	if got := e.sendsOne(); got != want {
		t.Errorf("%+v\nwant %+v", got, want)
	}
}

// RFC 5880 section 6.8.7: as soon as practicable, without respect to any
// limitation; section 6.5: never with P, and independent of the periodic ones.
func TestFinal(t *testing.T) {
	for _, c := range []struct {
		rule  string
		state State
		edit  func(*Packet)
	}{
		{"in state Down", Down, func(p *Packet) { p.State = Up }},
		{"in state Init", Init, func(p *Packet) { p.State = Down }},
		{"in state Up", Up, func(*Packet) {}},
		{"though no periodic packets are wanted", Up, func(p *Packet) { p.RequiredMinRx = 0 }},
		{"though silence is demanded", Up, asDemand},
		{"though the packet is a Final itself", Up, asFinal},
	} {
		e := newEnd(t, Config{}).reach(c.state)
		if c.state == Up {
			e.SetTimers(Timers{Transmit: 15 * ms, Receive: 15 * ms, Multiplier: 3}) // a Poll of ours is running
		}
		e.now += ms
		sent := e.sent
		e.hears(said(Up, asPoll, c.edit))
		if p := e.sendsOne(); !p.Final || p.Poll || p.State != c.state {
			t.Errorf("%s: sends %+v", c.rule, p)
		}
		if e.sent != sent {
			t.Errorf("%s: the schedule has changed", c.rule)
		}
	}
	e := newEnd(t, Config{}).reach(Init)
	e.hears(said(Init, asPoll))
	if p := e.sendsOne(); p.State != Up || !p.Final {
		t.Errorf("one packet does for the answer and the new state, not %+v", p)
	}
}

func TestDemandIsPolled(t *testing.T) {
	e := newEnd(t, Config{}).reach(Up)
	e.hears(said(Up, asDemand))
	e.SetTimers(Timers{Transmit: 20 * ms, Receive: 10 * ms, Multiplier: 3})
	for range 3 {
		e.hears(said(Up, asDemand))
		e.wait()
		if p := e.sendsOne(); !p.Poll {
			t.Errorf("sends %+v", p)
		}
	}
	e.hears(said(Up, asDemand, asFinal))
	if e.sends(); e.periodicAt() != Never {
		t.Error("goes on after the Final")
	}
	e.SetTimers(fast)
	if e.periodicAt() <= e.now {
		t.Error("a new Poll while Finals of the old one may come")
	}
	e.hears(said(Up))
	if e.wait(); e.sendsOne().State != Up {
		t.Error("is silent though demand has ended")
	}
}

func TestPassive(t *testing.T) {
	e := newEnd(t, Config{Passive: true})
	if e.sends(); e.Deadline() != Never {
		t.Error("speaks first")
	}
	e.now += time.Minute
	e.hears(said(Down, func(p *Packet) { p.YourDiscriminator = 0 }))
	if p := e.sendsOne(); p.State != Init {
		t.Errorf("sends %+v", p)
	}
	for e.state != Down {
		e.wait()
		e.sends()
	}
	if e.Deadline() != Never {
		t.Error("goes on when the neighbour is forgotten")
	}
	a, b := newEnd(t, Config{Discriminator: 1, Passive: true}), newEnd(t, Config{Discriminator: 2})
	if exchange(t, a, b); a.state != Up || b.state != Up {
		t.Errorf("%v and %v", a.state, b.state)
	}
}

// A neighbour that goes to and fro, or asks for Finals, with every packet.
func TestFlood(t *testing.T) {
	up := []State{Down, Init}
	for _, c := range []struct {
		name   string
		timers Timers
		packet func(n int) *Packet
		least  int // packets in ten seconds
		most   int
	}{
		{"states", Timers{Transmit: 300 * ms, Receive: 300 * ms, Multiplier: 3},
			func(n int) *Packet { return said(up[n%2]) }, 90, 108 + 45},
		{"states, fast", fast, func(n int) *Packet { return said(up[n%2]) }, 90, 1400},
		{"polls", Timers{Transmit: 300 * ms, Receive: 300 * ms, Multiplier: 3},
			func(int) *Packet { return said(Up, asPoll) }, 90, 108 + 45},
		// RFC 5880 section 6.8.7: Finals no slower than the interval we offer.
		{"polls, fast", fast, func(int) *Packet { return said(Up, asPoll) }, 1900, 2000 + 500},
	} {
		e := newEnd(t, Config{Timers: c.timers}).reach(Up)
		var n, sent int
		for end := e.now + 10*time.Second; e.now < end; e.now += 100 * time.Microsecond {
			e.hears(c.packet(n))
			n++
			sent += len(e.sends())
		}
		if sent < c.least || sent > c.most {
			t.Errorf("%s: %d packets make us send %d in 10 s, want %d to %d", c.name, n, sent, c.least, c.most)
		}
		// What was held back is sent in the end.
		e.hears(said(Up, asPoll))
		var final bool
		for end := e.now + time.Second; e.now < end && !final; e.now += 10 * ms {
			for _, p := range e.sends() {
				final = final || p.Final
			}
		}
		if !final {
			t.Errorf("%s: a Poll after it was not answered", c.name)
		}
	}
}

func TestLimiter(t *testing.T) {
	l := limiter{left: extraBurst}
	allowed := func(now, interval time.Duration) (n int) {
		for ; now >= l.next(interval); n++ {
			l.take(now, interval)
		}
		return n
	}
	for _, c := range []struct {
		now, interval time.Duration
		want          int
	}{
		{0, 100 * ms, extraBurst},
		{99 * ms, 100 * ms, 0},
		{100 * ms, 100 * ms, 1},
		{110 * ms, 10 * ms, 1}, // a shorter interval counts from the one before
		{time.Hour, 100 * ms, extraBurst},
		{time.Hour + 350*ms, 100 * ms, 3},
		{time.Hour + 400*ms, 100 * ms, 1},
		{time.Hour, 100 * ms, 0}, // a clock that goes back does no harm
	} {
		if got := allowed(c.now, c.interval); got != c.want {
			t.Errorf("at %v: %d, want %d", c.now, got, c.want)
		}
	}
}

func TestSessionDoesNotAllocate(t *testing.T) {
	changes := 0
	s, err := New(Config{Discriminator: ours, Timers: fast, Changed: func(Change) { changes++ }}, 0)
	if err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 0, PacketLen)
	step := func(now time.Duration, p *Packet) {
		s.Receive(p, now)
		s.Tick(now)
		for p, ok := s.Transmit(now); ok; p, ok = s.Transmit(now) {
			buffer = p.Append(buffer[:0])
		}
		_ = s.Deadline()
	}
	now := time.Duration(0)
	said := []*Packet{said(Down), said(Init), said(Up, asPoll), said(Up, asFinal), said(Up), said(AdminDown)}
	other := Timers{Transmit: 20 * ms, Receive: 5 * ms, Multiplier: 5}
	if n := testing.AllocsPerRun(1000, func() {
		for _, p := range said {
			now += 5 * ms
			step(now, p)
			s.SetTimers(other)
			step(now, p)
			s.SetTimers(fast)
		}
		now += time.Minute // and it expires
		s.Tick(now)
		s.Disable(now)
		s.Enable(now)
	}); n != 0 || changes < 1000 {
		t.Errorf("%v allocations in %d changes", n, changes)
	}
}

func BenchmarkReceiveAndTransmit(b *testing.B) {
	b.ReportAllocs()
	s, err := New(Config{Discriminator: ours, Timers: fast}, 0)
	if err != nil {
		b.Fatal(err)
	}
	p, now := said(Up), time.Duration(0)
	s.Receive(said(Init), now)
	for b.Loop() {
		now = max(now, s.Deadline())
		s.Receive(p, now)
		s.Tick(now)
		s.Transmit(now)
	}
}
