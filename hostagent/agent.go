// Package hostagent is the daemon on a server: it finds the leaf on every
// uplink, peers with it over BGP, announces the server's addresses and routes
// over all leaves that live.
//
// One goroutine, [Agent.loop], owns the state. News come to it from the kernel
// (links and addresses), from router discovery on each uplink (leaves), from the
// BFD worker (leaves that died) and from BGP (sessions and routes); orders go out
// as calls:
//
//	kernel.Watcher --link there--> bpf/uplink.Hooks: the repair of mis-typed frames
//	kernel.Watcher --link up-->    nd.Speaker on that link
//	nd.Speaker     --leaf heard--> bgp.Speaker.AddPeer
//	worker.Client  --leaf dead-->  kernel.FIB, then bgp.Speaker
//	bgp.Speaker    --routes-->     rib.Table --changed next-hop sets--> kernel.FIB
//
// A leaf that is lost leaves the kernel's routes first and BGP second.
package hostagent

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"net/netip"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"lastmile/hostagent/bfd/worker"
	"lastmile/hostagent/bgp"
	"lastmile/hostagent/kernel"
	"lastmile/hostagent/nd"
	"lastmile/hostagent/rib"
)

// fib is what the agent asks of the kernel's routing table.
type fib interface {
	Apply(iter.Seq[kernel.Route]) error
	SetSource(v4, v6 netip.Addr) error
	LinkLost(name string)
	LeafLost(leaf netip.Addr)
	LossesKnown()
}

// auditor tells what is in the kernel.
type auditor interface {
	AuditPart() (done, changed bool, err error)
	Lookup(netip.Prefix) (kernel.Route, bool)
	Len() int
}

// sysctls sets and restores kernel parameters.
type sysctls interface {
	Set(uplinks []string) (changed []string, err error)
	Restore() error
}

// speaker is what the agent asks of BGP.
type speaker interface {
	AddPeer(context.Context, netip.Addr, bgp.Options) error
	DeletePeer(context.Context, netip.Addr, bgp.Cease) error
	ResetPeer(context.Context, netip.Addr, bgp.Cease) error
	Announce(context.Context, []netip.Prefix) error
	Peers(context.Context) ([]bgp.Peer, error)
}

// An Agent is the daemon's state. All but health belongs to the loop.
type Agent struct {
	cfg     Config
	log     *slog.Logger
	metrics *metrics

	fib      fib
	auditor  auditor
	heritage heritage
	bgp      speaker
	bfd      bfdWorker
	stopBFD  func() error                  // nil before it runs
	running  atomic.Pointer[worker.Client] // bfd, for those outside the loop
	rib      *rib.Table
	watcher  *kernel.Watcher
	discover func(ctx context.Context, link string, news chan<- nd.Heard) error
	sysctls  sysctls

	unreachable []netip.Addr // leaves, and others, that the kernel cannot resolve

	group      *errgroup.Group // of router discovery, and all that Run starts
	uplinks    map[string]*uplink
	loopback   []netip.Prefix // the global addresses on lo
	announced  []netip.Prefix
	source     [2]netip.Addr                 // of the routes: IPv4, IPv6
	pending    map[netip.Prefix]kernel.Route // orders of batches that the kernel refused in part or whole
	refused    map[netip.Prefix]error        // why, of those that it named
	removals   uint64                        // of addresses on lo, that we know of
	tampered   uint64                        // what others have done to our routes, that we know of
	auditing   bool                          // part by part
	auditTook  time.Duration                 // so far
	auditAgain bool                          // there was a reason since it began
	nextAudit  time.Time
	soonAudit  time.Time // the first time at which there may be one that has a reason
	restart    restart
	from       sources
	keptOut    []netip.Addr  // leaves that the FIB keeps out, since the table does not know
	fallen     []netip.Addr  // leaves that BFD has found dead, and follow has not dealt with
	unheard    *kernel.State // the newest that meanwhile has seen and onKernel has not
	steps      int           // see step
	repairs    repairs
	faults     map[string]string // what has been complained of, by what was being done

	heard   chan nd.Heard
	queries chan func(context.Context)
	health  atomic.Pointer[string] // what is wrong, "" if nothing

	sessions *bgp.Metrics
}

// New returns an agent for the configuration; Run starts it.
func New(cfg Config, log *slog.Logger, reg registerer) *Agent {
	a := &Agent{
		cfg:     cfg,
		log:     log,
		metrics: newMetrics(reg),
		uplinks: map[string]*uplink{},
		pending: map[netip.Prefix]kernel.Route{},
		refused: map[netip.Prefix]error{},
		faults:  map[string]string{},
		repairs: repairs{open: cfg.opener(), byHand: map[string]bool{}},
		heard:   make(chan nd.Heard),
		queries: make(chan func(context.Context)),
		sysctls: new(kernel.Sysctls),
	}
	table := cfg.table()
	table.Heed = a.step
	a.rib = rib.New(table)
	a.watcher = kernel.NewWatcher(log)
	reg.MustRegister(overruns(a.watcher), bfdCollector{a})
	a.sessions = bgp.NewMetrics(reg)
	reg.MustRegister(repairCollector{a})
	discovery := nd.NewMetrics(reg)
	a.discover = func(ctx context.Context, link string, news chan<- nd.Heard) error {
		return nd.New(nd.Config{Link: link, Log: log, Metrics: discovery}).Run(ctx, news)
	}
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

// Alive returns when the loop has turned, or the context's error.
func (a *Agent) Alive(ctx context.Context) error {
	select {
	case a.queries <- func(context.Context) {}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *Agent) setHealth(text string) { a.health.Store(&text) }

// Run does the agent's work until ctx ends, and calls ready once BGP listens.
// On return the leaves have been told, and the kernel is as it was: the routes
// are gone. With keep_routes_on_stop, and after an error, they stay for the
// next run to take over.
func (a *Agent) Run(ctx context.Context, ready func()) (err error) {
	if err := nd.Check(); err != nil {
		return err
	}
	// The BFD worker's socket is beside it, and the worker works in another directory.
	if a.cfg.Socket, err = filepath.Abs(a.cfg.Socket); err != nil {
		return err
	}
	control, err := listenUnix(a.cfg.Socket)
	if err != nil {
		return err
	}
	defer control.Close()

	table, err := a.openFIB()
	if err != nil {
		return err
	}
	asked := ctx // ends when the stop is an orderly one
	defer func() { err = errors.Join(err, a.closeFIB(table, asked.Err() != nil), a.closeHooks()) }()
	a.openHooks()

	group, ctx := errgroup.WithContext(ctx)
	a.group = group
	group.Go(func() error { return a.watcher.Run(ctx) })
	group.Go(func() error { return serveUnix(ctx, control, a.handler()) })
	group.Go(func() error { return a.work(ctx, table, ready) })
	return errors.Join(group.Wait(), a.endBFD(asked.Err() != nil))
}

// work brings BGP and BFD up, and then is the loop.
func (a *Agent) work(ctx context.Context, table *kernel.FIB, ready func()) error {
	state, ok := a.awaitRouterID(ctx, a.watcher.News())
	if !ok {
		return nil
	}
	s, err := bgp.New(bgp.Config{
		AS: a.cfg.AS, RouterID: a.cfg.RouterID, HoldTime: a.cfg.HoldTime,
		RestartTime: a.cfg.RestartTime, Restarted: len(a.heritage.Inherited()) > 0,
		Log: a.log, Metrics: a.sessions,
	})
	if err != nil {
		return err
	}
	a.bgp = s
	listening := make(chan struct{})
	a.group.Go(func() error { return s.Run(a.speaking(ctx), func() { close(listening) }) })
	select {
	case <-ctx.Done():
		return nil
	case <-listening:
	}
	ready()
	from := sources{a.watcher.News(), a.startBFD(ctx), s.News()}
	if err := a.adopt(table, from); err != nil {
		return err
	}
	a.onKernel(ctx, state)
	a.loop(ctx, from)
	return nil
}

// awaitRouterID waits for the first news of the kernel that give the agent a
// router ID, if the configuration gives none; false if ctx ends before.
func (a *Agent) awaitRouterID(ctx context.Context, links <-chan kernel.State) (state kernel.State, ok bool) {
	for {
		select {
		case <-ctx.Done():
			return kernel.State{}, false
		case state, ok = <-links:
			if !ok {
				links = nil // see loop
				continue
			}
			if !a.cfg.RouterID.IsValid() {
				a.cfg.RouterID, _ = first(state.Loopback)
			}
			if a.cfg.RouterID.IsValid() {
				a.log.Info("router ID", "router_id", a.cfg.RouterID)
				return state, true
			}
			const wanting = "no router ID: lo has no global IPv4 address and router_id is not set"
			if a.Health().Error() != wanting {
				a.log.Warn("waiting for an IPv4 address on lo, for a router ID")
				a.setHealth(wanting)
			}
		}
	}
}

// onKernel follows the links and the addresses on lo.
func (a *Agent) onKernel(ctx context.Context, state kernel.State) {
	// Losses first: what is lost must leave the routes before anything else.
	for name, u := range a.uplinks {
		link, ok := state.Links[name]
		if !ok || !u.sameAs(link) {
			a.down(ctx, u)
		}
		if !ok && !u.missing {
			a.log.Warn("uplink is gone", "link", name)
			a.metrics.forget(name)
			delete(a.uplinks, name)
		}
	}
	a.loopback = state.Loopback
	a.adoptLoopback(ctx)
	if a.removals != state.Removals {
		// The address may be back, and the routes with it as their source not.
		a.removals = state.Removals
		a.audit()
	}
	if a.tampered != state.Tampered {
		a.tampered = state.Tampered
		a.auditSoon()
	}
	a.adoptLinks(state.Links)
	a.attach()
	a.neighbours(state.Unreachable)
	for _, u := range a.uplinks {
		a.up(ctx, u)
	}
}
