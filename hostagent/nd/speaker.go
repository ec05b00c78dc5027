package nd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
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
	Interval time.Duration // longest wait between advertisements, from 4 s to 1800 s; 0 stands for 30 s
	Log      *slog.Logger
	Metrics  *Metrics // nil: not counted
}

// A Speaker does router discovery on one link.
type Speaker struct {
	cfg  Config
	conn *ndp.Conn
	ifi  *net.Interface

	advertising advertising
	soliciting  soliciting
}

// New returns a Speaker for cfg.Link, which need not be there yet.
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
	cfg.Log = cfg.Log.With("link", cfg.Link)
	return &Speaker{cfg: cfg}
}

// Run advertises and solicits on the link and sends what it hears to news, once
// for every advertisement, until ctx ends. It waits for the link to have a
// link-local address that may be used. The error, other than nil when ctx has
// ended, says that the link is gone or that the socket may not be opened
// (CAP_NET_RAW).
func (s *Speaker) Run(ctx context.Context, news chan<- Heard) error {
	if err := s.listen(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	s.advertising = advertising{interval: s.cfg.Interval}
	s.soliciting = soliciting{}
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

// listen opens the socket, once the link-local address has passed duplicate
// address detection: binding to a tentative one fails. It returns nil without a
// socket if ctx ends before.
func (s *Speaker) listen(ctx context.Context) error {
	const patience = 50 * time.Millisecond
	for {
		err := s.open()
		if err == nil || ctx.Err() != nil {
			return nil
		}
		if !addressMissing(err) {
			return fmt.Errorf("opening router discovery on %s: %w", s.cfg.Link, err)
		}
		select {
		case <-ctx.Done():
			return nil
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
	if s.ifi, err = net.InterfaceByName(s.cfg.Link); err != nil {
		return err
	}
	if s.conn, _, err = ndp.Listen(s.ifi, ndp.LinkLocal); err != nil {
		return err
	}
	var filter ipv6.ICMPFilter
	filter.SetAll(true)
	filter.Accept(ipv6.ICMPTypeRouterSolicitation)
	filter.Accept(ipv6.ICMPTypeRouterAdvertisement)
	err = errors.Join(
		s.conn.SetICMPFilter(&filter),
		s.conn.SetControlMessage(ipv6.FlagHopLimit, true),
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
		d := datagram{body: append([]byte(nil), buffer[:n]...), source: source}
		if cm != nil {
			d.hopLimit = cm.HopLimit
		}
		select {
		case to <- d:
		case <-ctx.Done():
			return nil
		}
	}
}

// loop owns the schedule.
func (s *Speaker) loop(ctx context.Context, received <-chan datagram, news chan<- Heard) {
	advertise, solicit := time.NewTimer(0), time.NewTimer(0)
	defer advertise.Stop()
	defer solicit.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-advertise.C:
			s.send("advertisement", s.advertisement(), netip.IPv6LinkLocalAllNodes())
			s.advertising.done(now)
			advertise.Reset(time.Until(s.advertising.next))
		case now := <-solicit.C:
			s.send("solicitation", s.solicitation(), netip.IPv6LinkLocalAllRouters())
			s.soliciting.done(now)
			solicit.Reset(time.Until(s.soliciting.next))
		case d := <-received:
			m, err := parse(d)
			switch {
			case err != nil:
				s.cfg.Metrics.dropped.WithLabelValues(s.cfg.Link, err.Error()).Inc()
				s.cfg.Log.Debug("router discovery message dropped", "source", d.source, "err", err)
			case m.solicitation:
				s.cfg.Metrics.received.WithLabelValues(s.cfg.Link, "solicitation").Inc()
				s.advertising.solicited(time.Now())
				advertise.Reset(time.Until(s.advertising.next))
			default:
				s.cfg.Metrics.received.WithLabelValues(s.cfg.Link, "advertisement").Inc()
				solicit.Stop()
				select {
				case news <- Heard{Link: s.cfg.Link, Router: d.source, MAC: m.mac, Lifetime: m.lifetime, At: time.Now()}:
				case <-ctx.Done():
				}
			}
		}
	}
}

// send reports an error once a message: a link that is going down ends the run
// from outside.
func (s *Speaker) send(kind string, m ndp.Message, to netip.Addr) {
	if err := s.conn.WriteTo(m, nil, to); err != nil {
		s.cfg.Log.Debug("sending router discovery", "type", kind, "err", err)
		return
	}
	s.cfg.Metrics.sent.WithLabelValues(s.cfg.Link, kind).Inc()
}

// advertisement is the same always, also the last one: with router lifetime 0
// there is nothing to take back at the end.
func (s *Speaker) advertisement() ndp.Message {
	return &ndp.RouterAdvertisement{RouterLifetime: 0, Options: s.sourceLinkLayer()}
}

func (s *Speaker) solicitation() ndp.Message {
	return &ndp.RouterSolicitation{Options: s.sourceLinkLayer()}
}

// sourceLinkLayer spares the other side a neighbour solicitation.
func (s *Speaker) sourceLinkLayer() []ndp.Option {
	if len(s.ifi.HardwareAddr) != 6 {
		return nil
	}
	return []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: s.ifi.HardwareAddr}}
}
