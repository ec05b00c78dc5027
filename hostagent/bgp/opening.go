package bgp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"time"
)

// Run's goroutine opens connections here, and decides which becomes the
// session.

// connected is a TCP connection with a peer.
type connected struct {
	*peer
	tcp     *net.TCPConn
	dialled bool
}

// notConnected is a dial that came to nothing.
type notConnected struct {
	*peer
	err error
}

// listen opens the peer's port, in place of the one that was open.
func (s *Speaker) listen(p *peer, at place) error {
	if p.listener != nil {
		p.listener.Close()
	}
	p.listener, p.at = nil, place{}
	l, err := at.listen(s.cfg.ListenPort, s.cfg.HoldTime)
	if err != nil {
		return err
	}
	p.listener, p.at = l, at
	s.running.Go(func() { s.accept(p, l) })
	return nil
}

// accept takes the peer's connections and nobody else's, until l is closed.
func (s *Speaker) accept(p *peer, l *net.TCPListener) {
	for {
		tcp, err := l.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.cfg.Log.Warn("accepting a connection", "link", p.addr.Zone(), "err", err)
			select {
			case <-p.ctx.Done():
				return
			case <-time.After(refusedMost):
			}
			continue
		}
		if from := tcp.RemoteAddr().(*net.TCPAddr).AddrPort().Addr(); from.WithZone("") != p.addr.WithZone("") {
			p.strangers.Add(1)
			tcp.SetLinger(0)
			tcp.Close()
			continue
		}
		if !s.emit(p.ctx, connected{p, tcp, false}) {
			tcp.Close()
		}
	}
}

// dial opens a connection to the peer, if there is reason to.
func (s *Speaker) dial(p *peer, now time.Time) {
	p.dialAt = time.Time{}
	if p.hangUp != nil || p.conn(true) != nil || p.session() != nil {
		return
	}
	at, err := locate(p.addr)
	if err == nil && at != p.at {
		err = s.listen(p, at)
	}
	if err != nil {
		s.cfg.Log.Debug("opening a bgp session", "link", p.addr.Zone(), "peer", p.addr, "err", err)
		p.dialAt = now.Add(p.pace.refused(now))
		return
	}
	s.enter(p, p.furthest(), now)
	ctx, hangUp := context.WithCancel(p.ctx)
	p.hangUp = hangUp
	s.running.Go(func() {
		defer hangUp()
		tcp, err := at.dial(ctx, p.addr, s.cfg.HoldTime)
		switch {
		case err != nil:
			s.emit(p.ctx, notConnected{p, err})
		case !s.emit(p.ctx, connected{p, tcp, true}):
			tcp.Close()
		}
	})
}

func (s *Speaker) notConnected(p *peer, err error) {
	p.hangUp = nil
	if p.session() != nil {
		return
	}
	if p.waiting != nil {
		s.choose(p, p.waiting)
		return
	}
	s.cfg.Log.Debug("connecting to the peer", "link", p.addr.Zone(), "peer", p.addr, "err", err)
	now := time.Now()
	p.dialAt = now.Add(p.pace.refused(now))
}

// connected takes or refuses a new connection.
func (s *Speaker) connected(p *peer, tcp *net.TCPConn, dialled bool) {
	if dialled {
		p.hangUp = nil
	}
	session := p.session()
	switch {
	case session == nil:
		s.begin(p, tcp, dialled)
	case dialled || session.state == Established:
		// RFC 4271 section 6.8: an Established connection is not given up for
		// a new one. Nor need there be another one of ours.
		refuse(tcp)
	default:
		// Not a word before the session is Established or has ended: were the
		// peer to hear our OPEN here now, it might give up the session for it
		// in the moment in which we take that for Established.
		p.unhold()
		p.held, p.waitUntil = tcp, time.Now().Add(collisionWait)
	}
}

func refuse(tcp *net.TCPConn) {
	_, _ = tcp.Write(collision.message()) // it is closed anyway
	tcp.Close()
}

// begin begins with a new connection, in place of an older one of the same
// side: who opens another has lost the one before.
func (s *Speaker) begin(p *peer, tcp *net.TCPConn, dialled bool) {
	if older := p.conn(dialled); older != nil {
		s.giveUp(p, older)
	}
	ctx, end := context.WithCancelCause(p.ctx)
	c := &connection{
		peer: p.addr, dialled: dialled, tcp: tcp, leaf: newFramer(tcp), machine: newMachineAddress(),
		chosen: make(chan struct{}), end: end, state: OpenSent,
	}
	p.conns = append(p.conns, c)
	now := time.Now()
	if !dialled && !p.dialAt.IsZero() {
		p.dialAt = later(p.dialAt, now.Add(collisionWait))
	}
	s.enter(p, p.furthest(), now)
	s.running.Go(func() { c.run(ctx, s.cfg, s.gobgp, s.emit) })
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// opened decides about a connection on which the peer's OPEN has come.
func (s *Speaker) opened(p *peer, c *connection, theirs open) {
	c.open = &theirs
	state := Idle
	if other := p.conn(!c.dialled); other != nil {
		state = other.state
	} else if p.hangUp != nil {
		state = Connect
	}
	switch judge(c.dialled, dominates(ourOpen(s.cfg), theirs), state) {
	case proceed:
		s.choose(p, c)
	case yield:
		s.giveUp(p, c)
	case wait:
		p.waiting, p.waitUntil = c, time.Now().Add(collisionWait)
	}
}

var collision = &notification{code: errCease, subcode: subCollision}

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
	c.end(collision)
}

// ended is the end of a connection that was not given up.
func (s *Speaker) ended(p *peer, c *connection, err error) {
	p.remove(c)
	now := time.Now()
	lasted := time.Duration(0)
	if c.state == Established {
		lasted = now.Sub(p.Since)
	}
	s.release(p)
	if len(p.conns) == 0 {
		p.Reason = reason(err)
		s.enter(p, Idle, now)
	} else {
		s.enter(p, p.furthest(), now)
	}
	after := p.pace.ended(now, lasted)
	var n *notification
	if errors.As(err, &n) && n.code == errOpen && n.subcode == subBadPeerAS {
		after = afterOwnAS
	}
	p.dialAt = now.Add(after)
	if p.waiting != nil && len(p.conns) == 1 {
		s.choose(p, p.waiting)
	}
}

// release begins with the connection that was held, if there is one.
func (s *Speaker) release(p *peer) {
	if tcp := p.held; tcp != nil {
		p.held = nil
		s.begin(p, tcp, false)
	}
}

// tick does what is due.
func (s *Speaker) tick(now time.Time) {
	for _, p := range s.peers {
		if !p.waitUntil.After(now) {
			if p.waiting != nil {
				s.choose(p, p.waiting)
			}
			s.release(p)
		}
		if !p.dialAt.IsZero() && !p.dialAt.After(now) {
			s.dial(p, now)
		}
	}
}

// open begins with a new peer.
func (s *Speaker) open(ctx context.Context, addr netip.Addr) error {
	at, err := locate(addr)
	if err != nil {
		return err
	}
	now := time.Now()
	p := &peer{
		addr:      addr,
		PeerState: PeerState{Peer: addr, State: Idle, Since: now},
		pace:      pace{since: now},
		dialAt:    now.Add(jitter(grace)),
	}
	p.ctx, p.end = context.WithCancel(ctx)
	if err := s.listen(p, at); err != nil {
		p.end()
		return err
	}
	s.peers[addr] = p
	return nil
}

// close ends all that there is of a peer, with a Cease.
func (p *peer) close() {
	p.end()
	p.unhold()
	if p.listener != nil {
		p.listener.Close()
	}
}
