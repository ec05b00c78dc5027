package lab

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"lastmile/lab/blast"
	"lastmile/lab/netns"
)

// A routeWatch follows the IPv4 host routes of a table and the next-hop objects
// of a namespace by the kernel's own news, and knows over which of two devices
// each route leads and since when. It has to begin before there are any.
//
// It reads on a thread of its own with real-time priority: the runtime's poller
// may be late by milliseconds, and a busy processor by more.
type routeWatch struct {
	fd      int
	devices [2]int // interface indexes
	first   uint32 // the first address of the table
	ended   atomic.Bool
	done    chan struct{}

	mu     sync.Mutex
	err    error
	routes []watchedRoute // by number
	groups map[uint32]nextHopObject
	users  map[uint32]int // routes by next-hop object
	direct [2]int         // routes without one that lead over each device
	over   [2]int         // routes that lead over each device
	since  [2]time.Time   // when that became so
}

type watchedRoute struct {
	group uint32
	over  [2]bool // without a group
}

// watchBuffer holds the news of some hundred thousand routes.
const watchBuffer = 512 << 20

func watchRoutes(ns *netns.NS, devices [2]int, t blast.Table) (*routeWatch, error) {
	w := &routeWatch{
		devices: devices, first: prefixNumber(t.Prefix(0)), done: make(chan struct{}),
		routes: make([]watchedRoute, t.Prefixes), groups: map[uint32]nextHopObject{}, users: map[uint32]int{},
	}
	err := ns.Do(func() (err error) {
		if w.fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE); err != nil {
			return err
		}
		tick := unix.NsecToTimeval((20 * time.Millisecond).Nanoseconds())
		const groups = 1<<(unix.RTNLGRP_NEXTHOP-1) | 1<<(unix.RTNLGRP_IPV4_ROUTE-1)
		return errors.Join(
			unix.SetsockoptInt(w.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, watchBuffer),
			unix.SetsockoptTimeval(w.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tick),
			unix.Bind(w.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}))
	})
	if err != nil {
		return nil, fmt.Errorf("%s: watching routes: %w", ns.Name, err)
	}
	go w.run()
	return w, nil
}

// fifo is the real-time priority of what measures: above that of hostagent's
// BFD worker, which has 50.
const fifo = 60

// realTime gives the calling goroutine a thread with that priority, which ends
// with it.
func realTime() error {
	runtime.LockOSThread()
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: fifo}
	if err := unix.SchedSetAttr(0, &attr, 0); err != nil {
		return fmt.Errorf("real-time priority: %w", err)
	}
	return nil
}

func (w *routeWatch) run() {
	defer close(w.done)
	defer unix.Close(w.fd)
	if err := realTime(); err != nil {
		w.fail(err)
		return
	}
	buf := make([]byte, 1<<20)
	for !w.ended.Load() {
		n, _, err := unix.Recvfrom(w.fd, buf, 0)
		now := time.Now()
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			w.fail(fmt.Errorf("reading the kernel's news: %w", err))
			return
		}
		messages, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			w.fail(fmt.Errorf("reading the kernel's news: %w", err))
			return
		}
		w.apply(messages, now)
	}
}

func (w *routeWatch) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
}

func (w *routeWatch) apply(messages []syscall.NetlinkMessage, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range messages {
		switch m.Header.Type {
		case unix.RTM_NEWNEXTHOP:
			o := parseNextHop(m.Data)
			w.groups[o.id] = o
		case unix.RTM_DELNEXTHOP:
			delete(w.groups, parseNextHop(m.Data).id)
		case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
			w.route(m)
		}
	}
	w.count(now)
}

// route notes a route of the table that is new, changed or gone.
func (w *routeWatch) route(m syscall.NetlinkMessage) {
	r := parseRoute(m.Data)
	i := int(prefixNumber(r.dst)) - int(w.first)
	if r.dst.Bits() != 32 || i < 0 || i >= len(w.routes) {
		return
	}
	var next watchedRoute
	if m.Header.Type == unix.RTM_NEWROUTE {
		next.group = r.group
		for d, index := range w.devices {
			next.over[d] = r.group == 0 && r.over[index]
		}
	}
	before := &w.routes[i]
	w.tally(*before, -1)
	w.tally(next, 1)
	*before = next
}

func (w *routeWatch) tally(r watchedRoute, n int) {
	if r.group != 0 {
		if w.users[r.group] += n; w.users[r.group] == 0 {
			delete(w.users, r.group)
		}
	}
	for d, over := range r.over {
		if over {
			w.direct[d] += n
		}
	}
}

// count brings over and since up to date.
func (w *routeWatch) count(now time.Time) {
	for d, index := range w.devices {
		over := w.direct[d]
		for group, users := range w.users {
			if w.leads(group, index) {
				over += users
			}
		}
		if over != w.over[d] {
			w.over[d], w.since[d] = over, now
		}
	}
}

// leads says if a next-hop object or group leads over a device.
func (w *routeWatch) leads(id uint32, device int) bool {
	o, ok := w.groups[id]
	return ok && (o.device == device || slices.ContainsFunc(o.members, func(m uint32) bool { return w.groups[m].device == device }))
}

// await waits until so many routes lead over each device and returns since
// when. It asks every few milliseconds; the moment is the kernel's news' own.
func (w *routeWatch) await(ctx context.Context, right func(over [2]int) bool) ([2]time.Time, error) {
	for {
		w.mu.Lock()
		over, since, err := w.over, w.since, w.err
		w.mu.Unlock()
		if err != nil || right(over) {
			return since, err
		}
		if err := sleep(ctx, 2*time.Millisecond); err != nil {
			return since, fmt.Errorf("%d and %d routes of %d lead over the uplinks: %w", over[0], over[1], len(w.routes), err)
		}
	}
}

// close ends the watch.
func (w *routeWatch) close() {
	w.ended.Store(true)
	<-w.done
}

// pollPause is between two looks of poll.
const pollPause = 100 * time.Microsecond

// poll looks at the next-hop objects again and again until ctx ends: those that
// the kernel removes by itself, when a link loses its carrier, are in no news
// (remove_nexthop in net/ipv4/nexthop.c, called by nexthop_flush_dev). It
// returns what went wrong.
func (w *routeWatch) poll(ctx context.Context, v *kernelView) error {
	if err := realTime(); err != nil {
		return err
	}
	pause := unix.NsecToTimespec(pollPause.Nanoseconds())
	for ctx.Err() == nil {
		w.mu.Lock()
		known := slices.Collect(maps.Keys(w.groups))
		w.mu.Unlock()
		there, err := v.objects()
		if err != nil {
			return err
		}
		w.keep(known, there, time.Now())
		_ = unix.Nanosleep(&pause, nil)
	}
	return nil
}

// keep forgets those of the known objects that are not there.
func (w *routeWatch) keep(known []uint32, there map[uint32]nextHopObject, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	gone := false
	for _, id := range known {
		if _, ok := there[id]; !ok {
			delete(w.groups, id)
			gone = true
		}
	}
	if gone {
		w.count(now)
	}
}
