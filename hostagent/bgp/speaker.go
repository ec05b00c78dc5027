package bgp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"
)

// errStopped is what orders get once Run has returned.
var errStopped = errors.New("the BGP speaker has stopped")

// Config is what all sessions have in common.
type Config struct {
	AS       uint32     // our AS number
	RouterID netip.Addr // our BGP identifier, an IPv4 address
	// HoldTime is what we propose, in whole seconds from 3 s to 65535 s; 0
	// stands for 9 s. Keepalives are sent three times as often.
	HoldTime   time.Duration
	ListenPort uint16 // TCP port to listen on, on every address; 0 stands for 179
	Log        *slog.Logger
}

const (
	defaultHoldTime = 9 * time.Second
	defaultPort     = 179
)

// A Speaker keeps one session to each neighbour it is told of. One process can
// run one Speaker at a time: GoBGP keeps settings in package variables.
type Speaker struct {
	cfg     Config
	orders  chan order
	events  chan any // from GoBGP: transition, Update, endOfRIB
	news    chan News
	stopped chan struct{}

	// Owned by Run.
	gobgp     *gobgp
	peers     map[netip.Addr]*peer
	announced map[netip.Prefix]bool
	queue     []News // not yet taken from news
}

// New checks the configuration.
func New(cfg Config) (*Speaker, error) {
	if cfg.HoldTime == 0 {
		cfg.HoldTime = defaultHoldTime
	}
	if cfg.ListenPort == 0 {
		cfg.ListenPort = defaultPort
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if err := check(cfg); err != nil {
		return nil, err
	}
	return &Speaker{
		cfg:       cfg,
		orders:    make(chan order),
		events:    make(chan any),
		news:      make(chan News),
		stopped:   make(chan struct{}),
		peers:     make(map[netip.Addr]*peer),
		announced: make(map[netip.Prefix]bool),
	}, nil
}

func check(cfg Config) error {
	const asTrans, asLast = 23456, 65535 // RFC 6793 section 9, RFC 7300
	var errs []error
	if as := cfg.AS; as == 0 || as == asTrans || as == asLast || as == 1<<32-1 {
		errs = append(errs, fmt.Errorf("AS %d: reserved, use 1 to 4294967294 without 23456 and 65535", as))
	}
	if !cfg.RouterID.Is4() || cfg.RouterID.IsUnspecified() {
		errs = append(errs, fmt.Errorf("router ID %s: want an IPv4 address other than 0.0.0.0", cfg.RouterID))
	}
	if h := cfg.HoldTime; h < 3*time.Second || h > 65535*time.Second || h%time.Second != 0 {
		errs = append(errs, fmt.Errorf("hold time %v: want whole seconds from 3s to 65535s", h))
	}
	return errors.Join(errs...)
}

// News tells what happens to the sessions, until Run returns and closes it.
// A slow reader delays nobody: what is not read yet is queued.
func (s *Speaker) News() <-chan News { return s.news }

// Run listens, calls ready, and keeps the sessions until ctx ends; then it
// sends every peer a Cease, so that they withdraw our prefixes at once. It may
// be called once. The error says why it could not listen.
func (s *Speaker) Run(ctx context.Context, ready func()) error {
	defer close(s.news)
	defer close(s.stopped)
	var err error
	if s.gobgp, err = startGoBGP(s.cfg); err != nil {
		return err
	}
	defer s.gobgp.stop()
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	err = s.gobgp.watch(watching, func(ev any) {
		select {
		case s.events <- ev:
		case <-watching.Done():
		}
	})
	if err != nil {
		return fmt.Errorf("watching GoBGP: %w", err)
	}
	ready()
	s.loop(ctx)
	return nil
}

func (s *Speaker) loop(ctx context.Context) {
	retry := time.NewTimer(0)
	defer retry.Stop()
	for {
		var out chan News
		var next News
		if len(s.queue) > 0 {
			out, next = s.news, s.queue[0]
		}
		select {
		case <-ctx.Done():
			return
		case out <- next:
			s.queue[0] = nil // let go of it before the queue's array is
			s.queue = s.queue[1:]
		case ev := <-s.events:
			s.handle(ev)
			s.schedule(retry)
		case o := <-s.orders:
			o.done <- o.do()
			s.schedule(retry)
		case now := <-retry.C:
			s.retry(now)
			s.schedule(retry)
		}
	}
}

func (s *Speaker) schedule(retry *time.Timer) {
	if at, ok := earliest(s.peers); ok {
		retry.Reset(time.Until(at))
	} else {
		retry.Stop()
	}
}

func (s *Speaker) handle(event any) {
	switch ev := event.(type) {
	case transition:
		if p := s.peers[ev.Peer]; p != nil {
			was := p.State
			if p.enter(ev) {
				s.entered(p, was)
			}
		}
	case Update:
		if p := s.peers[ev.Peer]; p != nil && p.State == Established {
			s.tell(ev)
		}
	case endOfRIB:
		if p := s.peers[ev.peer]; p != nil && p.endOfRIB(ev.family) {
			s.tell(Update{Peer: ev.peer, EndOfRIB: true})
		}
	}
}

func (s *Speaker) tell(n News) { s.queue = append(s.queue, n) }

// entered acts on a peer's new state.
func (s *Speaker) entered(p *peer, was State) {
	log := s.cfg.Log.With("link", p.Peer.Zone(), "peer", p.Peer)
	switch {
	case p.State == Established && p.AS == s.cfg.AS:
		reason := fmt.Sprintf("refused: the peer's AS %d is our own", p.AS)
		log.Warn("bgp session refused", "reason", reason)
		if err := s.gobgp.deletePeer(p.Peer); err != nil {
			log.Error("ending a bgp session", "err", err)
		}
		p.refuse(p.Since, reason)
	case p.State == Established:
		log.Info("bgp session established", "as", p.AS, "router_id", p.RouterID)
		if !p.extendedNextHop {
			log.Warn("peer takes no IPv4 routes with an IPv6 next hop (RFC 8950)")
		}
	case was == Established:
		log.Info("bgp session ended", "reason", p.Reason)
	case p.State == Idle:
		log.Debug("bgp session not opened", "reason", p.Reason)
	}
	s.tell(p.PeerState)
}

// retry replaces the state machines whose wait is over. One that cannot be
// made now, because its link has just gone, is tried again later.
func (s *Speaker) retry(now time.Time) {
	for addr, p := range s.peers {
		if p.retryAt.IsZero() || p.retryAt.After(now) {
			continue
		}
		p.retryAt = time.Time{}
		_ = s.gobgp.deletePeer(addr) // a refused peer has none left
		if err := s.gobgp.addPeer(addr); err != nil {
			s.cfg.Log.Warn("opening a bgp session", "link", addr.Zone(), "peer", addr, "err", err)
			p.retryAt = now.Add(retryMax)
		}
	}
}
