package uplink

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"lastmile/bpf/bfdwatch"
	"lastmile/bpf/etherfix/frames"
)

// watched is the program with its watchdog, run by hand: a frame of a test run comes in over the loopback interface.
type watched struct {
	t       testing.TB
	dog     *bfdwatch.Watchdog
	watches *ebpf.Map
	program *ebpf.Program
}

const loopback = 1

var peer = netip.MustParseAddr("fe80::1%eth0")

// newWatched returns nil if the kernel has no timers, and then expects to be told so.
func newWatched(t testing.TB) *watched {
	t.Helper()
	needRoot(t)
	h, err := Open(Options{Watchdog: true, Dir: t.TempDir() + "/none"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	sessions, events, err := h.Watchdog()
	if !HasTimers() {
		t.Log("this kernel has no BPF timers")
		if want := "this kernel has no BPF timers (before 5.15)"; fmt.Sprint(err) != want {
			t.Errorf("%v, want %s", err, want)
		}
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{t: t, watches: h.objects.shared[objectMapWatches]}
	if w.dog, err = bfdwatch.New(sessions, events); err != nil {
		t.Fatal(err)
	}
	counters, err := h.objects.openMap(objectMapCounters, "")
	if err != nil {
		t.Fatal(err)
	}
	if w.program, err = h.objects.load(xdpVariants[0], counters); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.dog.Close(); w.program.Close(); counters.Close() })
	return w
}

func (w *watched) arm(discriminator uint32, detect time.Duration) bfdwatch.Generation {
	w.t.Helper()
	g, err := w.dog.Arm(bfdwatch.Session{
		Key: bfdwatch.Key{Interface: loopback, Discriminator: discriminator}, Peer: peer, Detect: detect,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return g
}

func (w *watched) receive(frame []byte) {
	w.t.Helper()
	if v, err := w.program.Run(&ebpf.RunOptions{Data: frame}); err != nil || v != 2 {
		w.t.Fatalf("verdict %d (%v), want XDP_PASS", v, err)
	}
}

// last is when the last packet came that wound the timer up, in the slot that is taken first; or 0.
func (w *watched) last(slot uint32) uint64 {
	w.t.Helper()
	var s objectWatch
	if err := w.watches.Lookup(slot, &s); err != nil {
		w.t.Fatal(err)
	}
	return s.Last
}

// next waits for an event.
func (w *watched) next() bfdwatch.Event {
	w.t.Helper()
	var e bfdwatch.Event
	if !waitFor(w.dog, &e, 20*time.Second) {
		w.t.Fatal("no event in 20 s")
	}
	return e
}

func waitFor(dog *bfdwatch.Watchdog, e *bfdwatch.Event, patience time.Duration) bool {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if dog.Next(e) {
			return true
		}
		poll := []unix.PollFd{{Fd: int32(dog.FD()), Events: unix.POLLIN}}
		if _, err := unix.Poll(poll, 100); err != nil && !errors.Is(err, unix.EINTR) {
			return false
		}
	}
	return false
}

// control is a frame with a BFD control packet of the peer: RFC 5880 section 4.1 in UDP in IPv6.
func control(discriminator uint32) []byte {
	p := make([]byte, 40+8+24)
	p[0] = 0x60
	binary.BigEndian.PutUint16(p[4:], 32)
	p[6], p[7] = 17, 255
	source := peer.As16()
	copy(p[8:], source[:])
	copy(p[24:], []byte{0xfe, 0x80, 15: 2})
	binary.BigEndian.PutUint16(p[40:], 49152)
	binary.BigEndian.PutUint16(p[42:], 3784)
	binary.BigEndian.PutUint16(p[44:], 32)
	p[48], p[49], p[50], p[51] = 1<<5, 3<<6, 3, 24
	binary.BigEndian.PutUint32(p[52:], 77)
	binary.BigEndian.PutUint32(p[56:], discriminator)
	return frames.Ethernet(p, frames.IPv6)
}

func TestWhatWindsTheWatchdogUp(t *testing.T) {
	const discriminator = 0xdecade01
	w := newWatched(t)
	if w == nil {
		return
	}
	const ip, udp, bfd = 14, 14 + 40, 14 + 40 + 8
	for _, c := range []struct {
		name  string
		winds bool
		edit  func(f []byte) []byte
	}{
		{"a control packet", true, func(f []byte) []byte { return f }},
		{"padded", true, func(f []byte) []byte { return append(f, 0, 0, 0) }},
		{"with poll and C bit", true, func(f []byte) []byte { f[bfd+1] |= 0x28; return f }},
		{"hop limit 254", false, func(f []byte) []byte { f[ip+7] = 254; return f }},
		{"another source", false, func(f []byte) []byte { f[ip+8+15]++; return f }},
		{"another source, first half", false, func(f []byte) []byte { f[ip+8]++; return f }},
		{"another discriminator", false, func(f []byte) []byte { f[bfd+11]++; return f }},
		{"no your discriminator", false, func(f []byte) []byte { copy(f[bfd+8:], make([]byte, 4)); return f }},
		{"no my discriminator", false, func(f []byte) []byte { copy(f[bfd+4:], make([]byte, 4)); return f }},
		{"version 0", false, func(f []byte) []byte { f[bfd] = 0; return f }},
		{"version 2", false, func(f []byte) []byte { f[bfd] = 2 << 5; return f }},
		{"multiplier 0", false, func(f []byte) []byte { f[bfd+2] = 0; return f }},
		{"authenticated", false, func(f []byte) []byte { f[bfd+1] |= 4; return f }},
		{"multipoint", false, func(f []byte) []byte { f[bfd+1] |= 1; return f }},
		{"BFD length 23", false, func(f []byte) []byte { f[bfd+3] = 23; return f }},
		{"BFD longer than UDP", false, func(f []byte) []byte { f[bfd+3] = 25; return f }},
		{"UDP longer than IPv6", false, func(f []byte) []byte { f[udp+5]++; return f }},
		{"UDP too short", false, func(f []byte) []byte { f[udp+5]--; return f }},
		{"echo port", false, func(f []byte) []byte { f[udp+3]++; return f }},
		{"TCP", false, func(f []byte) []byte { f[ip+6] = 6; return f }},
		{"cut short", false, func(f []byte) []byte { return f[:len(f)-1] }},
		{"in a VLAN", false, func(f []byte) []byte { return frames.Ethernet(f[ip:], frames.Dot1Q, frames.IPv6) }},
		{"marked IPv4", false, func(f []byte) []byte { f[12], f[13] = 8, 0; return f }},
	} {
		w.arm(discriminator, time.Hour)
		before := w.last(0)
		w.receive(c.edit(control(discriminator)))
		if got := w.last(0) != before; got != c.winds {
			t.Errorf("%s: wound up %v, want %v", c.name, got, c.winds)
		}
	}
}

func TestNeverEarly(t *testing.T) {
	const detect = 20 * time.Millisecond
	w := newWatched(t)
	if w == nil {
		return
	}
	g := w.arm(1, detect)
	for range 5 {
		w.receive(control(1))
		time.Sleep(detect / 4) // what is tested: time passes between packets
	}
	last := w.last(0)
	var e bfdwatch.Event
	for e.Last < last { // on a busy machine one packet may have been late for another
		e = w.next()
		if e.Generation != g || e.Key != (bfdwatch.Key{Interface: loopback, Discriminator: 1}) {
			t.Errorf("event %+v, want one of generation %d", e, g)
		}
		if silence := time.Duration(e.Expired - e.Last); silence < detect {
			t.Errorf("expired after %v, before %v", silence, detect)
		}
	}
	// A session that was reported is reported again if it comes back and falls silent.
	w.receive(control(1))
	if again := w.next(); again.Last <= e.Last || again.Generation != g {
		t.Errorf("then %+v", again)
	}
}

func TestNothingComesOfWhatIsDisarmed(t *testing.T) {
	w := newWatched(t)
	if w == nil {
		return
	}
	const short = 5 * time.Millisecond
	w.arm(1, short) // never starts: no packet
	w.arm(2, short)
	w.receive(control(2))
	if err := errors.Join(w.dog.Disarm(bfdwatch.Key{Interface: loopback, Discriminator: 2}),
		w.dog.Disarm(bfdwatch.Key{Interface: loopback, Discriminator: 2})); err != nil {
		t.Fatal(err)
	}
	w.receive(control(2))
	w.arm(3, short)
	w.receive(control(3))
	w.arm(3, time.Hour) // a new generation, whose timer does not run yet
	// An event that is in the buffer already when its session is disarmed, or armed anew.
	for _, d := range []uint32{4, 5} {
		w.arm(d, short)
		w.receive(control(d))
	}
	poll := []unix.PollFd{{Fd: int32(w.dog.FD()), Events: unix.POLLIN}}
	for _, err := unix.Poll(poll, 20000); err != nil; _, err = unix.Poll(poll, 20000) {
		if !errors.Is(err, unix.EINTR) {
			t.Fatal(err)
		}
	}
	if err := w.dog.Disarm(bfdwatch.Key{Interface: loopback, Discriminator: 4}); err != nil {
		t.Fatal(err)
	}
	w.arm(5, time.Hour)
	// By the time this one is reported the others would have been.
	w.arm(6, 10*short)
	w.receive(control(6))
	if e := w.next(); e.Discriminator != 6 {
		t.Errorf("event %+v, want that of session 6 alone", e)
	}
	if e := (bfdwatch.Event{}); w.dog.Next(&e) {
		t.Errorf("one more event: %+v", e)
	}
}

// The buffer holds some 1600 events. What does not fit is reported when there is room again.
func TestNoEventIsLost(t *testing.T) {
	w := newWatched(t)
	if w == nil {
		return
	}
	for d := range uint32(bfdwatch.Sessions) {
		w.arm(d+1, time.Nanosecond)
	}
	if _, err := w.dog.Arm(bfdwatch.Session{Key: bfdwatch.Key{Discriminator: 9999}, Peer: peer, Detect: 1}); !errors.Is(err, bfdwatch.ErrFull) {
		t.Errorf("one session too many: %v", err)
	}
	last := map[uint32]uint64{}
	all := func() {
		for d := range uint32(bfdwatch.Sessions) {
			w.receive(control(d + 1))
			last[d+1] = w.last(d)
		}
	}
	drain := func() {
		var e bfdwatch.Event
		for len(last) > 0 && waitFor(w.dog, &e, 5*time.Second) {
			if e.Last == last[e.Discriminator] {
				delete(last, e.Discriminator)
			}
		}
	}
	for range 40 {
		all()
	}
	if drain(); len(last) > 0 {
		t.Errorf("%d sessions were not reported: %v", len(last), last)
	}
}

func TestReadingAllocatesNothing(t *testing.T) {
	w := newWatched(t)
	if w == nil {
		return
	}
	for d := range uint32(bfdwatch.Sessions) {
		w.arm(d+1, time.Nanosecond)
		w.receive(control(d + 1))
	}
	w.next()
	var e bfdwatch.Event
	if n := testing.AllocsPerRun(200, func() { w.dog.Next(&e) }); n != 0 {
		t.Errorf("%v allocations an event", n)
	}
}

func TestArmRefuses(t *testing.T) {
	w := newWatched(t)
	if w == nil {
		return
	}
	for _, c := range []struct {
		session bfdwatch.Session
		want    string
	}{
		{bfdwatch.Session{Peer: peer}, "detect time 0s is not allowed: above 0 and up to 1h0m0s"},
		{bfdwatch.Session{Peer: peer, Detect: 2 * time.Hour}, "detect time 2h0m0s is not allowed: above 0 and up to 1h0m0s"},
		{bfdwatch.Session{Peer: netip.MustParseAddr("192.0.2.1"), Detect: 1}, "peer 192.0.2.1 is not allowed: an IPv6 address"},
		{bfdwatch.Session{Detect: 1}, "peer invalid IP is not allowed: an IPv6 address"},
	} {
		_, err := w.dog.Arm(c.session)
		if want := "watching BFD session 0: " + c.want; fmt.Sprint(err) != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// Files that another process sends may be anything.
func TestOtherMapsAreRefused(t *testing.T) {
	needRoot(t)
	h, err := Open(Options{Watchdog: true, Dir: t.TempDir() + "/none"})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	maps := func() (sessions, events, file *os.File) {
		sessions, events, err := h.Watchdog()
		if err != nil {
			t.Fatal(err)
		}
		if file, err = os.Open(os.DevNull); err != nil {
			t.Fatal(err)
		}
		return sessions, events, file
	}
	sessions, events, file := maps()
	if _, err := bfdwatch.New(sessions, file); err == nil || !strings.Contains(err.Error(), "looking at the BPF map") {
		t.Errorf("a file that is no map: %v", err)
	}
	if err := errors.Join(sessions.Close(), file.Close()); !errors.Is(err, os.ErrClosed) {
		t.Errorf("what was refused is open still: %v", err)
	}
	sessions, other, file := maps()
	if _, err := bfdwatch.New(events, sessions); err == nil || !strings.Contains(err.Error(), "is not allowed: {1 0 8 40 64}") {
		t.Errorf("one in the other's place: %v", err)
	}
	if err := errors.Join(other.Close(), file.Close()); err != nil {
		t.Error(err)
	}
}

// BenchmarkWatchdog measures how long after the detect time of 30 ms the kernel's timer goes off, and then how long until
// this process has read the event.
func BenchmarkWatchdog(b *testing.B) {
	const detect = 30 * time.Millisecond
	w := newWatched(b)
	if w == nil {
		return
	}
	w.arm(1, detect)
	w.receive(control(1))
	var late, read time.Duration
	for b.Loop() {
		w.receive(control(1))
		e := w.next()
		var now unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
			b.Fatal(err)
		}
		late += time.Duration(e.Expired-e.Last) - detect
		read += time.Duration(uint64(now.Nano()) - e.Expired)
	}
	b.ReportMetric(float64(late.Microseconds())/float64(b.N), "µs-late/op")
	b.ReportMetric(float64(read.Microseconds())/float64(b.N), "µs-to-read/op")
}
