package bfd

import "time"

// offer tells the neighbour what the state and the timers ask for. It is in
// force at once, but for what would make one end expire in a session that is up:
// we do not send less often before the neighbour knows, nor expire earlier before
// it sends more often (RFC 5880 section 6.8.3).
func (s *Session) offer() {
	want := intervals{transmit: s.timers.Transmit, receive: s.timers.Receive}
	if s.state != Up {
		want.transmit = max(want.transmit, slowInterval)
	}
	if want != s.offered {
		s.offered = want
		s.poll.restart(s.heard)
	}
	if s.state != Up {
		s.inForce = want
		return
	}
	s.inForce.transmit = min(s.inForce.transmit, want.transmit)
	s.inForce.receive = max(s.inForce.receive, want.receive)
}

// polling says whether a packet of the schedule has to be a Poll.
func (s *Session) polling(now time.Duration) bool {
	return s.poll.wanted && now >= s.poll.notBefore()
}

// maxRoundTrip is longer than a Poll and its Final take over one hop.
const maxRoundTrip = time.Second

// poll is our Poll Sequence (RFC 5880 section 6.5). A Final does not say which
// Poll it answers. If the intervals are changed again while Polls are under way,
// their Finals must not be taken for the answer to the new ones: so none is sent
// until these have come, or cannot come any more.
type poll struct {
	wanted bool          // the neighbour has not confirmed what we offer
	fresh  int           // Polls with this offer, unanswered
	stale  int           // Polls with an earlier one, unanswered
	late   time.Duration // no Final comes after this
}

func (p *poll) restart(wanted bool) {
	p.stale += p.fresh
	p.fresh, p.wanted = 0, wanted
}

func (p *poll) notBefore() time.Duration {
	if p.stale == 0 {
		return -Never
	}
	return p.late
}

func (p *poll) sent(now time.Duration) {
	p.stale, p.late = 0, now+maxRoundTrip
	p.fresh++
}

// answered takes a Final, and says whether it ends the sequence.
func (p *poll) answered(at time.Duration) bool {
	switch {
	case p.stale > 0 && at < p.late:
		p.stale--
		return false
	case p.fresh == 0:
		return false
	}
	p.stale, p.fresh, p.wanted = p.fresh-1, 0, false
	return true
}
