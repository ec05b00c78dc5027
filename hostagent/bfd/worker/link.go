package worker

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"lastmile/hostagent/bfd"
)

// link is an uplink that sessions run over, and the socket that hears BFD there.
type link struct {
	index    uint32
	fd       int
	sessions int
	counters LinkCounters

	// complete is the time up to which all that came over the link was read.
	complete time.Duration
	lost     uint32 // as the kernel counts
}

// drainBudget is how many packets are read before others get their turn: a
// flood on one link must not keep us from sending on another.
const drainBudget = 64

// drain reads what waits in the socket.
func (w *worker) drain(l *link) {
	for range drainBudget {
		before := monotonic()
		err := w.receiver.read(l.fd, &w.packet)
		if errors.Is(err, unix.EAGAIN) {
			l.complete = before
			return
		}
		if err != nil {
			continue // of this packet, or ENETDOWN and the like, which is told once
		}
		at := l.arrival(&w.packet, before)
		w.take(l, &w.packet, at)
		l.complete = at
	}
}

// arrival is when the kernel got a packet that was read at now. Should the
// machine's clock be set just then, it is at least not before we last saw the
// socket empty.
func (l *link) arrival(p *received, now time.Duration) time.Duration {
	if p.realtime == 0 {
		return now
	}
	return min(max(now-(realtime()-p.realtime), l.complete), now)
}

// take finds whom a packet is for. The session is keyed by link and source, and
// the discriminator has to agree: two neighbours may well have chosen the same.
func (w *worker) take(l *link, p *received, at time.Duration) {
	l.counters.Lost += uint64(p.lost - l.lost)
	l.lost = p.lost
	s := w.find(key{l.index, p.source})
	drops := &l.counters.Drops
	if s != nil {
		drops = &s.counters.Drops
	}
	packet, drop := bfd.Parse(p.body, p.hopLimit)
	if drop == bfd.Accepted {
		if s == nil {
			drop = bfd.DropPeer
		} else {
			drop = s.receive(&packet, at)
		}
	}
	if drop != bfd.Accepted {
		drops[drop]++
	}
}

// open makes the link that a session runs over, unless it is there.
func (w *worker) link(index uint32) (*link, error) {
	if l := w.links[index]; l != nil {
		return l, nil
	}
	fd, err := openReceiver(index)
	if err != nil {
		return nil, err
	}
	l := &link{index: index, fd: fd, complete: monotonic()}
	if err := w.register(fd, unix.EPOLLIN, func() { w.drain(l) }); err != nil {
		unix.Close(fd)
		return nil, err
	}
	w.links[index] = l
	return l, nil
}

// release closes a link that no session runs over any more.
func (w *worker) release(l *link) {
	if l.sessions == 0 {
		w.unregister(l.fd)
		delete(w.links, l.index)
	}
}
