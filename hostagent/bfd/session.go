package bfd

import (
	"errors"
	"math"
	"math/rand/v2"
	"time"
)

// Never is later than any deadline.
const Never = time.Duration(math.MaxInt64)

// Config is what does not change in the life of a session, and the timers that
// it starts with.
type Config struct {
	Discriminator uint32 // ours, unique among our sessions, not 0
	Timers        Timers
	// Passive keeps silent until the neighbour is heard (RFC 5880 section 6.1).
	Passive bool
	// Independent says to the neighbour that BFD does not share fate with our
	// control plane: silence then means that nothing is forwarded either.
	Independent bool
	// Random returns a number in [0,1) for each packet's jitter; nil:
	// rand.Float64.
	Random func() float64
	// Changed is told every change of state, in order, from inside the call that
	// causes it; it must not call the session. A neighbour can cause one with every
	// packet. May be nil.
	Changed func(Change)
}

// Cause is what made a session change its state.
type Cause uint8

const (
	Handshake     Cause = iota // the three-way handshake went on: Init, or Up
	Expired                    // nothing was received for the detection time
	PeerDown                   // the neighbour says that the session is down
	PeerAdminDown              // the neighbour is administratively down: says nothing of the path
	Disabled                   // Disable
	Enabled                    // Enable
)

// String is lower case, and fit for a metric's label.
func (c Cause) String() string {
	names := [...]string{"handshake", "expired", "peer_down", "peer_admin_down", "disabled", "enabled"}
	if int(c) >= len(names) {
		return "unknown"
	}
	return names[c]
}

// Change is a change of state.
type Change struct {
	From, To         State
	Diagnostic       Diagnostic // ours, as the neighbour is told
	RemoteDiagnostic Diagnostic // that of the last packet received
	// RemoteIndependent is the C bit of that packet: an expired session then says
	// that the neighbour forwards nothing, even if it restarts gracefully (RFC 5882
	// section 4.3).
	RemoteIndependent bool
	Cause             Cause
	At                time.Duration // the time argument of the call
	LastReceived      time.Duration // the last packet's receive time, before this call's; 0 if there was none
	DetectTime        time.Duration // that was in force
}

// PathFailed reports whether routing has to act as if the path had failed. Only
// a session that was up has something to say about it, and an end that was
// disabled by its administrator does not mean that (RFC 5882 section 3.2).
func (c Change) PathFailed() bool {
	return c.From == Up && (c.Cause == Expired || c.Cause == PeerDown)
}

// Session is one BFD session (RFC 5880 section 6.8). Its times are those of a
// monotonic clock, counted from any fixed moment, and the same clock for all. It
// is not safe for concurrent use.
type Session struct {
	c      Config
	timers Timers
	state  State
	diag   Diagnostic // bfd.LocalDiag

	remote   Remote
	heard    bool          // remote holds what the neighbour said
	received time.Duration // when it said it

	offered intervals // bfd.DesiredMinTxInterval, bfd.RequiredMinRxInterval
	inForce intervals // what we send and expire by: offered, but for a running Poll
	poll    poll

	final    bool          // a Poll is to be answered
	changed  bool          // the state is to be told at once
	extra    limiter       // of packets outside the schedule
	sent     time.Duration // the last packet of the schedule
	random   float64       // of the next one's jitter
	told     uint8         // the multiplier in the last packet
	farewell time.Duration // see Farewell
}

// intervals are the two values that are changed by a Poll Sequence.
type intervals struct{ transmit, receive time.Duration }

// New makes a session that is Down, and has its first packet ready.
func New(c Config, now time.Duration) (*Session, error) {
	if c.Discriminator == 0 {
		return nil, errors.New("a session's discriminator must not be 0")
	}
	if err := c.Timers.Validate(); err != nil {
		return nil, err
	}
	if c.Random == nil {
		c.Random = rand.Float64
	}
	s := &Session{c: c, timers: c.Timers, state: Down, remote: unknown, changed: true, sent: now, random: c.Random()}
	s.extra = limiter{left: extraBurst, at: now}
	s.offer()
	return s, nil
}

// Receive takes a packet that Parse accepted and that is for this session: its
// Your Discriminator is ours, or it has none and comes from our neighbour. at is
// when the kernel received it. What there is to send afterwards, Transmit says.
func (s *Session) Receive(p *Packet, at time.Duration) Drop {
	switch {
	case p.YourDiscriminator != 0 && p.YourDiscriminator != s.c.Discriminator:
		return DropYourDiscriminator
	case p.Authentication:
		return DropAuthentication
	}
	if at > s.silentAt() {
		s.expire(at)
	}
	s.remote = Remote{
		Discriminator: p.MyDiscriminator, State: p.State, Diagnostic: p.Diagnostic, Multiplier: p.Multiplier,
		DesiredMinTx: p.DesiredMinTx, RequiredMinRx: p.RequiredMinRx, RequiredMinEchoRx: p.RequiredMinEchoRx,
		Demand: p.Demand, Independent: p.Independent,
	}
	if p.Final && s.poll.answered(at) {
		s.inForce = s.offered
	}
	last := s.received
	if !s.heard {
		last = 0
	}
	s.heard, s.received = true, max(s.received, at)
	if s.state == AdminDown {
		return DropAdminDown
	}
	s.follow(p.State, Change{At: at, LastReceived: last})
	s.final = s.final || p.Poll
	return Accepted
}

// follow is the state machine (RFC 5880 section 6.8.6).
func (s *Session) follow(theirs State, c Change) {
	c.To = s.state
	switch {
	case theirs == AdminDown && s.state != Down:
		c.To, c.Cause, c.Diagnostic = Down, PeerAdminDown, NeighbourDown
	case theirs == Down && s.state == Up:
		c.To, c.Cause, c.Diagnostic = Down, PeerDown, NeighbourDown
	case theirs == Down && s.state == Down:
		c.To, c.Diagnostic = Init, s.diag
	case theirs == Init, theirs == Up && s.state == Init:
		c.To = Up
	}
	if c.To != s.state {
		s.enter(c)
	}
}

// Tick is to be called at Deadline, and may be called at any time. Every packet
// that the kernel received before now must have been given to Receive: so now is
// read from the clock first, and then the socket is emptied.
func (s *Session) Tick(now time.Duration) {
	if now >= s.silentAt() {
		s.expire(now)
	}
}

// expire is what happens when the detection time has passed without a packet: a
// session that heard the neighbour goes down, and in any state the neighbour is
// forgotten (RFC 5880 section 6.8.1).
func (s *Session) expire(now time.Duration) {
	if s.state == Init || s.state == Up {
		s.enter(Change{To: Down, Cause: Expired, Diagnostic: DetectionExpired, At: now, LastReceived: s.received})
	}
	s.heard, s.remote, s.poll, s.final = false, unknown, poll{}, false
}

// silentAt is when the neighbour was not heard for a detection time.
func (s *Session) silentAt() time.Duration {
	if !s.heard {
		return Never
	}
	return s.received + s.DetectTime()
}

// enter changes the state to c.To.
func (s *Session) enter(c Change) {
	c.From, c.DetectTime = s.state, s.DetectTime()
	c.RemoteDiagnostic, c.RemoteIndependent = s.remote.Diagnostic, s.remote.Independent
	s.state, s.diag, s.changed = c.To, c.Diagnostic, true
	s.offer()
	if s.c.Changed != nil {
		s.c.Changed(c)
	}
}

// SetTimers changes the timers. A session that is up stays up: what would harm
// it waits until the neighbour knows.
func (s *Session) SetTimers(t Timers) error {
	if err := t.Validate(); err != nil {
		return err
	}
	s.timers = t
	s.offer()
	return nil
}

// Disable takes the session down administratively, and keeps saying so to the
// neighbour, who does not take it for a failure.
func (s *Session) Disable(now time.Duration) {
	if s.state == AdminDown {
		return
	}
	s.enter(Change{To: AdminDown, Cause: Disabled, Diagnostic: AdministrativelyDown, At: now, LastReceived: s.received})
	s.farewell = now
	if s.heard {
		s.farewell += DetectTime(s.timers.Multiplier, s.offered.transmit, s.remote.RequiredMinRx)
	}
}

// Farewell is until when a session that was disabled has to be run on, so that
// the neighbour learns of it (RFC 5880 section 6.8.16). It may be longer.
func (s *Session) Farewell() time.Duration { return s.farewell }

// Enable ends Disable.
func (s *Session) Enable(now time.Duration) {
	if s.state == AdminDown {
		s.enter(Change{To: Down, Cause: Enabled, At: now, LastReceived: s.received})
	}
}
