package hostagent

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"time"

	"lastmile/hostagent/bfd"
	"lastmile/hostagent/bfd/worker"
	"lastmile/hostagent/kernel"
)

// fakeBFD stands for the worker: it writes down what is watched with other
// timers than the default's, and refuses what it cannot hold.
type fakeBFD struct {
	*world
	watched  map[netip.Addr]worker.Watch
	status   worker.ClientStatus
	sessions []worker.Session
	watchdog []string // what was said of it
}

func (f *fakeBFD) SetWatchdog(sessions, events *os.File, err error) {
	f.watchdog = append(f.watchdog, fmt.Sprint(sessions != nil, events != nil, " ", err))
}

func (f *fakeBFD) Watch(w worker.Watch) error {
	if f.status.Running {
		if err := f.status.Scheduling.Holds(w.Timers); err != nil {
			return err
		}
	}
	if f.watched == nil {
		f.watched = map[netip.Addr]worker.Watch{}
	}
	f.watched[w.Peer] = w
	return nil
}

func (f *fakeBFD) Unwatch(peer netip.Addr) { delete(f.watched, peer) }

func (f *fakeBFD) Sessions(context.Context) ([]worker.Session, error) { return f.sessions, nil }

func (f *fakeBFD) Status() worker.ClientStatus { return f.status }

// bfdNews is a change of a session, as the worker tells it.
func (w *world) bfdNews(leaf string, c bfd.Change) {
	w.onBFD(w.ctx, newsOf(leaf, c))
	w.admit()
}

func newsOf(leaf string, c bfd.Change) worker.News {
	n := worker.News{Changed: true, Session: worker.Session{Peer: netip.MustParseAddr(leaf), Known: true, Claimed: true}}
	n.Remote.State = bfd.Down
	n.Status.State, n.Change, n.Discriminator = c.To, c, 7
	n.Since = time.Duration(time.Now().UnixNano())
	if c.PathFailed() {
		n.FailedAt = time.Now()
	}
	return n
}

func (w *world) bfdUp(leaf string) {
	w.bfdNews(leaf, bfd.Change{From: bfd.Init, To: bfd.Up, Cause: bfd.Handshake})
}

func (w *world) bfdDown(leaf string, cause bfd.Cause) {
	w.bfdNews(leaf, failure(cause))
}

func failure(cause bfd.Cause) bfd.Change {
	return bfd.Change{From: bfd.Up, To: bfd.Down, Cause: cause, At: time.Second, LastReceived: time.Second - 900*time.Millisecond}
}

// heardLeaf brings eth0 up and has a leaf heard there, outside of any bubble.
func (w *world) heardLeaf() {
	w.state.Links["eth0"] = kernel.Link{Name: "eth0", Index: 2, Up: true, LinkLocal: netip.MustParseAddr("fe80::a%eth0")}
	w.onKernel(w.ctx, w.state)
	w.hear(leaf1)
}
