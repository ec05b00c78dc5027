package worker

import (
	"context"
	"net/netip"
	"slices"
	"sync"
)

// An outbox keeps news until they are read, of each session the latest: it is
// never longer than there are sessions, and who puts something in never waits.
type outbox struct {
	wake chan struct{}

	mu     sync.Mutex
	order  []netip.Addr
	latest map[netip.Addr]News
}

func newOutbox() *outbox {
	return &outbox{wake: make(chan struct{}, 1), latest: map[netip.Addr]News{}}
}

func (o *outbox) put(n News) {
	o.mu.Lock()
	if _, ok := o.latest[n.Peer]; !ok {
		o.order = append(o.order, n.Peer)
	}
	o.latest[n.Peer] = n
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// drop removes the news of a session that nobody wants any more.
func (o *outbox) drop(peer netip.Addr) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.latest, peer)
	o.order = slices.DeleteFunc(o.order, func(p netip.Addr) bool { return p == peer })
}

func (o *outbox) take() (n News, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.order) == 0 {
		return n, false
	}
	n = o.latest[o.order[0]]
	delete(o.latest, n.Peer)
	o.order = o.order[1:]
	return n, true
}

// tell hands the news to a reader until ctx ends.
func (o *outbox) tell(ctx context.Context, to chan<- News) {
	for {
		n, ok := o.take()
		if !ok {
			select {
			case <-o.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		select {
		case to <- n:
		case <-ctx.Done():
			return
		}
	}
}
