package bgp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"
)

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

// open begins with a new peer. That there is no way to it yet is no error.
func (s *Speaker) open(ctx context.Context, addr netip.Addr, options Options) error {
	now := time.Now()
	p := &peer{
		addr:      addr,
		options:   options,
		counters:  s.cfg.Metrics.of(addr.Zone()),
		PeerState: PeerState{Peer: addr, State: Idle, Since: now},
		pace:      pace{since: now},
		dialAt:    now.Add(jitter(grace)),
	}
	p.ctx, p.end = context.WithCancelCause(ctx)
	if at, err := locate(addr); err != nil {
		s.cfg.Log.Warn("no way to the peer yet", "link", addr.Zone(), "peer", addr, "err", err)
	} else if key, err := options.key(); err != nil {
		s.blame(p, err.Error())
	} else if err := s.listen(p, at, key); err != nil {
		p.end(nil)
		return err
	}
	s.peers[addr] = p
	return nil
}

// close ends all that there is of a peer, with that word or an ordinary Cease.
func (p *peer) close(why error) {
	p.end(why)
	p.unhold()
	p.unlisten()
}

// unlisten closes the peer's port, until prepare opens it anew.
func (p *peer) unlisten() {
	if p.listener != nil {
		p.listener.Close()
	}
	p.listener, p.at = nil, place{}
}

// listen opens the peer's port, in place of the one that was open.
func (s *Speaker) listen(p *peer, at place, key string) error {
	p.unlisten()
	p.key = key
	l, err := at.listen(s.cfg.ListenPort, p.tuning(s.cfg))
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
			p.counters.strangers.Inc()
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
	if err == nil {
		err = s.prepare(p, at)
	}
	if err != nil {
		s.cfg.Log.Debug("opening a bgp session", "link", p.addr.Zone(), "peer", p.addr, "err", err)
		p.dialAt = now.Add(p.pace.refused(now))
		return
	}
	s.enter(p, p.furthest(), now)
	ctx, hangUp := context.WithCancel(p.ctx)
	p.hangUp = hangUp
	tuning := p.tuning(s.cfg)
	s.running.Go(func() {
		defer hangUp()
		tcp, err := at.dial(ctx, p.addr, tuning)
		switch {
		case err != nil:
			s.emit(p.ctx, notConnected{p, err})
		case !s.emit(p.ctx, connected{p, tcp, true}):
			tcp.Close()
		}
	})
}

// prepare opens the peer's port anew if what it hangs on has changed. Without
// its key it closes the port: the one that the socket has may be revoked.
func (s *Speaker) prepare(p *peer, at place) error {
	key, err := p.options.key()
	if err != nil {
		p.unlisten()
		s.blame(p, err.Error())
		return err
	}
	if at == p.at && key == p.key {
		return nil
	}
	return s.listen(p, at, key)
}

// locked says that the key with which the peer has connected is not the one in
// the file any more, and closes the port if so. A peer may be faster than our
// next dial, before which prepare sees to it.
func (s *Speaker) locked(p *peer) bool {
	key, err := p.options.key()
	if err == nil && key == p.key {
		return false
	}
	p.unlisten()
	if err != nil {
		s.blame(p, err.Error())
	}
	return true
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
	if isTimeout(err) {
		if p.unanswered++; p.unanswered >= silence {
			s.blame(p, p.options.unanswered())
		}
	} else {
		p.unanswered = 0
	}
	now := time.Now()
	p.dialAt = now.Add(p.pace.refused(now))
}

func isTimeout(err error) bool {
	var e net.Error // a dial may time out in more than one place
	return errors.As(err, &e) && e.Timeout()
}

// connected takes or refuses a new connection.
func (s *Speaker) connected(p *peer, tcp *net.TCPConn, dialled bool) {
	if dialled {
		p.hangUp = nil
		p.unanswered = 0
	}
	session := p.session()
	switch {
	case time.Now().Before(p.shunned):
		refuse(tcp, rejected())
	case session != nil && (dialled || session.state == Established):
		// RFC 4271 section 6.8: an Established connection is not given up for
		// a new one. Nor need there be another one of ours.
		refuse(tcp, collision())
	case !dialled && s.locked(p):
		tcp.SetLinger(0)
		tcp.Close()
	case session == nil:
		s.begin(p, tcp, dialled)
	default:
		// Not a word before the session is Established or has ended: were the
		// peer to hear our OPEN here now, it might give up the session for it
		// in the moment in which we take that for Established.
		p.unhold()
		p.held, p.waitUntil = tcp, time.Now().Add(collisionWait)
	}
}

func refuse(tcp *net.TCPConn, why *notification) {
	_, _ = tcp.Write(why.message()) // it is closed anyway
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
		peer: p.addr, options: p.options, ours: ourOpen(s.cfg, p.options, s.started), dialled: dialled, tcp: tcp, leaf: newFramer(tcp), machine: newMachineAddress(),
		chosen: make(chan struct{}), updates: s.updates, counters: p.counters, end: end, state: OpenSent,
	}
	p.conns = append(p.conns, c)
	now := time.Now()
	if atLeast := now.Add(collisionWait); !dialled && !p.dialAt.IsZero() && p.dialAt.Before(atLeast) {
		p.dialAt = atLeast // for this one may be all that is needed
	}
	s.enter(p, p.furthest(), now)
	s.running.Go(func() {
		defer c.detach(s.gobgp) // last: neither the news nor the peer can wait for GoBGP
		c.run(ctx, s.cfg, s.gobgp, s.emit)
		if c.attached != nil {
			c.part(s.ctx) // not p.ctx: a peer that is deleted has its time, too
		}
		tcp.Close()
		s.emit(p.ctx, parted{c})
	})
}
