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

// Watcher follows the links and addresses of a network namespace.
type Watcher struct {
	log      *slog.Logger
	news     chan State
	overruns atomic.Uint64
}

// NewWatcher returns a watcher that does nothing before [Watcher.Run].
func NewWatcher(log *slog.Logger) *Watcher {
	return &Watcher{log: log, news: make(chan State, 1)}
}

// News hands over the newest state whenever something in it changed; states in between are skipped when nobody reads. It
// is closed when Run returns.
func (w *Watcher) News() <-chan State { return w.news }

// Overruns counts how often the kernel had more news than the socket could hold and all was read again.
func (w *Watcher) Overruns() uint64 { return w.overruns.Load() }

// Run watches until ctx ends, which is no error. It may be called once.
func (w *Watcher) Run(ctx context.Context) error {
	defer close(w.news)
	c, err := subscribe()
	if err != nil {
		return fmt.Errorf("watching links: %w", err)
	}
	// Closing ends the receive that waits, and may come twice.
	stop := context.AfterFunc(ctx, func() { _ = c.close() })
	defer func() {
		if stop() {
			_ = c.close()
		}
	}()
	if err := w.follow(ctx, c); err != nil && ctx.Err() == nil {
		return fmt.Errorf("watching links: %w", err)
	}
	return nil
}

// subscribe opens a socket that gets every change of links and addresses from here on.
func subscribe() (*conn, error) {
	return dial(unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR)
}

// follow reads everything once and then what changes. The listings travel on the same socket as the changes, so the order
// of the messages is the order of what happened.
func (w *Watcher) follow(ctx context.Context, c *conn) error {
	v, last := newView(), State{}
	listing, err := w.list(c, v)
	if err != nil {
		return err
	}
	for {
		messages, err := c.receive()
		switch {
		case errors.Is(err, unix.ENOBUFS):
			w.overruns.Add(1)
			w.log.Warn("kernel news lost, reading all links again", "err", err)
			if listing, err = w.list(c, v); err != nil {
				return err
			}
			continue
		case err != nil:
			return err
		}
		for _, m := range messages {
			if err := v.apply(m); err != nil {
				return err
			}
			if err := listing.next(c, v, m); err != nil {
				return err
			}
		}
		if !v.complete {
			continue
		}
		if state := v.state(); !state.equal(last) {
			last = state
			w.publish(ctx, state)
		}
	}
}

// publish replaces the state nobody has read yet.
func (w *Watcher) publish(ctx context.Context, state State) {
	select {
	case <-w.news:
	default:
	}
	select {
	case w.news <- state:
	case <-ctx.Done():
	}
}

// listing is a full reading under way: links, then addresses, one request at a time as the kernel wants it.
type listing struct {
	seq         uint32
	addresses   bool // the second half
	interrupted bool
}

// list starts a full reading; what it does not mention has gone.
func (w *Watcher) list(c *conn, v *view) (*listing, error) {
	v.generation++
	l := new(listing)
	return l, l.request(c)
}

func (l *listing) request(c *conn) error {
	b := new(batch)
	if l.addresses {
		b.begin(unix.RTM_GETADDR, unix.NLM_F_DUMP, make([]byte, unix.SizeofIfAddrmsg)...)
	} else {
		b.begin(unix.RTM_GETLINK, unix.NLM_F_DUMP, make([]byte, unix.SizeofIfInfomsg)...)
	}
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
		return fmt.Errorf("listing links and addresses: %w", err)
	}
	switch {
	case l.interrupted:
		l.interrupted = false
	case l.addresses:
		l.seq = 0
		v.sweep()
		return nil
	default:
		l.addresses = true
	}
	return l.request(c)
}
