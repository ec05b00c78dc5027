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

// end is a worker without a process.
func end(t *testing.T, ns *netns.NS, link string, peer byte, timers bfd.Timers) *worker {
	t.Helper()
	var w *worker
	err := ns.Do(func() (err error) {
		i, err := net.InterfaceByName(link)
		if err != nil {
			return err
		}
		w, err = newWorker(Config{Orphan: time.Hour, Log: slog.New(slog.DiscardHandler)}, Status{Scheduling: FIFO})
		if err != nil {
			return err
		}
		return w.watch(watch{key: key{Link: uint32(i.Index), Peer: [16]byte{0xfe, 0x80, 15: peer}}, Timers: timers}, monotonic())
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
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

// TestLoopAllocatesNothing: whatever it would allocate, nobody would collect.
func TestLoopAllocatesNothing(t *testing.T) {
	a, b := netns.ForTest(t, "a"), netns.ForTest(t, "b")
	if err := netns.Veth(a, "eth0", b, "swp1"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(a.AddAddress("eth0", "fe80::a/64"), b.AddAddress("swp1", "fe80::1/64")); err != nil {
		t.Fatal(err)
	}
	timers := bfd.Timers{Transmit: 10 * time.Millisecond, Receive: 10 * time.Millisecond, Multiplier: 50}
	ends := [2]*worker{end(t, a, "eth0", 1, timers), end(t, b, "swp1", 0xa, timers)}
	run := func(turns int) {
		for range turns {
			for _, w := range ends {
				next, _ := w.turn(monotonic())
				if err := w.wait(min(next, monotonic()+time.Millisecond)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	settled := func() bool {
		for _, w := range ends {
			if s := w.sessions[0]; s.state != bfd.Up || s.machine.TransmitInterval() != timers.Transmit {
				return false
			}
		}
		return true
	}
	for deadline := time.Now().Add(20 * time.Second); !settled(); run(1) {
		if time.Now().After(deadline) {
			t.Fatal("the sessions do not come up")
		}
	}
	run(100)
	var before, after runtime.MemStats
	sent := ends[0].sessions[0].counters.Sent
	runtime.ReadMemStats(&before)
	run(1000)
	runtime.ReadMemStats(&after)
	sent = ends[0].sessions[0].counters.Sent - sent
	if sent < 100 {
		t.Errorf("only %d packets were sent", sent)
	}
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
	a, b := netns.ForTest(t, "a"), netns.ForTest(t, "b")
	if err := netns.Veth(a, "eth0", b, "swp1"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(a.AddAddress("eth0", "fe80::a/64"), b.AddAddress("swp1", "fe80::1/64")); err != nil {
		t.Fatal(err)
	}
	// They wait for us for 5 s, we for them for 200 ms.
	timers := bfd.Timers{Transmit: 20 * time.Millisecond, Receive: 20 * time.Millisecond, Multiplier: 250}
	ours := end(t, a, "eth0", 1, timers)
	timers.Multiplier = 10
	theirs := end(t, b, "swp1", 0xa, timers)
	turn := func(w *worker) {
		next, _ := w.turn(monotonic())
		if err := w.wait(min(next, monotonic()+5*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
	}
	s := ours.sessions[0]
	for deadline := time.Now().Add(20 * time.Second); s.state != bfd.Up || s.machine.DetectTime() != 200*time.Millisecond; turn(theirs) {
		if time.Now().After(deadline) {
			t.Fatal("the session does not come up")
		}
		turn(ours)
	}
	// We are away for a second, and they go on.
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		turn(theirs)
	}
	turn(ours)
	if s.state != bfd.Up || s.counters.Failures != 0 {
		t.Errorf("the session is %v after a nap: %+v", s.state, s.change)
	}
	// Both are silent for a second.
	time.Sleep(time.Second)
	turn(ours)
	if s.state != bfd.Down || s.change.Cause != bfd.Expired {
		t.Errorf("the session is %v after silence: %+v", s.state, s.change)
	}
}
