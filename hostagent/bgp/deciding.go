package bgp

import (
	"slices"
	"time"
)

// opened decides about a connection on which the peer's OPEN has come.
func (s *Speaker) opened(p *peer, c *connection, theirs open) {
	c.open = &theirs
	state := Idle
	if other := p.conn(!c.dialled); other != nil {
		state = other.state
	} else if p.hangUp != nil {
		state = Connect
	}
	switch judge(c.dialled, dominates(c.ours, theirs), state) {
	case proceed:
		s.choose(p, c)
	case yield:
		s.giveUp(p, c)
	case wait:
		p.waiting, p.waitUntil = c, time.Now().Add(collisionWait)
	}
}

// choose makes a connection the session, and gives up all else.
func (s *Speaker) choose(p *peer, c *connection) {
	if p.hangUp != nil {
		p.hangUp()
	}
	for _, other := range slices.Clone(p.conns) {
		if other != c {
			s.giveUp(p, other)
		}
	}
	p.waiting = nil
	c.state = OpenConfirm
	s.enter(p, OpenConfirm, time.Now())
	close(c.chosen)
}

// established is the peer's first KEEPALIVE on the session.
func (s *Speaker) established(p *peer, c *connection) {
	c.state = Established
	p.unhold()
	if other := p.conn(!c.dialled); other != nil {
		s.giveUp(p, other)
	}
	s.enter(p, Established, time.Now())
}

// giveUp ends a connection that is not wanted beside another; nothing more is
// heard of it.
func (s *Speaker) giveUp(p *peer, c *connection) {
	p.remove(c)
	c.end(collision())
}

// ended is the end of a connection that was not given up.
func (s *Speaker) ended(p *peer, c *connection, err error) {
	p.remove(c)
	now := time.Now()
	lasted := time.Duration(0)
	if c.state == Established {
		lasted, p.reset = now.Sub(p.Since), reason(err)
		if lastWord(err) != nil {
			p.parting, p.partBy = c, now.Add(farewell)
		}
	}
	p.stale = c.stale(err)
	p.dialAt = now.Add(p.pace.ended(now, lasted))
	switch {
	case weSaid(err, errOpen, subBadPeerAS):
		p.dialAt = now.Add(whileWrong)
	case weSaid(err, errCease, subTooManyPrefixes): // to hear them all again is dear
		p.dialAt, p.shunned = now.Add(whileWrong), now.Add(whileWrong)
	}
	s.release(p)
	if len(p.conns) > 0 {
		s.enter(p, p.furthest(), now)
	} else {
		s.idle(p, reason(err), now)
	}
	if p.waiting != nil && len(p.conns) == 1 {
		s.choose(p, p.waiting)
	}
}

// parted is the peer's end of a connection that had ended: it has read all that we
// have said there.
func (s *Speaker) parted(p *peer, c *connection) {
	if p.parting == c {
		p.parting = nil
	}
}

// idle takes a peer that has no connection left to Idle. What keeps it there is
// logged once.
func (s *Speaker) idle(p *peer, reason string, now time.Time) {
	if p.State != Established && p.Reason != reason {
		s.cfg.Log.Info("bgp session not opened", "link", p.addr.Zone(), "peer", p.addr, "reason", reason)
	}
	p.Reason = reason
	s.enter(p, Idle, now)
}

// blame notes what keeps a session from being opened, logs it once, and tells
// it.
func (s *Speaker) blame(p *peer, reason string) {
	if p.Reason == reason || p.State == Established {
		return
	}
	s.cfg.Log.Info("bgp session not opened", "link", p.addr.Zone(), "peer", p.addr, "reason", reason)
	p.Reason = reason
	s.tell(p.PeerState)
}

// release begins with the connection that was held, if there is one.
func (s *Speaker) release(p *peer) {
	if tcp := p.held; tcp != nil {
		p.held = nil
		s.begin(p, tcp, false)
	}
}
