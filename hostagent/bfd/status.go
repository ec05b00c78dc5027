package bfd

import "time"

// Status is a session at one moment, for whoever shows it.
type Status struct {
	State         State
	Diagnostic    Diagnostic // ours
	Discriminator uint32     // ours
	Passive       bool
	Polling       bool // a change of our timers is not confirmed by the neighbour yet
	Timers        Timers
	// DesiredMinTx and RequiredMinRx are what we tell the neighbour now: Timers,
	// but slower while the session is not up.
	DesiredMinTx, RequiredMinRx time.Duration

	Remote       Remote
	LastReceived time.Duration // 0: the neighbour is unknown

	// What the two ends make of it, before jitter. TransmitInterval is 0 if the
	// neighbour wants no periodic packets. DetectTime is 0 while the neighbour is
	// unknown.
	TransmitInterval, DetectTime time.Duration
}

// Remote is what the neighbour's last packet said (the bfd.Remote* variables of
// RFC 5880 section 6.8.1).
type Remote struct {
	Discriminator     uint32 // 0: the neighbour is unknown
	State             State
	Diagnostic        Diagnostic
	Multiplier        uint8
	DesiredMinTx      time.Duration
	RequiredMinRx     time.Duration
	RequiredMinEchoRx time.Duration
	Demand            bool
	Independent       bool
}

// unknown is a neighbour that was not heard for a detection time (RFC 5880
// sections 6.8.1 and 6.8.18).
var unknown = Remote{State: Down, RequiredMinRx: time.Microsecond}

// Status returns the session as it is now.
func (s *Session) Status() Status {
	st := Status{
		State: s.state, Diagnostic: s.diag, Discriminator: s.c.Discriminator, Passive: s.c.Passive,
		Polling: s.poll.wanted, Timers: s.timers,
		DesiredMinTx: s.offered.transmit, RequiredMinRx: s.offered.receive,
		Remote: s.remote, TransmitInterval: s.TransmitInterval(), DetectTime: s.DetectTime(),
	}
	if s.heard {
		st.LastReceived = s.received
	}
	return st
}

// State is the state now.
func (s *Session) State() State { return s.state }

// RemoteState is that of the neighbour's last packet, Down while it is unknown.
func (s *Session) RemoteState() State { return s.remote.State }

// LastReceived is when the kernel received the last packet, and false while the
// neighbour is unknown. A watchdog that last saw a packet then, and none for
// DetectTime, has seen the session die.
func (s *Session) LastReceived() (time.Duration, bool) { return s.received, s.heard }

// DetectTime is how long after the last packet the session is dead, 0 while the
// neighbour is unknown. It changes with the timers of both ends.
func (s *Session) DetectTime() time.Duration {
	return DetectTime(s.remote.Multiplier, s.remote.DesiredMinTx, s.inForce.receive)
}

// TransmitInterval is the negotiated interval of our periodic packets, before
// jitter; 0 if the neighbour wants none.
func (s *Session) TransmitInterval() time.Duration {
	if s.remote.RequiredMinRx == 0 {
		return 0
	}
	return max(s.inForce.transmit, s.remote.RequiredMinRx)
}
