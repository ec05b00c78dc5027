package worker

import (
	"errors"
	"log/slog"
	"net"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lastmile/hostagent/bfd"
	"lastmile/lab/netns"
)

// A side is one of a cable, with the last byte of the other's address.
type side struct {
	ns   *netns.NS
	link string
	peer byte
}

// end is a worker without a process.
func end(t *testing.T, at side, timers bfd.Timers) *worker {
	t.Helper()
	var w *worker
	err := at.ns.Do(func() (err error) {
		i, err := net.InterfaceByName(at.link)
		if err != nil {
			return err
		}
		w, err = newWorker(Config{Orphan: time.Hour, Log: slog.New(slog.DiscardHandler)}, Status{Scheduling: FIFO})
		if err != nil {
			return err
		}
		return w.watch(watch{key: key{Link: uint32(i.Index), Peer: [16]byte{0xfe, 0x80, 15: at.peer}}, Timers: timers}, monotonic())
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.dropWatchdog()
		for _, s := range w.sessions {
			unix.Close(s.fd)
		}
		for fd := range w.sources {
			unix.Close(int(fd))
		}
		unix.Close(w.epoll)
	})
	return w
}

// pair is two workers without a process, one at each end of a link.
type pair struct {
	t            *testing.T
	ours, theirs *worker
	a            *netns.NS // ours
}

func newPair(t *testing.T, ours, theirs bfd.Timers) *pair {
	t.Helper()
	a, b := netns.ForTest(t, "a"), netns.ForTest(t, "b")
	if err := netns.Veth(a, "eth0", b, "swp1"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(a.AddAddress("eth0", "fe80::a/64"), b.AddAddress("swp1", "fe80::1/64")); err != nil {
		t.Fatal(err)
	}
	p := &pair{t, end(t, side{a, "eth0", 1}, ours), end(t, side{b, "swp1", 0xa}, theirs), a}
	settled := func(w *worker) bool {
		s := w.sessions[0]
		return s.machine.State() == bfd.Up && s.machine.TransmitInterval() == s.order.Timers.Transmit &&
			s.machine.Status().Remote.DesiredMinTx < time.Second // which it is while one end does not know that it is Up
	}
	for deadline := time.Now().Add(20 * time.Second); !settled(p.ours) || !settled(p.theirs); p.turn(p.ours, p.theirs) {
		if time.Now().After(deadline) {
			t.Fatal("the session does not come up")
		}
	}
	return p
}

// turn lets workers do one turn each, of a millisecond at most.
func (p *pair) turn(workers ...*worker) {
	p.t.Helper()
	for _, w := range workers {
		next, ended := w.turn(monotonic())
		if ended {
			p.t.Fatal("the worker has ended")
		}
		if err := w.wait(min(next, monotonic()+time.Millisecond)); err != nil {
			p.t.Fatal(err)
		}
	}
}

// TestLoopAllocatesNothing: whatever it would allocate, nobody would collect.
func TestLoopAllocatesNothing(t *testing.T) {
	timers := bfd.Timers{Transmit: 10 * time.Millisecond, Receive: 10 * time.Millisecond, Multiplier: 50}
	p := newPair(t, timers, timers)
	p.guard()
	s := p.ours.sessions[0]
	run := func() {
		for range 1000 {
			p.turn(p.ours, p.theirs)
		}
	}
	run()
	var before, after runtime.MemStats
	sent, received := s.counters.Sent, s.counters.Received
	runtime.ReadMemStats(&before)
	run()
	runtime.ReadMemStats(&after)
	sent, received = s.counters.Sent-sent, s.counters.Received-received
	if sent < 100 || received < 100 {
		t.Errorf("only %d packets were sent, %d received", sent, received)
	}
	// The runtime's own, now and then.
	if n := after.Mallocs - before.Mallocs; n > 10 {
		t.Errorf("%d allocations in 2000 turns with %d packets each way, want none", n, sent)
	}
}

func TestArrival(t *testing.T) {
	l := &link{complete: time.Second}
	now := 2 * time.Second
	for name, test := range map[string]struct{ ago, want time.Duration }{
		"a moment ago":            {100 * time.Millisecond, now - 100*time.Millisecond},
		"the clock was set ahead": {time.Hour, time.Second},
		"the clock was set back":  {-time.Hour, now},
	} {
		got := l.arrival(&received{realtime: realtime() - test.ago}, now)
		if d := got - test.want; d < -50*time.Millisecond || d > 0 {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
	if got := l.arrival(&received{}, now); got != now {
		t.Errorf("without a time of the kernel: %v, want %v", got, now)
	}
}

// TestExpiryWaitsForTheSocket: packets that wait keep a session up, however late
// we are.
func TestExpiryWaitsForTheSocket(t *testing.T) {
	// They wait for us for 5 s, we for them for 1 s.
	theirs := bfd.Timers{Transmit: 20 * time.Millisecond, Receive: 20 * time.Millisecond, Multiplier: 50}
	ours := theirs
	ours.Multiplier = 250
	p := newPair(t, ours, theirs)
	s := p.ours.sessions[0]
	// We are away for two seconds, and they go on.
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
		p.turn(p.theirs)
	}
	p.turn(p.ours)
	if s.machine.State() != bfd.Up || s.counters.Failures != 0 {
		t.Errorf("the session is %v after a nap: %+v", s.machine.State(), s.change)
	}
	if s.counters.Late == 0 || s.counters.LateMax < 1500*time.Millisecond {
		t.Errorf("late %d times, %v at most, want a nap of two seconds", s.counters.Late, s.counters.LateMax)
	}
	// Both are silent for longer than that.
	time.Sleep(1500 * time.Millisecond)
	p.turn(p.ours)
	if s.machine.State() != bfd.Down || s.change.Cause != bfd.Expired {
		t.Errorf("the session is %v after silence: %+v", s.machine.State(), s.change)
	}
}

// TestToldTwiceToEnd: once is to say AdminDown for a while, twice is to end now.
func TestToldTwiceToEnd(t *testing.T) {
	timers := bfd.Timers{Transmit: 50 * time.Millisecond, Receive: 50 * time.Millisecond, Multiplier: 10}
	p := newPair(t, timers, timers)
	p.ours.leave(monotonic())
	for s := p.theirs.sessions[0]; s.change.Cause != bfd.PeerAdminDown; p.turn(p.theirs) {
		if s.change.PathFailed() {
			t.Fatalf("the end is taken for %+v", s.change)
		}
	}
	p.turn(p.ours)
	p.ours.leave(monotonic())
	if _, ended := p.ours.turn(monotonic()); !ended {
		t.Error("it goes on")
	}
}

// drain reads all messages that wait in a socket, and returns their number and the last.
func drain(t *testing.T, fd int) (n int, last report) {
	t.Helper()
	b := make([]byte, maxMessage)
	for {
		size, err := unix.Read(fd, b)
		if err != nil {
			return n, last
		}
		if err := decode(b[:size], &last); err != nil {
			t.Fatal(err)
		}
		n++
	}
}

// TestClientThatDoesNotRead: it costs the worker nothing, and hears how all is
// once it reads.
func TestClientThatDoesNotRead(t *testing.T) {
	timers := bfd.Timers{Transmit: 50 * time.Millisecond, Receive: 50 * time.Millisecond, Multiplier: 100}
	p := newPair(t, timers, timers)
	w, s := p.ours, p.ours.sessions[0]
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.register(fds[0], unix.EPOLLIN, w.hear); err != nil {
		t.Fatal(err)
	}
	w.control.client = fds[0]
	sent := 0
	for ; !w.control.full; sent++ {
		if sent > 1e6 {
			t.Fatal("the socket is never full")
		}
		s.unreported = true
		w.tell()
	}
	for range 10 {
		p.turn(p.ours, p.theirs)
	}
	if w.alone() || !s.unreported || s.machine.State() != bfd.Up {
		t.Fatalf("alone %v, unreported %v, state %v", w.alone(), s.unreported, s.machine.State())
	}
	if n, _ := drain(t, fds[1]); n != sent-1 {
		t.Errorf("%d messages were read of %d that were sent", n, sent-1)
	}
	for deadline := time.Now().Add(20 * time.Second); s.unreported; p.turn(p.ours, p.theirs) {
		if time.Now().After(deadline) {
			t.Fatal("the last change is never told")
		}
	}
	if n, last := drain(t, fds[1]); n != 1 || last.State != bfd.Up || w.control.full {
		t.Errorf("%d messages after that, the last %v", n, last.State)
	}
	unix.Close(fds[1])
	for deadline := time.Now().Add(20 * time.Second); !w.alone(); p.turn(p.ours, p.theirs) {
		if time.Now().After(deadline) {
			t.Fatal("that the client has gone is never noticed")
		}
	}
}
