package worker

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"lastmile/bpf/bfdwatch"
	"lastmile/hostagent/bfd"
)

// Watchdog is what the watchdog in the kernel does for a session.
type Watchdog uint8

const (
	// Unguarded means that it does nothing: there is none, or the session is not up.
	Unguarded Watchdog = iota
	// Refused means that the kernel did not let the session be armed; the log says why.
	Refused
	// Waiting means that it is armed, and the program on the link has not seen a packet
	// of the session: it is not attached, or does not know what comes there, as in a VLAN.
	Waiting
	// Guarded means that the program on the link sees the session's packets.
	Guarded
)

// String is the word for metrics and people.
func (w Watchdog) String() string {
	names := [...]string{"off", "refused", "waiting", "on"}
	if int(w) >= len(names) {
		return "unknown"
	}
	return names[w]
}

// watchdog is the one in the kernel, a second reason to look at a session. It is
// believed as far as a timer is: the socket is read to its end, and then the
// machine decides by the packets' times. So whatever is wrong with it takes no
// session down.
type watchdog struct {
	kernel *bfdwatch.Watchdog // nil: there is none
	event  bfdwatch.Event
}

// guard is what the watchdog was told of a session.
type guard struct {
	state  Watchdog
	detect time.Duration // it was ordered for
	heeded time.Duration // it has told of the silence since then
}

// probe is a detect time that has passed when the packet has: the event says that
// the program on the link sees the session. Only then is the true one ordered, and
// Guarded not just a hope.
const probe = time.Nanosecond

// eventBudget is how many events are read before others get their turn. One
// session makes one in a detect time.
const eventBudget = 64

// takeWatchdog has the kernel's watchdog work through two other maps, or not at
// all if there are none. They belong to it from now on.
func (w *worker) takeWatchdog(fds []int) error {
	if len(fds) != 0 && len(fds) != 2 {
		closeAll(fds)
		return fmt.Errorf("%d descriptors came for the watchdog: 2 are wanted, or none", len(fds))
	}
	w.dropWatchdog()
	if len(fds) == 0 {
		return nil
	}
	kernel, err := bfdwatch.New(os.NewFile(uintptr(fds[0]), bfdwatch.SessionsMap), os.NewFile(uintptr(fds[1]), bfdwatch.EventsMap))
	if err != nil {
		return err
	}
	if err := w.register(kernel.FD(), unix.EPOLLIN, w.heedWatchdog); err != nil {
		kernel.Close()
		return err
	}
	w.watchdog.kernel = kernel
	return nil
}

func (w *worker) dropWatchdog() {
	kernel := w.watchdog.kernel
	if kernel == nil {
		return
	}
	w.watchdog.kernel = nil
	for _, s := range w.sessions {
		s.guard = guard{}
	}
	// Explicitly: hostagent has the same map open, so closing is not enough.
	fd := kernel.FD()
	if err := unix.EpollCtl(w.epoll, unix.EPOLL_CTL_DEL, fd, nil); err != nil {
		w.log.Error("BFD watchdog in the kernel cannot be put away", "err", err)
	}
	delete(w.sources, int32(fd))
	if err := kernel.Close(); err != nil {
		w.log.Error("BFD watchdog in the kernel cannot be put away", "err", err)
	}
}

// guard has the kernel watch each session that is up, with its detect time as it
// is now. It comes after the client was told: no news wait for it.
func (w *worker) guard() {
	if w.watchdog.kernel == nil {
		return
	}
	for _, s := range w.sessions {
		g, want := &s.guard, time.Duration(0)
		if s.machine.State() == bfd.Up && !s.leaving {
			want = s.machine.DetectTime()
		}
		switch {
		case want == g.detect || want == 0 && s.awaitsWatchdog():
		case want == 0:
			w.disarm(s)
		case g.state == Waiting:
			g.detect = want
		case g.state == Guarded:
			w.arm(s, Guarded, want)
		default:
			w.arm(s, Waiting, want)
		}
	}
}

// awaitsWatchdog says whether the session's own timer has found what the
// watchdog is about to tell. It may, to be counted, until the peer is back.
func (s *session) awaitsWatchdog() bool {
	last, heard := s.machine.LastReceived()
	return s.guard.state == Guarded && s.guard.heeded != last && !heard && s.change.Cause == bfd.Expired && !s.leaving
}

// arm orders a session for its detect time, by a probe if the state is to be
// Waiting.
func (w *worker) arm(s *session, state Watchdog, detect time.Duration) {
	order := bfdwatch.Session{Key: s.watchdogKey(), Peer: s.addr(), Detect: detect}
	if state == Waiting {
		order.Detect = probe
	}
	s.guard = guard{state: state, detect: detect}
	if _, err := w.watchdog.kernel.Arm(order); err != nil {
		s.guard.state = Refused
		w.log.Error("BFD watchdog in the kernel refuses a session", "link", s.order.Name, "peer", order.Peer, "err", err)
	}
}

// disarm takes an order back, if there is one.
func (w *worker) disarm(s *session) {
	if s.guard.state == Unguarded {
		return
	}
	s.guard = guard{}
	if err := w.watchdog.kernel.Disarm(s.watchdogKey()); err != nil {
		w.log.Error("BFD watchdog in the kernel does not let go of a session", "link", s.order.Name, "peer", s.addr(), "err", err)
	}
}

func (s *session) watchdogKey() bfdwatch.Key {
	return bfdwatch.Key{Interface: s.Link, Discriminator: s.discriminator}
}

// heedWatchdog reads what the watchdog has to tell.
func (w *worker) heedWatchdog() {
	e := &w.watchdog.event
	for range eventBudget {
		if w.watchdog.kernel == nil || !w.watchdog.kernel.Next(e) {
			return
		}
		for _, s := range w.sessions {
			if s.watchdogKey() == e.Key {
				w.heed(s, time.Duration(e.Last))
			}
		}
	}
}

// heed looks at a session of which the watchdog saw the last packet long ago.
func (w *worker) heed(s *session, last time.Duration) {
	if s.awaitsWatchdog() {
		s.guard.heeded, _ = s.machine.LastReceived()
		s.counters.WatchdogSecond++
		return
	}
	if s.machine.State() != bfd.Up {
		return
	}
	switch s.guard.state {
	case Waiting:
		w.arm(s, Guarded, s.machine.DetectTime())
	case Guarded:
		w.look(s, last)
	}
}

// look reads the session's socket to its end and has the machine decide.
func (w *worker) look(s *session, last time.Duration) {
	now := monotonic()
	w.drain(s.link)
	s.machine.Tick(min(now, s.link.complete))
	received, _ := s.machine.LastReceived()
	switch {
	case s.machine.State() != bfd.Up:
		if s.change.Cause == bfd.Expired {
			s.guard.heeded = received
			s.counters.WatchdogFirst++
		}
	case s.heardSince(last):
		s.counters.WatchdogFalse++
		// Does the program see the session at all?
		w.arm(s, Waiting, s.machine.DetectTime())
	case s.guard.heeded != received:
		// The packet's time is a little later for the session than for the watchdog:
		// its own timer is about to say so.
		s.guard.heeded = received
		s.counters.WatchdogSecond++
	}
}

// heardSince says whether a packet came after the one of that time. Of one packet
// the kernel takes two times, by the network's code and by the program on the
// link; of two packets of a session the times are three quarters of an interval
// apart (RFC 5880 section 6.8.7).
func (s *session) heardSince(last time.Duration) bool {
	received, _ := s.machine.LastReceived()
	interval := s.machine.DetectTime() / time.Duration(max(s.machine.Status().Remote.Multiplier, 1))
	return received > last+interval/2
}
