package kernel

import (
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	// Protocol is the rtnetlink protocol number of our routes and next-hop objects (`ip route show proto 199`).
	Protocol = 199

	// Metric is the priority of our routes, IPv4 and IPv6. It is the one FRR gives to BGP routes: an operator's route with
	// a lower one wins, such as an IPv4 route made without a metric (0); DHCP and router advertisement defaults of the
	// usual network managers (100, 1024) lose. iproute2 gives IPv6 routes 1024 unless told otherwise.
	Metric = 20
)

// Route is an order or the state of one prefix. It is not a type of its own: what has the same fields elsewhere is one.
type Route = struct {
	Prefix   netip.Prefix
	NextHops []netip.Addr // link-local addresses with the device as zone (fe80::1%eth0), shared equally; empty: no route
}

// RouteError says that a prefix is not in the kernel as ordered. The reason wraps the kernel's errno.
type RouteError struct {
	Prefix netip.Prefix
	Err    error
}

// Error names the prefix and the reason.
func (e *RouteError) Error() string { return fmt.Sprintf("route %s: %v", e.Prefix, e.Err) }

// Unwrap returns the reason.
func (e *RouteError) Unwrap() error { return e.Err }

// FIB holds our routes in the kernel's main table. It has one owner: its methods must not be called at the same time.
type FIB struct {
	log     *slog.Logger
	conn    *conn
	objects *objects
	routes  prefixMap[*group]
	unknown *group // of routes that are there, but not as any order has them
	v4, v6  source

	generation uint64 // grows with every change of routes
	audit      audit
	writers    []*writer       // that are at work; a fault in the midst of one has another begin
	heed       func(steps int) // see Options
	losses

	kernel     kernelStore
	hasObjects bool // the kernel has next-hop objects
	plain      bool // routes name their next hops themselves, and no objects
	inheritance
}

// source is the preferred source address (RTA_PREFSRC) of the routes of one family.
type source struct {
	addr    netip.Addr
	stale   bool // not all routes could be given it
	known   bool // from an order, or an inherited route
	ordered bool // by SetSource
}

// Options are the choices in how routes are written.
type Options struct {
	NoObjects bool // do not use next-hop objects, though the kernel may have them
	Resilient Resilient

	// Heed is called in the midst of what takes as long as the table is large: for each route that is looked at, at some 50
	// to 200 ns, with 1, and with HeedSteps after each batch of routes, datagram of a listing and change of a group. It may call
	// LeafLost and Inherited, and nothing else of the FIB. May be nil.
	Heed func(steps int)
}

// HeedSteps is for how many routes that are only looked at a batch of messages counts, and what takes as long: who looks for
// faults after so many steps, or fewer, does so after each batch. They take some 0.1 ms.
const HeedSteps = 1024

// ownerPort is the netlink port of the FIB. It is a lock that a killed process cannot leave behind: the routes of a
// namespace have one owner, or each would undo what the other does. The kernel numbers sockets by process, at most
// 4 194 304, or below 0.
const ownerPort = firstID + Protocol

// OpenFIB takes over the next hops of our protocol that an earlier run left; its routes are for [FIB.Adopt], which is to be
// called before anything else but LeafLost and Inherited. It needs
// CAP_NET_ADMIN and Linux 5.2; without next-hop objects (Linux 5.3) routes name their next hops themselves, and the loss of a
// leaf costs one message a route. There can be one FIB in a network namespace.
func OpenFIB(log *slog.Logger, o Options) (*FIB, error) {
	c, err := dial(ownerPort)
	if errors.Is(err, unix.EADDRINUSE) {
		return nil, fmt.Errorf("another hostagent is running in this network namespace: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the kernel's routing table: %w", err)
	}
	second, err := dial(0)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the kernel's routing table again: %w", err), c.close())
	}
	links, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the kernel's link table: %w", err), c.close(), second.close())
	}
	f := &FIB{audit: audit{conn: second}, log: log, conn: c, routes: newPrefixMap[*group](), unknown: &group{key: "unknown"}}
	f.objects = &objects{links: links, hops: make(map[netip.Addr]hop), groups: make(map[uint32]*group)}
	if f.lost, f.heed = make(map[netip.Addr]bool), o.Heed; f.heed == nil {
		f.heed = func(int) {}
	}
	err = f.probe(o)
	if err == nil {
		err = f.inherit()
	}
	if err != nil {
		return nil, errors.Join(err, f.Leave())
	}
	return f, nil
}

// probe finds out what the kernel can do, by what it says to requests that change nothing, and chooses the store.
func (f *FIB) probe(o Options) error {
	b := new(batch)
	b.delRoute(netip.PrefixFrom(netip.AddrFrom4([4]byte{}), 32))
	switch err := f.conn.do(b); {
	case err == nil || errors.Is(err, unix.ESRCH):
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("changing routes needs CAP_NET_ADMIN: %w", err)
	default:
		return fmt.Errorf("looking for the kernel's routing table: %w", err)
	}
	f.kernel = kernelStore{conn: f.conn, resilient: o.Resilient}
	b = new(batch)
	b.nextHop(unix.RTM_DELNEXTHOP, 0, unix.AF_UNSPEC, ^uint32(0))
	switch err := f.conn.do(b); {
	case err == nil || errors.Is(err, unix.ENOENT):
		f.hasObjects = true
	case !errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("looking for next-hop objects in the kernel: %w", err)
	}
	f.plain = o.NoObjects || !f.hasObjects
	f.objects.store = f.kernel
	switch resilient := o.Resilient.Buckets > 0; {
	case f.plain && resilient:
		return errors.New("resilient next-hop groups need next-hop objects, which this kernel lacks or which are switched off")
	case f.plain:
		f.objects.store = &books{links: f.objects.links, have: make(map[uint32]object)}
		return f.probeVia()
	case resilient:
		return f.kernel.try(f.objects.create)
	}
	return nil
}

// probeVia asks for an IPv4 route by an IPv6 next hop on a link that does not exist. A kernel that has such routes misses
// the link, one that has not the attribute.
func (f *FIB) probeVia() error {
	b := new(batch)
	b.newRoute(unix.NLM_F_CREATE|unix.NLM_F_EXCL, netip.PrefixFrom(netip.AddrFrom4([4]byte{}), 32))
	b.gateway(true, netip.MustParseAddr("fe80::1"))
	b.uint32(unix.RTA_OIF, 1<<31-1)
	if err := f.conn.do(b); !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("this kernel has no IPv4 routes by IPv6 next hops, Linux 5.2 or later is needed: %v", err)
	}
	return nil
}

// Objects tells whether routes use next-hop objects. Without, each names its next hops itself.
func (f *FIB) Objects() bool { return !f.plain }

// Apply brings the named prefixes, each named once, to the given next hops and leaves all others alone. The changes are gone
// through more than once, and not kept: there may be a whole table of them. What is already so sends nothing. Each prefix that is not as ordered afterwards has one [RouteError] in the
// joined error; a next hop that cannot be used (link down) is left out and the rest installed, and so is, without a word, a
// leaf that is lost, see [FIB.LeafLost]. When all routes of a group move to the same new set, the group changes in one message,
// so the loss of a leaf does not cost one message a route.
func (f *FIB) Apply(changes iter.Seq[Route]) error {
	if !f.v4.ordered {
		if err := f.SetSource(netip.Addr{}, netip.Addr{}); err != nil {
			f.log.Debug("inherited routes keep their source", "err", err) // Audit will tell
		}
	}
	failed := f.apply(changes)
	if len(failed) > 0 && f.resync() {
		// The kernel had removed objects that we still built on: failures may do now, and groups may be too small.
		failed = f.apply(changes)
	}
	errs := f.sortedErrors(failed)
	if !f.holding {
		errs = append(errs, f.objects.sweep())
	}
	return errors.Join(errs...)
}

func (f *FIB) sortedErrors(failed map[netip.Prefix]error) []error {
	errs := make([]error, 0, len(failed)+1)
	inOrder := func(a, b netip.Prefix) int { f.heed(1); return a.Compare(b) }
	for _, prefix := range slices.SortedFunc(maps.Keys(failed), inOrder) {
		f.heed(1)
		errs = append(errs, &RouteError{Prefix: prefix, Err: failed[prefix]})
	}
	return errs
}

// SetSource sets the preferred source address of all routes, those that are there and those to come; the zero address
// means none, which leaves the choice to the kernel. The address must be one of the host's. The same again sends nothing,
// except to routes that could not be changed before.
func (f *FIB) SetSource(v4, v6 netip.Addr) error {
	if v4.IsValid() && !v4.Is4() {
		return fmt.Errorf("preferred source %s is not an IPv4 address", v4)
	}
	if v6.IsValid() && !v6.Is6() {
		return fmt.Errorf("preferred source %s is not an IPv6 address", v6)
	}
	return errors.Join(f.setSource(&f.v4, v4), f.setSource(&f.v6, v6))
}

func (f *FIB) setSource(s *source, to netip.Addr) error {
	s.ordered = true
	if s.addr == to && !s.stale {
		return nil
	}
	s.addr = to
	failed := f.write(func(w *writer) {
		for prefix, g := range f.routes.all() {
			f.heed(1)
			if f.source(prefix) == s && g != f.unknown {
				w.replace(prefix, g)
			}
		}
	})
	s.stale = len(failed) > 0
	return errors.Join(f.sortedErrors(failed)...)
}

// source returns the preferred source of the prefix's family.
func (f *FIB) source(prefix netip.Prefix) *source {
	if prefix.Addr().Is4() {
		return &f.v4
	}
	return &f.v6
}

// Routes returns what is installed, sorted by prefix.
func (f *FIB) Routes() []Route {
	routes := make([]Route, 0, f.routes.len())
	for prefix, g := range f.routes.all() {
		if g != f.unknown {
			routes = append(routes, Route{Prefix: prefix, NextHops: slices.Clone(g.hops)})
		}
	}
	slices.SortFunc(routes, func(a, b Route) int { return a.Prefix.Compare(b.Prefix) })
	return routes
}

// Len returns how many prefixes are installed.
func (f *FIB) Len() int { return f.routes.len() }

// Close removes all that is ours from the kernel. The FIB cannot be used afterwards.
func (f *FIB) Close() error {
	err := f.clear()
	return errors.Join(err, f.Leave())
}

// Leave is Close, but leaves all in the kernel as it is, for the next run to take over.
func (f *FIB) Leave() error {
	f.objects.links.Close()
	return errors.Join(f.conn.close(), f.audit.conn.close())
}
