package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"lastmile/hostagent/bfd"
)

// Config says how a Client finds, starts and leaves its worker.
type Config struct {
	// Socket is the path of the Unix socket on which the worker takes orders.
	// Its directory outlives hostagent, or no worker is ever adopted.
	Socket string
	// Program is the command line that runs Main; nil for the hidden command
	// of this very binary.
	Program []string
	// Orphan is how long a worker keeps its sessions up with no hostagent;
	// then it says AdminDown and ends.
	Orphan time.Duration
	// Claim is how long sessions of an adopted worker are kept for somebody
	// to Watch them.
	Claim time.Duration
	Log   *slog.Logger
}

// Defaults of Config. DefaultOrphan covers a restart by a service manager, with
// a few failures, and is less than what a leaf waits for a restarting BGP
// speaker (RFC 4724, commonly 120 s). DefaultClaim is for a leaf to be heard.
const (
	DefaultOrphan = 30 * time.Second
	DefaultClaim  = 30 * time.Second
)

// Watch is what a session is to be.
type Watch struct {
	Peer   netip.Addr // link-local, with the link as its zone
	Timers bfd.Timers
	// AdminDown keeps the session down, and says to the peer that no fault is
	// the reason (RFC 5880 section 6.8.16).
	AdminDown bool
}

// ErrNoWorker says that no worker runs; one is on its way.
var ErrNoWorker = errors.New("no BFD worker runs")

// A Client has a worker do what is ordered: it starts one or adopts the one
// that there is, and starts another if it dies. Its methods may be called at
// any time, before Run too; none but Sessions ever waits.
type Client struct {
	cfg  Config
	news chan News
	kick chan struct{} // the orders have changed
	asks chan chan []Session

	outbox *outbox // of news

	maps     *maps // of the watchdog in the kernel; belongs to Run
	silences int   // see hung; belongs to Run

	mu      sync.Mutex
	orders  map[netip.Addr]watch // what should be; the IDs are not used
	status  ClientStatus
	offered *maps // that Run has not taken yet
}

// ClientStatus is what is known of the worker.
type ClientStatus struct {
	Status
	Running  bool
	PID      int
	Adopted  bool  // it was there before us
	Restarts int   // workers that had to be replaced because they died
	Err      error // why none runs
	// Watchdog says that the worker has the kernel's watchdog; what it does for each
	// session is in Report. If it has none, WatchdogReason says why.
	Watchdog       bool
	WatchdogReason string
}

// New returns a Client; Run makes it work.
func New(cfg Config) *Client {
	if cfg.Program == nil {
		cfg.Program = []string{"/proc/self/exe", Command}
	}
	return &Client{
		cfg:    cfg,
		news:   make(chan News),
		kick:   make(chan struct{}, 1),
		asks:   make(chan chan []Session),
		outbox: newOutbox(),
		orders: map[netip.Addr]watch{},
	}
}

// News tells how the sessions are: all of them when a worker was adopted, and
// then each that changes. Of one that changes faster than the reader reads only
// the latest is told, with its counters. It is closed when Run returns.
func (c *Client) News() <-chan News { return c.news }

// Status returns what is known of the worker.
func (c *Client) Status() ClientStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status
}

// Watch has a session with a peer, or changes the one that there is without
// taking it down. The error says why it cannot be: the link is not there, or
// the timers are not to be held. While no worker runs that is not known; then
// the news have it.
func (c *Client) Watch(w Watch) error {
	if !w.Peer.Is6() || !w.Peer.IsLinkLocalUnicast() || w.Peer.Zone() == "" {
		return fmt.Errorf("BFD peer %s: a link-local IPv6 address with its link as zone is wanted", w.Peer)
	}
	link, err := net.InterfaceByName(w.Peer.Zone())
	if err != nil {
		return fmt.Errorf("BFD peer %s: %w", w.Peer, err)
	}
	err = w.Timers.Validate()
	if s := c.Status(); err == nil && s.Running {
		err = s.Scheduling.Holds(w.Timers)
	}
	if err != nil {
		return fmt.Errorf("BFD peer %s: %w", w.Peer, err)
	}
	c.mu.Lock()
	c.orders[w.Peer] = watch{
		order:     order{Kind: kindWatch},
		key:       key{Link: uint32(link.Index), Peer: w.Peer.As16()},
		Name:      nameOf(link.Name),
		Timers:    w.Timers,
		AdminDown: w.AdminDown,
	}
	c.mu.Unlock()
	c.changed()
	return nil
}

// Unwatch ends the session with a peer: it is told AdminDown.
func (c *Client) Unwatch(peer netip.Addr) {
	c.mu.Lock()
	delete(c.orders, peer)
	c.mu.Unlock()
	c.changed()
}

func (c *Client) changed() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// Sessions asks the worker for all its sessions, those too that nobody has
// claimed yet. It needs Run.
func (c *Client) Sessions(ctx context.Context) ([]Session, error) {
	reply := make(chan []Session, 1)
	select {
	case c.asks <- reply:
	case <-ctx.Done():
		return nil, fmt.Errorf("listing BFD sessions: %w", context.Cause(ctx))
	}
	select {
	case s, ok := <-reply:
		if !ok {
			return nil, fmt.Errorf("listing BFD sessions: %w", ErrNoWorker)
		}
		return s, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("listing BFD sessions: %w", context.Cause(ctx))
	}
}

// Run keeps a worker until ctx ends; then it has the worker say AdminDown to
// all peers and end, and waits for that. A worker that dies is replaced. What
// became of its sessions nobody knows: they are not reported as down.
func (c *Client) Run(ctx context.Context) error {
	telling, stopTelling := context.WithCancel(ctx)
	var teller sync.WaitGroup
	teller.Go(func() { c.outbox.tell(telling, c.news) })
	defer func() { stopTelling(); teller.Wait(); close(c.news) }()
	defer func() { c.takeMaps().close() }()
	var wait backoff
	for {
		began := time.Now()
		conn, err := c.connect(ctx)
		if err == nil {
			if err = c.serve(ctx, conn); ctx.Err() != nil {
				return err // of telling the peers; nil if they know
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		c.lost(err)
		c.pause(ctx, wait.after(time.Since(began)))
		if ctx.Err() != nil {
			return nil
		}
	}
}

var errOtherRelease = errors.New("a BFD worker of another release ends")

// connect adopts the worker that there is, or starts one.
func (c *Client) connect(ctx context.Context) (*net.UnixConn, error) {
	conn, h, err := dial(ctx, c.cfg.Socket)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, c.hung(h.PID, err)
	}
	c.silences = 0 // there was an answer, or nobody
	if err == nil && h.Version != protocol {
		// Its sessions cannot be taken over. AdminDown is the gentlest end:
		// no peer takes it for a fault (RFC 5882 section 3.2).
		c.cfg.Log.Warn("BFD worker of another release is replaced", "pid", h.PID, "protocol", h.Version, "ours", protocol)
		if err := c.end(conn); err != nil {
			return nil, err
		}
		// Met again while it still says AdminDown, it ends at once.
		return nil, errOtherRelease
	}
	if err == nil {
		c.found(h, true)
		return conn, nil
	}
	if !errors.Is(err, unix.ECONNREFUSED) && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err := start(c.cfg); err != nil {
		return nil, err
	}
	if conn, h, err = dial(ctx, c.cfg.Socket); err != nil {
		return nil, err
	}
	c.found(h, false)
	return conn, nil
}

func (c *Client) found(h hello, adopted bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status = ClientStatus{
		Status:   Status{Scheduling: h.Scheduling, LockedMemory: h.Locked, Reason: h.Reason.String()},
		Running:  true,
		PID:      int(h.PID),
		Adopted:  adopted,
		Restarts: c.status.Restarts,

		WatchdogReason: errNoMaps.Error(),
	}
	log := c.cfg.Log.With("pid", h.PID, "adopted", adopted, "scheduling", h.Scheduling, "locked_memory", h.Locked)
	if c.status.Reason == "" {
		log.Info("BFD worker runs")
		return
	}
	log.Warn("BFD worker runs, and cannot keep time as well as it should",
		"shortest_interval", h.Scheduling.limits().interval, "reason", c.status.Reason)
}

func (c *Client) lost(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.status.Running {
		c.cfg.Log.Error("BFD worker lost, the state of its sessions is unknown", "pid", c.status.PID, "err", err)
		c.status = ClientStatus{Restarts: c.status.Restarts + 1}
	} else if c.status.Err == nil || c.status.Err.Error() != err.Error() {
		c.cfg.Log.Error("no BFD worker", "err", err)
	}
	c.status.Err = err
}

// wanted returns the orders.
func (c *Client) wanted() map[key]watch {
	c.mu.Lock()
	defer c.mu.Unlock()
	wanted := make(map[key]watch, len(c.orders))
	for _, w := range c.orders {
		wanted[w.key] = w
	}
	return wanted
}

// pause waits, and answers that there is no worker.
func (c *Client) pause(ctx context.Context, wait time.Duration) {
	over := time.After(wait)
	for {
		select {
		case <-ctx.Done():
			return
		case <-over:
			return
		case reply := <-c.asks:
			close(reply)
		}
	}
}

// backoff is the wait before the next worker: longer each time, unless the last
// one has lived.
type backoff struct{ next time.Duration }

const (
	minBackoff = 50 * time.Millisecond
	maxBackoff = 2 * time.Second
)

func (b *backoff) after(lived time.Duration) time.Duration {
	b.next = min(2*b.next, maxBackoff)
	if lived > 2*maxBackoff || b.next < minBackoff {
		b.next = minBackoff
	}
	return b.next
}
