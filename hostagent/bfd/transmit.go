package bfd

import "time"

// Deadline is when Tick and Transmit have to be called next, Never if only a
// packet can change anything. It may have passed. Every call may change it.
func (s *Session) Deadline() time.Duration {
	return min(s.silentAt(), s.urgentAt(), s.periodicAt())
}

// Transmit returns the packet that has to go now, and false if there is none. It
// counts as sent. There may be another one.
func (s *Session) Transmit(now time.Duration) (Packet, bool) {
	urgent := now >= s.urgentAt()
	if !urgent && now < s.periodicAt() {
		return Packet{}, false
	}
	p := s.packet()
	if urgent {
		s.extra.take(now, s.extraInterval())
	}
	if urgent && s.final {
		p.Final, s.final = true, false // and says the state, if that is to be told too
	} else {
		s.sent, s.random = now, s.c.Random()
		if s.polling(now) {
			p.Poll = true
			s.poll.sent(now)
		}
	}
	s.changed, s.told = false, p.Multiplier
	return p, true
}

// packet is RFC 5880 section 6.8.7, without Poll and Final.
func (s *Session) packet() Packet {
	return Packet{
		Diagnostic: s.diag, State: s.state, Independent: s.c.Independent, Multiplier: s.timers.Multiplier,
		MyDiscriminator: s.c.Discriminator, YourDiscriminator: s.remote.Discriminator,
		DesiredMinTx: s.offered.transmit, RequiredMinRx: s.offered.receive,
	}
}

// periodicAt is when the next packet of the schedule is due (RFC 5880 section
// 6.8.7). It is worked out anew from the packet before it, so whatever changes
// the interval is honoured at once.
func (s *Session) periodicAt() time.Duration {
	if s.mute() || s.remote.RequiredMinRx == 0 {
		return Never
	}
	at := s.sent + s.gap()
	if s.remote.Demand && s.state == Up && s.remote.State == Up {
		if !s.poll.wanted {
			return Never
		}
		at = max(at, s.poll.notBefore())
	}
	return at
}

// mute is a passive end that was not spoken to.
func (s *Session) mute() bool { return s.c.Passive && s.remote.Discriminator == 0 }

// gap is the interval with the jitter of the next packet: 75 to 100 % of it, but
// 75 to 90 % if the neighbour calls us dead when one is missing, which it does
// until it is told another multiplier.
func (s *Session) gap() time.Duration {
	spread := 0.25
	if s.timers.Multiplier == 1 || s.told == 1 {
		spread = 0.15
	}
	return time.Duration(float64(s.TransmitInterval()) * (0.75 + spread*s.random))
}

// urgentAt is when a packet outside the schedule is due: at once, unless there
// were too many.
func (s *Session) urgentAt() time.Duration {
	if s.mute() || !s.final && !s.changed {
		return Never
	}
	return s.extra.next(s.extraInterval())
}

const (
	// extraBurst is what a handshake, with Polls from both ends, needs, twice.
	extraBurst = 8

	maxExtraInterval = 100 * time.Millisecond
)

// extraInterval is the least interval, after a burst, between packets outside
// the schedule. A neighbour who asks for Finals, or changes its state, over and
// over cannot make us send more. No more than the offered interval: RFC 5880
// section 6.8.7 wants that of whoever limits Finals.
func (s *Session) extraInterval() time.Duration { return min(s.offered.transmit, maxExtraInterval) }

// limiter allows a burst, and then one in each interval, which may change.
type limiter struct {
	left int           // of the burst
	at   time.Duration // when left was right
}

// next is when one is allowed, or was.
func (l *limiter) next(interval time.Duration) time.Duration {
	if l.left > 0 {
		return l.at
	}
	return l.at + interval
}

func (l *limiter) take(now, interval time.Duration) {
	passed := max(now-l.at, 0) / interval
	l.at += passed * interval
	if l.left += int(min(passed, extraBurst)); l.left >= extraBurst {
		l.left, l.at = extraBurst, now
	}
	l.left--
}
