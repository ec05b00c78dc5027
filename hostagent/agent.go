// Package hostagent is the daemon on a server: it finds the leaf on every
// uplink, peers with it over BGP, announces the server's addresses and routes
// over all leaves that live.
//
// One goroutine, [Agent.loop], owns the state. News come to it from the kernel
// (links and addresses), from router discovery on each uplink (leaves) and
// from BGP (sessions and routes); orders go out as calls:
//
//	kernel.Watcher --link up-->    nd.Speaker on that link
//	nd.Speaker     --leaf heard--> bgp.Speaker.AddPeer
//	bgp.Speaker    --routes-->     rib.Table --changed next-hop sets--> kernel.FIB
//
// A leaf that is lost leaves the kernel's routes first and BGP second.
package hostagent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"lastmile/hostagent/bgp"
	"lastmile/hostagent/kernel"
	"lastmile/hostagent/nd"
	"lastmile/hostagent/rib"
)

// fib is what the agent asks of the kernel's routing table.
type fib interface {
	Apply([]kernel.Route) error
	SetSource(v4, v6 netip.Addr) error
	LinkLost(name string)
	Len() int
}

// speaker is what the agent asks of BGP.
type speaker interface {
	AddPeer(context.Context, netip.Addr) error
	DeletePeer(context.Context, netip.Addr) error
	Announce(context.Context, []netip.Prefix) error
	Peers(context.Context) ([]bgp.Peer, error)
}

// An Agent is the daemon's state. All but health belongs to the loop.
type Agent struct {
	cfg     Config
	log     *slog.Logger
	metrics *metrics

	fib      fib
	bgp      speaker
	rib      *rib.Table
	discover func(ctx context.Context, link string, news chan<- nd.Heard) error
	sysctls  func(link string) (changed []string, err error)

	uplinks   map[string]*uplink
	loopback  []netip.Prefix // the global addresses on lo
	announced []netip.Prefix
	source    [2]netip.Addr                 // of the routes: IPv4, IPv6
	pending   map[netip.Prefix]kernel.Route // what the kernel refused
	stale     bool                          // BGP or the kernel refused what follows from lo

	heard   chan nd.Heard
	queries chan func(context.Context)
	health  atomic.Pointer[string] // what is wrong, "" if nothing
}

// New returns an agent for the configuration; Run starts it.
func New(cfg Config, log *slog.Logger, reg registerer) *Agent {
	a := &Agent{
		cfg:     cfg,
		log:     log,
		metrics: newMetrics(reg),
		rib:     rib.New(rib.Config{AS: cfg.AS, AllowASIn: cfg.AllowASIn}),
		uplinks: map[string]*uplink{},
		pending: map[netip.Prefix]kernel.Route{},
		heard:   make(chan nd.Heard),
		queries: make(chan func(context.Context)),
	}
	discovery := nd.NewMetrics(reg)
	a.discover = func(ctx context.Context, link string, news chan<- nd.Heard) error {
		return nd.New(nd.Config{Link: link, Log: log, Metrics: discovery}).Run(ctx, news)
	}
	a.sysctls = func(link string) ([]string, error) { return kernel.Sysctls([]string{link}) }
	a.setHealth("starting")
	return a
}

// Health says why the server is not reachable as it should be; nil if it is.
func (a *Agent) Health() error {
	if text := *a.health.Load(); text != "" {
		return errors.New(text)
	}
	return nil
}

func (a *Agent) setHealth(text string) { a.health.Store(&text) }

// Run does the agent's work until ctx ends, and calls ready once BGP listens.
// On return the kernel is as it was: the routes are gone and the leaves have
// been told.
func (a *Agent) Run(ctx context.Context, ready func()) (err error) {
	table, err := kernel.OpenFIB(a.log)
	if err != nil {
		return err
	}
	a.fib = table
	defer func() { err = errors.Join(err, table.Close()) }()

	control, err := listenUnix(a.cfg.Socket)
	if err != nil {
		return err
	}
	defer control.Close()

	watcher := kernel.NewWatcher(a.log)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return watcher.Run(ctx) })
	group.Go(func() error { return serveUnix(ctx, control, a.handler()) })
	group.Go(func() error {
		state, err := a.awaitRouterID(ctx, watcher.News())
		if err != nil {
			return err
		}
		s, err := bgp.New(bgp.Config{
			AS: a.cfg.AS, RouterID: a.cfg.RouterID, HoldTime: a.cfg.HoldTime,
			MaxPrefixes: bgp.DefaultMaxPrefixes, Log: a.log,
		})
		if err != nil {
			return err
		}
		a.bgp = s
		listening := make(chan struct{})
		group.Go(func() error { return s.Run(ctx, func() { close(listening) }) })
		select {
		case <-ctx.Done():
			return nil
		case <-listening:
		}
		ready()
		a.onKernel(ctx, group, state)
		return a.loop(ctx, group, watcher.News(), s.News())
	})
	return group.Wait()
}

// awaitRouterID waits for the first news of the kernel that give the agent a
// router ID, if the configuration gives none.
func (a *Agent) awaitRouterID(ctx context.Context, links <-chan kernel.State) (kernel.State, error) {
	for {
		select {
		case <-ctx.Done():
			return kernel.State{}, ctx.Err()
		case state, ok := <-links:
			if !ok {
				return kernel.State{}, errors.New("the kernel's news have ended")
			}
			if !a.cfg.RouterID.IsValid() {
				a.cfg.RouterID, _ = sources(state.Loopback)
			}
			if a.cfg.RouterID.IsValid() {
				a.log.Info("router ID", "router_id", a.cfg.RouterID)
				return state, nil
			}
			a.setHealth("no router ID: lo has no global IPv4 address and router_id is not set")
			a.log.Warn("waiting for an IPv4 address on lo, for a router ID")
		}
	}
}

// retryAfter is how long after a failure of the kernel or of BGP the whole
// state is applied again.
const retryAfter = time.Second

// loop is the one goroutine that owns the agent's state.
func (a *Agent) loop(ctx context.Context, group *errgroup.Group, links <-chan kernel.State, news <-chan bgp.News) error {
	retry := time.NewTicker(retryAfter)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case state, ok := <-links:
			if !ok {
				return errors.New("the kernel's news have ended")
			}
			a.onKernel(ctx, group, state)
		case h := <-a.heard:
			a.onHeard(ctx, h)
		case n, ok := <-news:
			if !ok {
				return errors.New("BGP's news have ended")
			}
			a.onBGP(ctx, n)
		case query := <-a.queries:
			query(ctx)
		case <-retry.C:
			a.repair(ctx)
		}
		a.report()
	}
}

// onKernel follows the links and the addresses on lo.
func (a *Agent) onKernel(ctx context.Context, group *errgroup.Group, state kernel.State) {
	// Losses first: what is lost must leave the routes before anything else.
	for name, u := range a.uplinks {
		if link, ok := state.Links[name]; !ok || !u.sameAs(link) {
			a.down(ctx, u)
		}
		if _, ok := state.Links[name]; !ok {
			a.log.Warn("uplink is gone", "link", name)
			delete(a.uplinks, name)
		}
	}
	a.loopback = state.Loopback
	a.adoptLoopback(ctx)
	for name, link := range state.Links {
		if a.cfg.isUplink(name) {
			a.up(ctx, group, link)
		}
	}
	for _, name := range a.cfg.named() {
		if _, ok := a.uplinks[name]; !ok {
			a.uplinks[name] = &uplink{link: kernel.Link{Name: name}, missing: true}
			a.log.Error("uplink does not exist", "link", name)
		}
	}
}

// adoptLoopback announces what stands on lo, and sends from it.
func (a *Agent) adoptLoopback(ctx context.Context) {
	if prefixes := a.cfg.announced(a.loopback); !slices.Equal(prefixes, a.announced) {
		if err := a.bgp.Announce(ctx, prefixes); err != nil {
			a.log.Error("announcing", "prefixes", fmt.Sprint(prefixes), "err", err)
			a.stale = true
		} else {
			a.log.Info("announcing", "prefixes", fmt.Sprint(prefixes))
			a.announced = prefixes
			a.apply(a.rib.Originate(prefixes))
		}
	}
	v4, v6 := sources(a.loopback)
	if source := [2]netip.Addr{v4, v6}; source != a.source {
		if err := a.fib.SetSource(v4, v6); err != nil {
			a.log.Error("setting the source address of routes", "err", err)
			a.stale = true
		} else {
			a.source = source
		}
	}
}

// sources returns the first IPv4 and the first IPv6 address of those on lo.
func sources(addresses []netip.Prefix) (v4, v6 netip.Addr) {
	for _, p := range addresses {
		if a := p.Addr(); a.Is4() && !v4.IsValid() {
			v4 = a
		} else if a.Is6() && !v6.IsValid() {
			v6 = a
		}
	}
	return v4, v6
}

// onBGP follows sessions and routes.
func (a *Agent) onBGP(ctx context.Context, n bgp.News) {
	switch n := n.(type) {
	case bgp.PeerState:
		a.onPeerState(ctx, n)
	case bgp.Update:
		u := a.byLeaf(n.Peer)
		if u == nil || !u.established() {
			return // of a session that has been given up since
		}
		routes := make([]rib.Route, len(n.Announced))
		for i, r := range n.Announced {
			routes[i] = rib.Route{Prefix: r.Prefix, Path: rib.Path{
				ASPath: r.ASPath, Length: r.Length, Origin: r.Origin, MED: r.MED, LocalPref: r.LocalPref,
			}}
		}
		a.apply(a.rib.Update(n.Peer, routes, n.Withdrawn))
	}
}

func (a *Agent) onPeerState(ctx context.Context, s bgp.PeerState) {
	u := a.byLeaf(s.Peer)
	if u == nil || s.State == u.session.State {
		return
	}
	was := u.established()
	u.session = s
	switch {
	case u.established():
		a.metrics.transitions.WithLabelValues(u.link.Name, "up").Inc()
	case was:
		a.apply(a.rib.Drop(s.Peer))
		a.metrics.transitions.WithLabelValues(u.link.Name, "down").Inc()
		if u.other.IsValid() {
			a.peerWith(ctx, u, u.other)
		}
	}
}

// apply takes changed next-hop sets to the kernel.
func (a *Agent) apply(changes []rib.Change) {
	routes := make([]kernel.Route, len(changes))
	for i, c := range changes {
		routes[i] = kernel.Route{Prefix: c.Prefix, NextHops: c.NextHops}
	}
	a.install(routes)
}

// install installs routes; those of a batch that fails are tried again.
func (a *Agent) install(routes []kernel.Route) {
	if len(routes) == 0 {
		return
	}
	err := a.fib.Apply(routes)
	if err != nil {
		a.log.Error("installing routes", "err", err)
		a.metrics.fibErrors.Inc()
	}
	for _, r := range routes {
		if err != nil {
			a.pending[r.Prefix] = r
		} else {
			delete(a.pending, r.Prefix)
		}
	}
}

// repair gives the orders again that have failed.
func (a *Agent) repair(ctx context.Context) {
	if a.stale {
		a.stale = false
		a.adoptLoopback(ctx)
	}
	a.install(slices.Collect(maps.Values(a.pending)))
}
