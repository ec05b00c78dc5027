package worker

import (
	"context"
	"net/netip"
	"slices"
	"sync"
)

// An outbox keeps news until they are read. Of one session it keeps the latest
// state, the latest failure and the latest refusal, in the order in which they
// came: so it is never long, who puts something in never waits, and no slow
// reader misses that a path has failed because it was back, or the worker lost,
// a moment later.
type outbox struct {
	wake chan struct{}

	mu   sync.Mutex
	news []News
}

func newOutbox() *outbox { return &outbox{wake: make(chan struct{}, 1)} }

func (o *outbox) put(n News) {
	o.mu.Lock()
	o.news = append(slices.DeleteFunc(o.news, n.replaces), n)
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// replaces says whether old is of no interest any more.
func (n News) replaces(old News) bool {
	return old.Peer == n.Peer && (old.Err == nil) == (n.Err == nil) && old.PathFailed() == n.PathFailed()
}

// drop removes the news of a session that nobody wants any more.
func (o *outbox) drop(peer netip.Addr) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.news = slices.DeleteFunc(o.news, func(n News) bool { return n.Peer == peer })
}

func (o *outbox) take() (n News, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.news) == 0 {
		return n, false
	}
	n = o.news[0]
	o.news = slices.Delete(o.news, 0, 1)
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
