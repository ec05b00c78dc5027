package nd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/mdlayher/ndp"
	"golang.org/x/net/ipv6"
	"golang.org/x/sync/errgroup"
)

// Config is one uplink's.
type Config struct {
	Link     string        // interface name
	Interval time.Duration // longest wait between advertisements; 0 stands for 30 s
	Log      *slog.Logger
	Metrics  *Metrics // nil: not counted
}

// A Speaker does router discovery on one link.
type Speaker struct {
	cfg Config

	link    *net.Interface
	conn    *ndp.Conn
	address netip.Addr // our link-local, with the link's index as its zone
}

// New returns a Speaker; Run looks for the link.
func New(cfg Config) *Speaker {
	if cfg.Interval == 0 {
		cfg.Interval = defaultInterval
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Metrics == nil {
		cfg.Metrics = NewMetrics(nil)
	}
	for _, err := range drops { // 0 is there before the first
		cfg.Metrics.dropped.WithLabelValues(cfg.Link, err.Error())
	}
	cfg.Log = cfg.Log.With("link", cfg.Link)
	return &Speaker{cfg: cfg}
}

// Run advertises and solicits on the link and sends what it hears to news, once
// for every advertisement, until ctx ends. It waits for the link to have a
// link-local address that may be used. The error, other than nil when ctx has
// ended, says that the link is gone or that the socket may not be opened
// (CAP_NET_RAW).
func (s *Speaker) Run(ctx context.Context, news chan<- Heard) error {
	if err := s.listen(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	received := make(chan datagram)
	group.Go(func() error { return s.receive(ctx, received) })
	group.Go(func() error {
		defer s.conn.Close() // ends receive
		s.loop(ctx, received, news)
		return nil
	})
	return group.Wait()
}

// listen opens the socket once the link-local address has passed duplicate
// address detection: binding to a tentative one fails.
func (s *Speaker) listen(ctx context.Context) error {
	const patience = 50 * time.Millisecond
	for {
		err := s.open()
		if err == nil {
			return nil
		}
		if !addressMissing(err) {
			return fmt.Errorf("opening router discovery on %s: %w", s.cfg.Link, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(patience):
		}
	}
}

// addressMissing says if an address may appear that makes open succeed.
func addressMissing(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) ||
		strings.Contains(err.Error(), `address "linklocal" not found`) // ndp has no value for it
}

func (s *Speaker) open() error {
	var err error
	if s.link, err = net.InterfaceByName(s.cfg.Link); err != nil {
		return err
	}
	// The net package keeps the indices of zone names for up to a minute, and
	// would miss an interface that was made anew. A number needs no table.
	numbered := *s.link
	numbered.Name = strconv.Itoa(s.link.Index)
	if s.conn, s.address, err = ndp.Listen(&numbered, ndp.LinkLocal); err != nil {
		return err
	}
	var filter ipv6.ICMPFilter
	filter.SetAll(true)
	filter.Accept(ipv6.ICMPTypeRouterSolicitation)
	filter.Accept(ipv6.ICMPTypeRouterAdvertisement)
	err = errors.Join(
		s.conn.SetICMPFilter(&filter),
		s.conn.SetControlMessage(ipv6.FlagHopLimit|ipv6.FlagInterface, true),
		s.conn.JoinGroup(netip.IPv6LinkLocalAllNodes()),
		s.conn.JoinGroup(netip.IPv6LinkLocalAllRouters()),
	)
	if err != nil {
		s.conn.Close()
	}
	return err
}

// receive hands every datagram to the loop until the socket is closed.
func (s *Speaker) receive(ctx context.Context, to chan<- datagram) error {
	buffer := make([]byte, 1<<16)
	for {
		n, cm, source, err := s.conn.ReadRaw(buffer)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("receiving on %s: %w", s.cfg.Link, err)
		}
		// Our own multicast, or what the socket heard on other links before it
		// was bound to this one.
		if source == s.address || cm == nil || cm.IfIndex != s.link.Index {
			continue
		}
		d := datagram{body: bytes.Clone(buffer[:n]), source: source.WithZone(s.cfg.Link), hopLimit: cm.HopLimit}
		select {
		case to <- d:
		case <-ctx.Done():
			return nil
		}
	}
}

// loop owns the schedules.
func (s *Speaker) loop(ctx context.Context, received <-chan datagram, news chan<- Heard) {
	solicit, advertise := time.NewTimer(0), time.NewTimer(s.cfg.Interval)
	defer solicit.Stop()
	defer advertise.Stop()
	advertising := advertising{interval: s.cfg.Interval}
	var soliciting soliciting
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-solicit.C:
			s.send(solicitation)
			solicit.Reset(time.Until(soliciting.sent(now)))
			// Whoever solicits is a host (RFC 4861 section 6.2.6): say at once
			// that we are a router all the same.
			s.send(advertisement)
			advertise.Reset(time.Until(advertising.sent(now)))
		case now := <-advertise.C:
			s.send(advertisement)
			advertise.Reset(time.Until(advertising.sent(now)))
		case d := <-received:
			m, err := parse(d)
			if err != nil {
				s.cfg.Metrics.dropped.WithLabelValues(s.cfg.Link, err.Error()).Inc()
				s.cfg.Log.Debug("router discovery message dropped", "source", d.source, "err", err)
				continue
			}
			s.cfg.Metrics.received.WithLabelValues(s.cfg.Link, m.kind.String()).Inc()
			if m.kind == solicitation {
				advertise.Reset(time.Until(advertising.solicited(time.Now())))
				continue
			}
			solicit.Stop() // a router is heard (RFC 4861 section 6.3.7)
			heard := Heard{Link: s.cfg.Link, Router: d.source, MAC: m.mac, Lifetime: m.lifetime, At: time.Now()}
			select {
			case news <- heard:
			case <-ctx.Done():
			}
		}
	}
}

// send sends our one message of a kind. A failure is left to whoever watches
// the link: the next message is not far.
func (s *Speaker) send(k kind) {
	// The option spares the other side a neighbour solicitation.
	var options []ndp.Option
	if len(s.link.HardwareAddr) == 6 {
		options = []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: s.link.HardwareAddr}}
	}
	// Router lifetime 0 always, so that the end of a run has nothing to take
	// back.
	var m ndp.Message = &ndp.RouterAdvertisement{RouterLifetime: 0, Options: options}
	to := netip.IPv6LinkLocalAllNodes()
	if k == solicitation {
		m, to = &ndp.RouterSolicitation{Options: options}, netip.IPv6LinkLocalAllRouters()
	}
	if err := s.conn.WriteTo(m, nil, to); err != nil {
		s.cfg.Log.Debug("sending router discovery", "type", k, "err", err)
		return
	}
	s.cfg.Metrics.sent.WithLabelValues(s.cfg.Link, k.String()).Inc()
}
