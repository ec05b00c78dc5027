package bfd

import (
	"testing"
	"time"
)

func TestHandshakeTakesNoTime(t *testing.T) {
	a, b := newEnd(t, Config{Discriminator: 1}), newEnd(t, Config{Discriminator: 2})
	exchange(t, a, b)
	for _, e := range []*end{a, b} {
		if e.state != Up {
			t.Errorf("state %v, want up: %+v", e.state, e.changes)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	if _, err := New(Config{Timers: fast}, 0); err == nil {
		t.Error("discriminator 0")
	}
	if _, err := New(Config{Discriminator: 1}, 0); err == nil {
		t.Error("no timers")
	}
	e := newEnd(t, Config{})
	if err := e.SetTimers(Timers{}); err == nil || e.timers != fast {
		t.Error("no timers, later")
	}
}

// transitions is the state machine of RFC 5880 section 6.8.6, every state and
// every state received.
var transitions = []struct {
	from, heard, to State
	diag            Diagnostic
	cause           Cause
	failed          bool
}{
	{from: AdminDown, heard: AdminDown, to: AdminDown, diag: AdministrativelyDown},
	{from: AdminDown, heard: Down, to: AdminDown, diag: AdministrativelyDown},
	{from: AdminDown, heard: Init, to: AdminDown, diag: AdministrativelyDown},
	{from: AdminDown, heard: Up, to: AdminDown, diag: AdministrativelyDown},
	{from: Down, heard: AdminDown, to: Down},
	{from: Down, heard: Down, to: Init, cause: Handshake},
	{from: Down, heard: Init, to: Up, cause: Handshake},
	{from: Down, heard: Up, to: Down},
	{from: Init, heard: AdminDown, to: Down, diag: NeighbourDown, cause: PeerAdminDown},
	{from: Init, heard: Down, to: Init},
	{from: Init, heard: Init, to: Up, cause: Handshake},
	{from: Init, heard: Up, to: Up, cause: Handshake},
	{from: Up, heard: AdminDown, to: Down, diag: NeighbourDown, cause: PeerAdminDown},
	{from: Up, heard: Down, to: Down, diag: NeighbourDown, cause: PeerDown, failed: true},
	{from: Up, heard: Init, to: Up},
	{from: Up, heard: Up, to: Up},
}

func TestStates(t *testing.T) {
	for _, c := range transitions {
		e := newEnd(t, Config{}).reach(c.from)
		drop := e.hears(said(c.heard, func(p *Packet) { p.Diagnostic, p.Independent = PathDown, true }))
		if (drop == DropAdminDown) != (c.from == AdminDown) {
			t.Errorf("%v, hears %v: dropped for %v", c.from, c.heard, drop)
		}
		if e.state != c.to || e.diag != c.diag {
			t.Errorf("%v, hears %v: %v and diagnostic %v, want %v and %v", c.from, c.heard, e.state, e.diag, c.to, c.diag)
		}
		sent := e.sends()
		if c.to == c.from {
			if len(sent) != 0 || len(e.changes) != 0 {
				t.Errorf("%v, hears %v: sends %+v, says %+v", c.from, c.heard, sent, e.changes)
			}
			continue
		}
		if len(sent) != 1 || sent[0].State != c.to || sent[0].Diagnostic != c.diag {
			t.Errorf("%v, hears %v: sends at once %+v", c.from, c.heard, sent)
		}
		want := Change{
			From: c.from, To: c.to, Diagnostic: c.diag, RemoteDiagnostic: PathDown, RemoteIndependent: true,
			Cause: c.cause, At: e.now, DetectTime: e.DetectTime(),
		}
		if c.from != Down {
			want.LastReceived = e.now
		}
		if len(e.changes) != 1 || e.changes[0] != want || e.changes[0].PathFailed() != c.failed {
			t.Errorf("%v, hears %v: %+v\nwant %+v", c.from, c.heard, e.changes, want)
		}
	}
}

func TestReceiveDrops(t *testing.T) {
	for _, c := range []struct {
		rule string
		p    *Packet
		want Drop
	}{
		{"no session with that Your Discriminator", said(Down, func(p *Packet) { p.YourDiscriminator = 99 }), DropYourDiscriminator},
		{"the A bit is set and no authentication is in use", said(Down, func(p *Packet) { p.Authentication = true }), DropAuthentication},
	} {
		e := newEnd(t, Config{}).reach(Up)
		before := e.Status()
		e.now += 5 * ms
		if drop := e.hears(c.p); drop != c.want {
			t.Errorf("%s: %v", c.rule, drop)
		}
		if e.Status() != before {
			t.Errorf("%s: it has had an effect: %+v", c.rule, e.Status())
		}
	}
}

// A neighbour that was restarted has another discriminator, and does not know
// ours.
func TestNeighbourRestarts(t *testing.T) {
	e := newEnd(t, Config{}).reach(Up)
	e.hears(said(Down, func(p *Packet) { p.MyDiscriminator, p.YourDiscriminator = 77, 0 }))
	if p := e.sendsOne(); p.State != Down || p.YourDiscriminator != 77 || !e.changes[0].PathFailed() {
		t.Errorf("sends %+v, says %+v", p, e.changes)
	}
	e.hears(said(Down, func(p *Packet) { p.MyDiscriminator = 77 }))
	if p := e.sendsOne(); p.State != Init {
		t.Errorf("sends %+v", p)
	}
}

func TestExpires(t *testing.T) {
	for _, state := range []State{Init, Up} {
		e := newEnd(t, Config{}).reach(state)
		last, detect := e.now, e.DetectTime()
		if want := map[State]time.Duration{Init: 3 * time.Second, Up: 30 * ms}[state]; detect != want {
			t.Fatalf("%v: detection time %v, want %v", state, detect, want)
		}
		e.now = last + detect - 1
		if e.Tick(e.now); e.state != state {
			t.Fatalf("%v: down too early", state)
		}
		e.sends()
		if d := e.Deadline(); d != last+detect {
			t.Errorf("%v: deadline %v after the last packet", state, d-last)
		}
		e.now++
		e.Tick(e.now)
		want := Change{
			From: state, To: Down, Diagnostic: DetectionExpired, Cause: Expired,
			At: e.now, LastReceived: last, DetectTime: detect,
		}
		if len(e.changes) != 1 || e.changes[0] != want || want.PathFailed() != (state == Up) {
			t.Errorf("%+v\nwant %+v", e.changes, want)
		}
		// RFC 5880 section 6.8.1: a detection time without a packet, and the
		// discriminator is forgotten.
		if p := e.sendsOne(); p.State != Down || p.Diagnostic != DetectionExpired || p.YourDiscriminator != 0 || p.Poll {
			t.Errorf("sends %+v", p)
		}
		if _, known := e.LastReceived(); known || e.remote != unknown {
			t.Errorf("remembers %+v", e.remote)
		}
	}
}

// A session that goes down because the neighbour said so remembers it for a
// detection time.
func TestForgetsLater(t *testing.T) {
	e := newEnd(t, Config{}).reach(Up)
	e.hears(said(Down, func(p *Packet) { p.RequiredMinRx = 2 * time.Second }))
	last, detect := e.now, e.DetectTime()
	if p := e.sendsOne(); p.YourDiscriminator != theirs || detect != 3*time.Second {
		t.Errorf("sends %+v, detection time %v", p, detect)
	}
	e.changes = nil
	for e.now < last+detect {
		e.wait()
		if p := e.sends(); e.now < last+detect && (len(p) != 1 || p[0].YourDiscriminator != theirs) {
			t.Errorf("sends %+v %v after the last packet", p, e.now-last)
		}
	}
	if e.now != last+detect || e.remote != unknown || len(e.changes) > 0 {
		t.Errorf("%v after the last packet: %+v, says %+v", e.now-last, e.remote, e.changes)
	}
	if e.TransmitInterval() != time.Second {
		t.Errorf("RFC 5880 6.8.18: still sends every %v", e.TransmitInterval())
	}
}

// What counts is when the kernel received a packet.
func TestExpiresByReceiveTime(t *testing.T) {
	t.Run("packets that waited while we were late", func(t *testing.T) {
		e := newEnd(t, Config{}).reach(Up)
		start := e.now
		e.now += 100 * ms
		for at := start + 10*ms; at <= e.now; at += 10 * ms {
			e.Receive(said(Up), at)
		}
		e.Tick(e.now)
		if e.state != Up || len(e.changes) != 0 {
			t.Errorf("%+v", e.changes)
		}
	})
	t.Run("a gap among them", func(t *testing.T) {
		e := newEnd(t, Config{}).reach(Up)
		at := e.now + 31*ms
		e.now += 100 * ms
		e.Receive(said(Up), at)
		if len(e.changes) != 1 || e.changes[0].Cause != Expired || e.changes[0].At != at {
			t.Errorf("%+v", e.changes)
		}
		if _, known := e.LastReceived(); !known || e.remote.Discriminator != theirs {
			t.Error("the packet after the gap was not used")
		}
	})
	t.Run("at the last moment", func(t *testing.T) {
		e := newEnd(t, Config{}).reach(Up)
		e.now += 30 * ms
		e.hears(said(Up))
		if e.Tick(e.now); e.state != Up {
			t.Errorf("%+v", e.changes)
		}
	})
	t.Run("out of order", func(t *testing.T) {
		e := newEnd(t, Config{}).reach(Up)
		e.now += 20 * ms
		e.hears(said(Up))
		e.Receive(said(Up), e.now-10*ms)
		if last, _ := e.LastReceived(); last != e.now {
			t.Errorf("last packet %v ago", e.now-last)
		}
	})
}

func TestDisable(t *testing.T) {
	e := newEnd(t, Config{}).reach(Up)
	e.Disable(e.now)
	e.Disable(e.now) // once is enough
	if len(e.changes) != 1 || e.changes[0].Cause != Disabled || e.changes[0].PathFailed() {
		t.Errorf("%+v", e.changes)
	}
	start := e.now
	// RFC 5880 section 6.8.16: for a detection time, which is the neighbour's, at
	// the rate of a session that is not up.
	if got := e.Farewell() - start; got != 3*time.Second {
		t.Errorf("farewell takes %v", got)
	}
	for n := 0; e.now < e.Farewell(); n++ {
		for _, p := range e.sends() {
			if p.State != AdminDown || p.Diagnostic != AdministrativelyDown || p.DesiredMinTx != time.Second {
				t.Errorf("sends %+v", p)
			}
		}
		e.wait()
	}
	// RFC 5880 section 6.8.6: what is received is discarded, so no Poll is
	// answered.
	if drop := e.hears(said(Up, asPoll)); drop != DropAdminDown {
		t.Errorf("dropped for %v", drop)
	}
	for _, p := range e.sends() {
		if p.Final {
			t.Errorf("sends %+v", p)
		}
	}
	e.changes = nil
	e.Enable(e.now)
	e.Enable(e.now)
	if p := e.sendsOne(); p.State != Down || p.Diagnostic != NoDiagnostic || len(e.changes) != 1 || e.changes[0].Cause != Enabled {
		t.Errorf("sends %+v, says %+v", p, e.changes)
	}
	if e := newEnd(t, Config{}); e.Farewell() != 0 {
		t.Errorf("a session that was not disabled has a farewell")
	}
	e = newEnd(t, Config{})
	if e.Disable(e.now); e.Farewell() != e.now {
		t.Errorf("nobody is there to take leave of")
	}
}

func TestStatus(t *testing.T) {
	e := newEnd(t, Config{Timers: Timers{Transmit: 50 * ms, Receive: 20 * ms, Multiplier: 4}}).reach(Down)
	idle := Status{
		State: Down, Discriminator: ours, Timers: e.timers,
		DesiredMinTx: time.Second, RequiredMinRx: 20 * ms, Remote: unknown, TransmitInterval: time.Second,
	}
	if got := e.Status(); got != idle {
		t.Errorf("%+v\nwant %+v", got, idle)
	}
	e.hears(said(Init))
	want := Status{
		State: Up, Discriminator: ours, Polling: true, Timers: e.timers, DesiredMinTx: 50 * ms, RequiredMinRx: 20 * ms,
		Remote: Remote{
			Discriminator: theirs, State: Init, Multiplier: 3, DesiredMinTx: time.Second, RequiredMinRx: 10 * ms,
		},
		LastReceived: e.now, TransmitInterval: 50 * ms, DetectTime: 3 * time.Second,
	}
	if got := e.Status(); got != want {
		t.Errorf("%+v\nwant %+v", got, want)
	}
}
