package kernel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// Watcher follows the links and addresses of a network namespace, and what others do to our routes.
type Watcher struct {
	log       *slog.Logger
	news      chan State
	overruns  atomic.Uint64
	subscribe func() (*conn, error)
	view      *view
	last      State // published
}

// NewWatcher returns a watcher that does nothing before [Watcher.Run].
func NewWatcher(log *slog.Logger) *Watcher {
	return &Watcher{log: log, news: make(chan State, 1), subscribe: subscribe, view: newView()}
}

// News hands over the newest state whenever something in it changed; states in between are skipped when nobody reads. It
// is closed when Run returns.
func (w *Watcher) News() <-chan State { return w.news }

// Overruns counts how often the kernel had more news than the socket could hold and all was read again.
func (w *Watcher) Overruns() uint64 { return w.overruns.Load() }

// Run watches until ctx ends, which is no error. It may be called once.
func (w *Watcher) Run(ctx context.Context) error {
	defer close(w.news)
	for {
		err := w.follow(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS):
			w.overruns.Add(1)
			w.log.Warn("kernel news lost, reading all links again", "err", err)
		default:
			return fmt.Errorf("watching links: %w", err)
		}
	}
}

// subscribe opens a socket that gets every change of links and addresses from here on, and what others do to our routes.
// What comes before the filter is there is about routes that an earlier run left, and does no harm.
func subscribe() (*conn, error) {
	c, err := dial(0, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
		unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_NEXTHOP, unix.RTNLGRP_NEIGH)
	if err != nil {
		return nil, err
	}
	if err := c.attach(tamperFilter()); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// follow reads everything once and then what changes, until it fails. The listings travel on the same socket as the
// changes, so the order of the messages is the order of what happened. After an overrun (ENOBUFS) the socket is of no more
// use: the answers to a new request can be lost, too.
func (w *Watcher) follow(ctx context.Context) error {
	c, err := w.subscribe()
	if err != nil {
		return err
	}
	// Closing ends the receive that waits.
	stop := context.AfterFunc(ctx, func() { _ = c.close() })
	defer func() {
		if stop() {
			_ = c.close()
		}
	}()
	w.view.generation++ // what the listing does not mention has gone
	listing := new(listing)
	if err := listing.request(c); err != nil {
		return err
	}
	for {
		messages, err := c.receive()
		if err != nil {
			return err
		}
		for _, m := range messages {
			if err := w.view.apply(m); err != nil {
				return err
			}
			if err := listing.next(c, w.view, m); err != nil {
				return err
			}
		}
		w.publish(ctx)
	}
}

// publish puts a state that is new in the place of one that nobody has read yet.
func (w *Watcher) publish(ctx context.Context) {
	if !w.view.complete {
		return
	}
	state := w.view.state()
	if state.equal(w.last) {
		return
	}
	w.last = state
	select {
	case <-w.news:
	default:
	}
	select {
	case w.news <- state:
	case <-ctx.Done():
	}
}

// listing is a full reading under way: links, then addresses, then neighbours, one request at a time as the kernel wants it.
// Neighbours that the kernel has no entry of are as they were, see [view.applyNeighbour].
type listing struct {
	seq         uint32
	part        int // of parts
	interrupted bool
}

// parts are the requests of a listing.
var parts = [...]struct {
	kind uint16
	body []byte
}{
	{unix.RTM_GETLINK, make([]byte, unix.SizeofIfInfomsg)},
	{unix.RTM_GETADDR, make([]byte, unix.SizeofIfAddrmsg)},
	{unix.RTM_GETNEIGH, append([]byte{unix.AF_INET6}, make([]byte, unix.SizeofNdMsg-1)...)},
}

func (l *listing) request(c *conn) error {
	b := new(batch)
	b.begin(parts[l.part].kind, unix.NLM_F_DUMP, parts[l.part].body...)
	var err error
	l.seq, err = c.send(b)
	return err
}

// next goes on with the listing when m ends a part of it. A part that changed while the kernel made it is asked for again.
func (l *listing) next(c *conn, v *view, m syscall.NetlinkMessage) error {
	if m.Header.Seq != l.seq || l.seq == 0 {
		return nil
	}
	l.interrupted = l.interrupted || m.Header.Flags&unix.NLM_F_DUMP_INTR != 0
	if m.Header.Type != unix.NLMSG_DONE && m.Header.Type != unix.NLMSG_ERROR {
		return nil
	}
	if err := reply(m); err != nil {
		return fmt.Errorf("listing links, addresses and neighbours: %w", err)
	}
	switch {
	case l.interrupted:
		l.interrupted = false
	case l.part == len(parts)-1:
		l.seq = 0
		v.sweep()
		return nil
	default:
		l.part++
	}
	return l.request(c)
}
