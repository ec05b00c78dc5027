package bgp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
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
	ListenPort uint16 // TCP port to listen on, on the links with a peer; 0 stands for 179
	Log        *slog.Logger
	Metrics    *Metrics // nil for none
	// RestartTime is for how long the peers are asked to keep our routes when
	// we are gone without a word, in whole seconds up to 4095 s; 0 stands for
	// not at all. Restarted says that what an earlier process has put into the
	// kernel is there still, so that what they have kept is good.
	RestartTime time.Duration
	Restarted   bool
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
	events  chan any    // from connections, see handle
	updates chan update // from connections, while few are queued
	news    chan News
	stopped chan struct{}

	running sync.WaitGroup // all goroutines that Run has started

	// Owned by Run.
	ctx       context.Context // Run's
	started   time.Time
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
	if cfg.Metrics == nil {
		cfg.Metrics = NewMetrics(prometheus.NewRegistry())
	}
	if err := check(cfg); err != nil {
		return nil, err
	}
	return &Speaker{
		cfg:       cfg,
		orders:    make(chan order),
		events:    make(chan any),
		updates:   make(chan update),
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
	if r := cfg.RestartTime; r < 0 || r > MaxRestartTime || r%time.Second != 0 {
		errs = append(errs, fmt.Errorf("restart time %v: want whole seconds up to %v", r, MaxRestartTime))
	}
	return errors.Join(errs...)
}

// News tells what happens to the sessions, until Run returns and closes it.
// A slow reader slows the peers down: when some Updates are queued, no more are
// read from the peers' TCP, whose windows close. Sessions stay up meanwhile: we
// keep sending KEEPALIVEs, and miss none of those that wait behind UPDATEs.
func (s *Speaker) News() <-chan News { return s.news }

// Run starts, calls ready, and keeps the sessions until ctx ends; then it
// sends every peer a Cease, so that they withdraw our prefixes at once, unless
// the cause is ErrRestart. It may
// be called once. The error says why nobody could listen.
func (s *Speaker) Run(ctx context.Context, ready func()) error {
	defer close(s.news)
	defer close(s.stopped)
	if err := checkPort(s.cfg.ListenPort); err != nil {
		return err
	}
	var err error
	if s.gobgp, err = startGoBGP(s.cfg); err != nil {
		return err
	}
	defer s.gobgp.stop()
	s.ctx, s.started = ctx, time.Now()
	ready()
	s.loop(ctx)
	for _, p := range s.peers {
		p.close(nil)
	}
	s.running.Wait()
	return nil
}

// emit is the emitter of all events.
func (s *Speaker) emit(ctx context.Context, event any) bool {
	select {
	case s.events <- event:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *Speaker) loop(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var out chan News
		var next News
		if len(s.queue) > 0 {
			out, next = s.news, s.queue[0]
		}
		updates := s.updates
		if len(s.queue) >= maxQueued {
			updates = nil
		}
		select {
		case <-ctx.Done():
			return
		case u := <-updates:
			if p := s.peerWith(u.connection); p != nil {
				s.tell(u.Update)
				if u.EndOfRIB {
					p.wholeBy = time.Time{}
				}
			}
		case out <- next:
			s.queue[0] = nil // let go of it before the queue's array is
			s.queue = s.queue[1:]
		case event := <-s.events:
			s.handle(event)
			s.schedule(timer)
		case o := <-s.orders:
			o.done <- o.do()
			s.schedule(timer)
		case now := <-timer.C:
			s.tick(now)
			s.schedule(timer)
		}
	}
}

func (s *Speaker) schedule(timer *time.Timer) {
	if at, ok := earliest(s.peers); ok {
		timer.Reset(time.Until(at))
	} else {
		timer.Stop()
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
		if !p.wholeBy.IsZero() && !p.wholeBy.After(now) {
			p.wholeBy = time.Time{}
			s.tell(Update{Peer: p.addr, EndOfRIB: true})
		}
		if at := p.due(); !at.IsZero() && !at.After(now) {
			s.dial(p, now)
		}
	}
}

// handle acts on an event. Some come late, of what is no more.
func (s *Speaker) handle(event any) {
	switch ev := event.(type) {
	case connected:
		if s.peers[ev.addr] == ev.peer {
			s.connected(ev.peer, ev.tcp, ev.dialled)
		} else {
			ev.tcp.Close()
		}
	case notConnected:
		if s.peers[ev.addr] == ev.peer {
			s.notConnected(ev.peer, ev.err)
		}
	case opened:
		if p := s.peerWith(ev.connection); p != nil {
			s.opened(p, ev.connection, ev.open)
		}
	case established:
		if p := s.peerWith(ev.connection); p != nil {
			s.established(p, ev.connection)
		}
	case ended:
		if p := s.peerWith(ev.connection); p != nil {
			s.ended(p, ev.connection, ev.err)
		}
	case parted:
		if p := s.peers[ev.peer]; p != nil {
			s.parted(p, ev.connection)
		}
	}
}

// peerWith returns the peer that has the connection, nil if none has it still.
func (s *Speaker) peerWith(c *connection) *peer {
	if p := s.peers[c.peer]; p != nil && slices.Contains(p.conns, c) {
		return p
	}
	return nil
}

// tell queues news.
func (s *Speaker) tell(n News) { s.queue = append(s.queue, n) }

// void forgets the Updates of a peer that nobody has read yet.
func (s *Speaker) void(peer netip.Addr) {
	s.queue = slices.DeleteFunc(s.queue, func(n News) bool {
		u, ok := n.(Update)
		return ok && u.Peer == peer
	})
}

// enter takes a peer to a state, and tells so.
func (s *Speaker) enter(p *peer, state State, now time.Time) {
	was := p.State
	if !p.enter(state, now) {
		return
	}
	log := s.cfg.Log.With("link", p.addr.Zone(), "peer", p.addr)
	switch {
	case state == Established:
		log.Info("bgp session established", "as", p.AS, "router_id", p.RouterID)
		if !p.extendedNextHop {
			log.Warn("peer takes no IPv4 routes with an IPv6 next hop (RFC 8950)")
		}
	case was == Established:
		log.Info("bgp session ended", "reason", p.Reason, "routes_kept", p.Stale)
	}
	if was == Established && p.Stale == 0 {
		s.void(p.addr) // those of one that restarts are to be kept, with what it has told before
	}
	s.tell(p.PeerState)
}
