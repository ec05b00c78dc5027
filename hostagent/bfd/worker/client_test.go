package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lastmile/hostagent/bfd"
)

func config(t *testing.T) Config {
	return Config{
		Socket: filepath.Join(t.TempDir(), "bfd.sock"),
		Orphan: 10 * time.Second, Claim: time.Second,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
}

// run runs a client to the end of the test.
func run(t *testing.T, c *Client) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("there is not: %s", what)
		}
	}
}

func TestWorkerOfAnotherReleaseIsReplaced(t *testing.T) {
	cfg := config(t)
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: cfg.Socket, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- oldRelease(l) }()
	c := New(cfg)
	stop := run(t, c)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	until(t, "a worker of ours", func() bool { return c.Status().Running })
	if s := c.Status(); s.Adopted {
		t.Errorf("%+v", s)
	}
	stop()
	if _, err := os.Stat(cfg.Socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
	if _, ok := <-c.News(); ok {
		t.Error("the news go on after Run")
	}
}

// oldRelease says hello in another protocol, and ends when it is told to.
func oldRelease(l *net.UnixListener) error {
	defer l.Close()
	conn, err := l.AcceptUnix()
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Write(encode(nil, &hello{Kind: kindHello, Version: protocol + 1, PID: 1})); err != nil {
		return err
	}
	b := make([]byte, maxMessage)
	n, err := conn.Read(b)
	if err != nil {
		return err
	}
	if n != 1 || kind(b[0]) != kindStop {
		return errors.New("it was not told to stop")
	}
	return nil
}

func TestSomethingElseAtTheSocket(t *testing.T) {
	cfg := config(t)
	if err := os.WriteFile(cfg.Socket, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := New(cfg)
	run(t, c)
	until(t, "a reason", func() bool { return c.Status().Err != nil })
	if _, err := c.Sessions(t.Context()); !errors.Is(err, ErrNoWorker) {
		t.Errorf("sessions without a worker: %v", err)
	}
	if text, err := os.ReadFile(cfg.Socket); string(text) != "mine" {
		t.Errorf("the file that was there: %q, %v", text, err)
	}
}

func TestWorkerThatDoesNotStart(t *testing.T) {
	cfg := config(t)
	cfg.Program = []string{"/bin/false"}
	c := New(cfg)
	run(t, c)
	until(t, "a reason", func() bool { return c.Status().Err != nil })
	if s := c.Status(); s.Running || s.Restarts != 0 {
		t.Errorf("%+v", s)
	}
}

// openFiles is how many a process has open.
func openFiles(t *testing.T, pid int) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// TestDescriptors: an order that brings descriptors is answered, and leaves none
// behind in a worker that has no use for them.
func TestDescriptors(t *testing.T) {
	cfg := config(t)
	cfg.Program = []string{"/proc/self/exe", Command}
	if err := start(cfg); err != nil {
		t.Fatal(err)
	}
	conn, h, err := dial(t.Context(), cfg.Socket)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	before := openFiles(t, int(h.PID))
	for _, test := range []struct {
		kind    kind
		rights  []int
		refused bool
	}{
		{kindWatchdog, []int{0, 1, 2}, true},
		{kindWatchdog, []int{0}, true},
		{kindWatchdog, []int{0, 1}, true}, // are no maps
		{kindWatchdog, []int{int(file.Fd()), int(file.Fd())}, true},
		{kindWatchdog, nil, false},
		{kindUnwatch, []int{0, 1}, true}, // is too short
		{kind(99), []int{0, 1}, true},
	} {
		b := encode(nil, &order{test.kind, 77})
		if _, _, err := conn.WriteMsgUnix(b, unix.UnixRights(test.rights...), nil); err != nil {
			t.Fatal(err)
		}
		b = make([]byte, maxMessage)
		n, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		var a answer
		if err := decode(b[:n], &a); err != nil || a.ID != 77 || (a.Refusal != (text{})) != test.refused {
			t.Errorf("%+v: answer %+v (%v)", test, a, err)
		}
	}
	if after := openFiles(t, int(h.PID)); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	if err := New(cfg).end(conn); err != nil {
		t.Error(err)
	}
}

func TestStartWhileOneIsThere(t *testing.T) {
	cfg := config(t)
	cfg.Program = []string{"/proc/self/exe", Command}
	if err := start(cfg); err != nil {
		t.Fatal(err)
	}
	if err := start(cfg); !errors.Is(err, errLocked) {
		t.Errorf("starting a second worker: %v", err)
	}
	conn, _, err := dial(t.Context(), cfg.Socket)
	if err != nil {
		t.Fatal(err)
	}
	if err := New(cfg).end(conn); err != nil {
		t.Error(err)
	}
	// Nobody is left at the other end.
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("reading from a connection that was ended: %v", err)
	}
}

func TestOutboxKeepsTheLatest(t *testing.T) {
	o := newOutbox()
	a, b := netip.MustParseAddr("fe80::1%a"), netip.MustParseAddr("fe80::1%b")
	put := func(peer netip.Addr, from, to bfd.State) {
		o.put(News{Changed: true, Session: Session{Peer: peer, Known: true, Report: Report{
			Status: bfd.Status{State: to}, Change: bfd.Change{From: from, To: to, Cause: bfd.Expired},
		}}})
	}
	put(a, bfd.Down, bfd.Init)
	put(b, bfd.Down, bfd.Init)
	put(a, bfd.Init, bfd.Up)
	put(a, bfd.Up, bfd.Down)
	put(a, bfd.Down, bfd.Init)
	o.put(News{Session: Session{Peer: b}, Err: errLocked})
	o.put(News{Session: Session{Peer: a}}) // lost
	var got []string
	for n, ok := o.take(); ok; n, ok = o.take() {
		got = append(got, fmt.Sprint(n.Peer.Zone(), n.Known, n.State, n.PathFailed(), n.Err != nil))
	}
	// Of a's news only the failure and the last are left.
	want := []string{
		fmt.Sprint("b", true, bfd.Init, false, false),
		fmt.Sprint("a", true, bfd.Down, true, false),
		fmt.Sprint("b", false, bfd.AdminDown, false, true),
		fmt.Sprint("a", false, bfd.AdminDown, false, false),
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	put(a, bfd.Init, bfd.Up)
	o.drop(a)
	if n, ok := o.take(); ok {
		t.Errorf("after all was taken or dropped: %+v", n)
	}
}

func TestBackoff(t *testing.T) {
	var b backoff
	var waits []time.Duration
	for range 8 {
		waits = append(waits, b.after(time.Second))
	}
	if waits[0] != minBackoff || waits[1] != 2*minBackoff || waits[7] != maxBackoff {
		t.Errorf("%v", waits)
	}
	if w := b.after(time.Minute); w != minBackoff {
		t.Errorf("%v after a worker that has lived", w)
	}
}
