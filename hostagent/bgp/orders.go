package bgp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// order is a method call on its way to the goroutine that owns the state.
type order struct {
	do   func() error
	done chan error // holds one
}

// ask has Run's goroutine do something and waits for it.
func (s *Speaker) ask(ctx context.Context, do func() error) error {
	o := order{do: do, done: make(chan error, 1)}
	select {
	case s.orders <- o:
	case <-s.stopped:
		return errStopped
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return <-o.done // a Run that took the order answers it
}

// AddPeer opens a session to a link-local address with the link as its zone
// (fe80::1%eth0), and keeps trying. A peer that is there already is left alone.
func (s *Speaker) AddPeer(ctx context.Context, addr netip.Addr, options Options) error {
	if !addr.Is6() || !addr.IsLinkLocalUnicast() || addr.Zone() == "" {
		return fmt.Errorf("adding peer %s: want a link-local address with its link, such as fe80::1%%eth0", addr)
	}
	return s.ask(ctx, func() error {
		if s.peers[addr] != nil {
			return nil
		}
		if err := s.open(s.ctx, addr, options); err != nil {
			return fmt.Errorf("adding peer %s: %w", addr, err)
		}
		return nil
	})
}

// A Cease is what a peer is told when a session is ended on purpose: a subcode
// of the NOTIFICATION of that name (RFC 4486 section 3, RFC 9384 section 3).
type Cease uint8

// The reasons that there are.
const (
	PeerRemoved Cease = 3  // Peer De-configured
	BFDDown     Cease = 10 // BFD Down
)

// String says it as PeerState.Reason does.
func (c Cease) String() string {
	if c == BFDDown {
		return "BFD down"
	}
	return "peer removed"
}

func (c Cease) notification() *notification {
	return &notification{code: errCease, subcode: uint8(c), why: c.String()}
}

// DeletePeer ends the session at once, tells so, and forgets the peer. News of
// it that nobody has read yet is dropped, so that none comes late, into the
// session of one that is added with the same address. A peer that is not there
// is no error.
func (s *Speaker) DeletePeer(ctx context.Context, addr netip.Addr, why Cease) error {
	return s.ask(ctx, func() error {
		p := s.peers[addr]
		if p == nil {
			return nil
		}
		delete(s.peers, addr)
		s.queue = slices.DeleteFunc(s.queue, func(n News) bool { return n.of() == addr })
		if p.State != Idle {
			s.tell(PeerState{Peer: addr, State: Idle, Since: time.Now(), Reason: why.String()})
		}
		p.close(why.notification())
		return nil
	})
}

// ResetPeer ends the session, and every connection that may become one, with
// that word to the peer, and begins anew. A peer that is not there is no error.
func (s *Speaker) ResetPeer(ctx context.Context, addr netip.Addr, why Cease) error {
	return s.ask(ctx, func() error {
		p := s.peers[addr]
		if p == nil {
			return nil
		}
		p.hang()
		cease := why.notification()
		for _, c := range slices.Clone(p.conns) {
			c.end(cease)
			s.ended(p, c, cease)
		}
		return nil
	})
}

// Refresh asks an Established peer to announce again all that it announces (RFC
// 2918), which changes nothing of what it has announced.
func (s *Speaker) Refresh(ctx context.Context, addr netip.Addr) error {
	return s.ask(ctx, func() error {
		p := s.peers[addr]
		if p == nil || p.State != Established {
			return fmt.Errorf("refreshing peer %s: no session", addr)
		}
		c := p.session()
		if !c.open.routeRefresh {
			return fmt.Errorf("refreshing peer %s: it does not understand ROUTE-REFRESH", addr)
		}
		families := c.open.families()
		s.running.Go(func() { c.refresh(families) }) // which may have to wait for the peer
		return nil
	})
}

// Announce makes prefixes all that the peers hear from us, each with the
// session's own link-local address as the next hop (RFC 8950 for IPv4).
func (s *Speaker) Announce(ctx context.Context, prefixes []netip.Prefix) error {
	wanted := make(map[netip.Prefix]bool, len(prefixes))
	for _, p := range prefixes {
		if !p.IsValid() || p != p.Masked() {
			return fmt.Errorf("announcing %s: want a prefix without host bits", p)
		}
		wanted[p] = true
	}
	return s.ask(ctx, func() error { return s.announce(wanted) })
}

func (s *Speaker) announce(wanted map[netip.Prefix]bool) error {
	var errs []error
	for p := range wanted {
		if s.announced[p] {
			continue
		}
		if err := s.gobgp.announce(p); err != nil {
			errs = append(errs, fmt.Errorf("announcing %s: %w", p, err))
			continue
		}
		s.announced[p] = true
	}
	for p := range s.announced {
		if wanted[p] {
			continue
		}
		if err := s.gobgp.withdraw(p); err != nil {
			errs = append(errs, fmt.Errorf("withdrawing %s: %w", p, err))
			continue
		}
		delete(s.announced, p)
	}
	return errors.Join(errs...)
}
