package junos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sync/errgroup"
)

// Namespace is where a device's interfaces and sockets are.
type Namespace interface {
	// Do runs fn on a thread inside the namespace.
	Do(fn func() error) error
}

// A User may log in with the password, if there is one, and with any of the keys.
type User struct {
	Name           string
	Password       string
	AuthorizedKeys []ssh.PublicKey
	// Class is the login class whose rights in the committed configuration the
	// user has, or a predefined one; empty is the one that the committed
	// configuration gives the user by the time of the login, or super-user.
	Class string
	// ReadOnly users are denied everything that changes the configuration.
	ReadOnly bool
}

// Config describes a device.
type Config struct {
	NS     Namespace // the leaf's network namespace
	Router Router    // FRR running in it
	// World stands in for both, which then are not used: a device for tests
	// and benchmarks of what talks to it.
	World *World

	HostName, Model, Version string // "leaf1", "qfx5120-48y-8c", "21.4R3.15"
	// Profile is the habits of a release. The zero one is without any; its
	// Version is this one's. Otherwise Version is not used.
	Profile Profile

	// Static is the committed configuration at boot, in set lines.
	Static string
	// Disk is the path of a file that keeps the committed configuration, in set
	// lines, when the device is started again; then it takes the place of Static.
	// Empty: there is none, and each start is with Static.
	Disk string
	// Interfaces maps Junos names to kernel names: physical ones, "ge-0/0/1",
	// and logical ones, "irb.2". lo0 is always there.
	Interfaces map[string]string

	Users   []User
	HostKey ssh.Signer // nil: a new one
	// CLI is the listener of port 22, where there are the command line and, as
	// soon as system services netconf ssh is committed, NETCONF. nil: there is
	// none.
	CLI net.Listener

	// CommitTime is what a commit of the static configuration takes, and
	// EphemeralCommitTime one of an ephemeral instance: 5 to 60 s and about 0.3 s
	// on a real device.
	CommitTime, EphemeralCommitTime time.Duration
	// Minute is the unit of confirm-timeout; 0 means a minute.
	Minute time.Duration

	// DatabaseSize is the most that a configuration database holds, in bytes;
	// 0 is 450 MB.
	DatabaseSize int
	// ChunkSize is the longest chunk of NETCONF 1.1 that is sent; 0 is any.
	ChunkSize int
	// Seed decides which matches faults with a chance strike.
	Seed uint64

	Log *slog.Logger // nil: nothing is logged
}

// A Device is one simulated leaf.
type Device struct {
	cfg         Config
	log         *slog.Logger
	names       interfaceNames
	profile     Profile
	release     release
	ssh         *sshServer
	faults      *faults
	connections atomic.Int32 // on the port of NETCONF
	offset      atomic.Int64 // of the device's clock, in nanoseconds

	db         *databases
	committing chan struct{} // the commit slot; its holder owns routing
	routing    *routing
	pending    atomic.Pointer[confirmation] // the commit that waits for one, or nil; of whoever has the slot
	held       chan struct{}                // has something when pending is another

	advertisements *advertisements

	mu       sync.Mutex
	booted   time.Time
	nextID   int
	sessions map[int]func()         // ends a session
	requests map[int]map[string]int // of open sessions on a wire, by operation
	stats    Stats
	history  []Change
}

// New checks cfg and boots the device: its configuration databases are ready,
// and nothing runs before Serve.
func New(cfg Config) (*Device, error) {
	profile, err := cfg.Profile.completed(cfg.Version)
	if err != nil {
		return nil, err
	}
	cfg.Version = profile.Version
	r, err := parseRelease(cfg.Version)
	if err != nil {
		return nil, err
	}
	schema := newSchema(r)
	static, err := cfg.boot(schema)
	if err != nil {
		return nil, err
	}
	if cfg.Minute == 0 {
		cfg.Minute = time.Minute
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.World != nil {
		cfg.Router = nowhere{}
	}
	d := &Device{
		cfg: cfg, log: cfg.Log, names: withLoopback(cfg.Interfaces), profile: profile, release: r,
		faults:     newFaults(cfg.Seed, cfg.Log),
		committing: make(chan struct{}, 1),
		routing:    &routing{router: cfg.Router},
		held:       make(chan struct{}, 1),
		booted:     time.Now(), nextID: 19313, sessions: map[int]func(){}, requests: map[int]map[string]int{},
	}
	d.db = newDatabases(schema, static, d.now)
	d.db.limit = cmp.Or(cfg.DatabaseSize, defaultDatabaseSize)
	d.advertisements = newAdvertisements(d.names)
	if d.ssh, err = newSSHServer(d); err != nil {
		return nil, err
	}
	return d, nil
}

func asErrors[E error](errs []E) []error {
	out := make([]error, len(errs))
	for i, err := range errs {
		out[i] = err
	}
	return out
}

// Serve runs the device until ctx ends: it configures the router, hears router
// advertisements, and answers NETCONF over SSH on l, which it closes. All
// sessions have ended when it returns. It is called once.
func (d *Device) Serve(ctx context.Context, l net.Listener) error {
	g, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	if d.cfg.CLI != nil {
		stop := context.AfterFunc(ctx, func() { d.cfg.CLI.Close() })
		defer stop()
	}
	err := d.serialised(ctx, func() error {
		return d.activate(ctx, Change{Database: "static", User: "root"})
	})
	if err != nil && ctx.Err() != nil {
		return nil // ended before it had booted
	}
	if err != nil {
		return errors.Join(fmt.Errorf("booting: %w", err), l.Close())
	}
	if d.cfg.World == nil {
		g.Go(func() error { return d.advertisements.run(ctx, d.cfg.NS) })
	}
	g.Go(func() error { return d.superviseConfirm(ctx) })
	g.Go(func() error { return d.accept(ctx, g, l, false) })
	if d.cfg.CLI != nil {
		g.Go(func() error { return d.accept(ctx, g, d.cfg.CLI, true) })
	}
	return g.Wait()
}

// accept serves the connections of a listener; only some have a command line.
func (d *Device) accept(ctx context.Context, g *errgroup.Group, l net.Listener, cli bool) error {
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accepting: %w", err)
		}
		g.Go(func() error {
			d.serveConn(ctx, conn, cli)
			return nil
		})
	}
}

// Reboot does what a reboot does: all sessions end, the ephemeral databases are
// empty, the routing protocols start again with the static configuration.
// Interfaces stay up and the device answers at once.
func (d *Device) Reboot(ctx context.Context) error {
	d.endSessions() // and with them the commits that wait for their turn
	return d.serialised(ctx, func() error {
		d.endSessions() // those begun since
		d.hold(0, nil)
		d.db.reboot()
		d.advertisements.forget()
		err := d.activate(ctx, Change{Database: "reboot", User: "root"})
		if _, clearErr := d.cfg.Router.Show(ctx, "clear bgp *"); clearErr != nil {
			d.log.Warn("clearing BGP sessions", "err", clearErr)
		}
		return err
	})
}

// endSessions ends all sessions, as a boot does.
func (d *Device) endSessions() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, end := range d.sessions {
		end()
	}
	d.booted = time.Now()
}

// enter registers a session and gives it its id; end must end the session.
func (d *Device) enter(end func()) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.nextID++
	d.sessions[d.nextID] = end
	d.stats.Sessions++
	return d.nextID
}

func (d *Device) leave(id int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.sessions, id)
	delete(d.requests, id)
}

// answering counts a request.
func (d *Device) answering(id int, operation string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stats.RPCs++
	if d.requests[id] == nil {
		d.requests[id] = map[string]int{}
	}
	d.requests[id][operation]++
}

// Requests is how often each session that is open now has asked for an operation, by its process
// id. Who has not is not in it.
func (d *Device) Requests(operation string) map[int]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	asked := map[int]int{}
	for id, requests := range d.requests {
		if n := requests[operation]; n > 0 {
			asked[id] = n
		}
	}
	return asked
}

// kill ends the session with the id, if there is one.
func (d *Device) kill(id int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	end, found := d.sessions[id]
	if found {
		end()
	}
	return found
}

func (d *Device) uptime() (booted time.Time, up time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.booted, time.Since(d.booted)
}

// in runs fn inside the device's namespace.
func (d *Device) in(fn func() error) error { return d.cfg.NS.Do(fn) }

// now is what the device's clock shows.
func (d *Device) now() time.Time { return time.Now().Add(time.Duration(d.offset.Load())) }

// nowhere is the router of a device in a World.
type nowhere struct{}

func (nowhere) Show(_ context.Context, command string) ([]byte, error) {
	if strings.HasPrefix(command, "show bfd") {
		return []byte("[]"), nil
	}
	return []byte("{}"), nil
}
func (nowhere) Configure(context.Context, []string) error { return nil }
