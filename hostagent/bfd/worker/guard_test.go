package worker

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lastmile/bpf/bfdwatch"
	"lastmile/bpf/uplink"
	"lastmile/hostagent/bfd"
)

// guard gives our end the kernel's watchdog, and waits until its timer runs.
func (p *pair) guard() *uplink.Hooks {
	p.t.Helper()
	var hooks *uplink.Hooks
	err := p.a.Do(func() (err error) {
		if hooks, err = uplink.Open(uplink.Options{Watchdog: true, Dir: p.t.TempDir() + "/none"}); err != nil {
			return err
		}
		_, err = hooks.Attach("eth0", int(p.ours.sessions[0].Link), uplink.Auto)
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { hooks.Close() })
	if err := p.ours.takeWatchdog(p.maps(hooks)); err != nil {
		p.t.Fatal(err)
	}
	s := p.ours.sessions[0]
	p.until("a session that is guarded", func() bool { return s.guard.state == Guarded })
	n := s.counters.Received // an order is for the next packet
	p.until("two more packets", func() bool { return s.counters.Received >= n+2 })
	return hooks
}

// maps are descriptors of the worker's own.
func (p *pair) maps(hooks *uplink.Hooks) []int {
	p.t.Helper()
	sessions, events, err := hooks.Watchdog()
	if err != nil {
		p.t.Fatal(err)
	}
	defer sessions.Close()
	defer events.Close()
	var fds []int
	for _, fd := range []uintptr{sessions.Fd(), events.Fd()} {
		own, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			p.t.Fatal(err)
		}
		fds = append(fds, own)
	}
	return fds
}

func (p *pair) until(what string, ok func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); p.turn(p.ours, p.theirs) {
		if time.Now().After(deadline) {
			p.t.Fatalf("there is not: %s", what)
		}
	}
}

// TestFloodOfEvents fills the ring with events, of sessions that there are not and
// of the one that there is, with its true name and generation.
func TestFloodOfEvents(t *testing.T) {
	timers := bfd.Timers{Transmit: 20 * time.Millisecond, Receive: 20 * time.Millisecond, Multiplier: 250}
	p := newPair(t, timers, timers)
	p.guard()
	w, s := p.ours, p.ours.sessions[0]
	kernel := w.watchdog.kernel
	const strangers = 30
	for d := range uint32(strangers) {
		key := s.watchdogKey()
		key.Discriminator += d + 1
		if _, err := kernel.Arm(bfdwatch.Session{Key: key, Peer: s.addr(), Detect: probe}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := kernel.Arm(bfdwatch.Session{Key: s.watchdogKey(), Peer: s.addr(), Detect: probe}); err != nil {
		t.Fatal(err)
	}
	// As if by the peer: from its socket. Not as many as its own socket has room for.
	packet := bfd.Packet{State: bfd.Up, Multiplier: 250, MyDiscriminator: p.theirs.sessions[0].discriminator, DesiredMinTx: 20 * time.Millisecond, RequiredMinRx: 20 * time.Millisecond}
	for n := range uint32(3000) {
		packet.YourDiscriminator = s.discriminator + n%(strangers+1)
		if errno := sendTo(p.theirs.sessions[0].fd, packet.Append(nil), &p.theirs.sessions[0].to); errno != 0 {
			t.Fatal(errno)
		}
		if n%100 == 0 {
			p.turn(p.theirs)
		}
	}
	p.until("an end of the events", func() bool {
		poll := []unix.PollFd{{Fd: int32(kernel.FD()), Events: unix.POLLIN}}
		n, err := unix.Poll(poll, 0)
		return err == nil && n == 0 && s.guard.state == Guarded
	})
	if s.machine.State() != bfd.Up || s.counters.Ups != 1 || s.counters.Failures != 0 {
		t.Errorf("the session is %v: %+v", s.machine.State(), s.counters)
	}
	t.Logf("%+v", s.counters)
}

// TestEventOfALateWorker: the watchdog may be right that nothing came for so long,
// and what waits in the socket has come since.
func TestEventOfALateWorker(t *testing.T) {
	timers := bfd.Timers{Transmit: 20 * time.Millisecond, Receive: 20 * time.Millisecond, Multiplier: 10}
	p := newPair(t, bfd.Timers{Transmit: 20 * time.Millisecond, Receive: 20 * time.Millisecond, Multiplier: 250}, timers)
	hooks := p.guard()
	s := p.ours.sessions[0]
	if err := p.a.Do(func() error { return hooks.Detach("eth0") }); err != nil {
		t.Fatal(err)
	}
	// The timer that was wound last runs down while the peer goes on.
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		p.turn(p.theirs)
	}
	p.until("an event that is false", func() bool { return s.counters.WatchdogFalse == 1 })
	if s.machine.State() != bfd.Up || s.counters.Failures != 0 || s.guard.state != Waiting {
		t.Errorf("the session is %v, its watchdog %v: %+v", s.machine.State(), s.guard.state, s.counters)
	}
}

// TestWatchdogLeavesNothing: neither descriptors nor orders.
func TestWatchdogLeavesNothing(t *testing.T) {
	timers := bfd.Timers{Transmit: 20 * time.Millisecond, Receive: 20 * time.Millisecond, Multiplier: 50}
	p := newPair(t, timers, timers)
	hooks := p.guard()
	w, s := p.ours, p.ours.sessions[0]
	for range 5 { // the same maps again, as each hostagent that comes brings them
		if err := w.takeWatchdog(p.maps(hooks)); err != nil {
			t.Fatal(err)
		}
		p.until("a session that is guarded", func() bool { return s.guard.state == Guarded })
	}
	sources := len(w.sources)
	w.unwatch(s.key, monotonic())
	p.turn(p.ours)
	for n := range bfdwatch.Sessions {
		key := bfdwatch.Key{Interface: 1, Discriminator: uint32(n)}
		if _, err := w.watchdog.kernel.Arm(bfdwatch.Session{Key: key, Peer: s.addr(), Detect: time.Second}); err != nil {
			t.Fatalf("after %d: %v: something is armed still", n, err)
		}
	}
	if err := w.takeWatchdog(nil); err != nil || w.watchdog.kernel != nil || len(w.sources) != sources-1 {
		t.Errorf("%v, %d descriptors", err, len(w.sources))
	}
}

// TestMoreSessionsThanTheKernelWatches: one that finds no room is as it was before
// there was a watchdog.
func TestMoreSessionsThanTheKernelWatches(t *testing.T) {
	timers := bfd.Timers{Transmit: 20 * time.Millisecond, Receive: 20 * time.Millisecond, Multiplier: 100}
	p := newPair(t, timers, timers)
	hooks := p.guard()
	w, s := p.ours, p.ours.sessions[0]
	if err := w.takeWatchdog(p.maps(hooks)); err != nil {
		t.Fatal(err)
	}
	key := bfdwatch.Key{Interface: 1}
	for range bfdwatch.Sessions {
		key.Discriminator++
		if _, err := w.watchdog.kernel.Arm(bfdwatch.Session{Key: key, Peer: s.addr(), Detect: time.Second}); err != nil {
			t.Fatal(err)
		}
	}
	n := s.counters.Received
	p.until("some packets", func() bool { return s.counters.Received > n+10 })
	if s.guard.state != Refused || s.machine.State() != bfd.Up || s.counters.Failures != 0 {
		t.Errorf("the session is %v, its watchdog %v", s.machine.State(), s.guard.state)
	}
	// Room is found with the next order.
	if err := w.watchdog.kernel.Disarm(key); err != nil {
		t.Fatal(err)
	}
	other := timers
	other.Receive *= 2
	if err := w.watch(watch{key: s.key, Timers: other}, monotonic()); err != nil {
		t.Fatal(err)
	}
	p.until("a session that is guarded", func() bool { return s.guard.state == Guarded })
}
