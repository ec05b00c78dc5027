package worker

import (
	"errors"
	"log/slog"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestNoDescriptorForAClient: who cannot be let in is not asked about again at
// once. The loop has the processor before everybody else, and would keep it.
func TestNoDescriptorForAClient(t *testing.T) {
	path := t.TempDir() + "/bfd.sock"
	listener, err := listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	w, err := newWorker(Config{Orphan: time.Hour, Log: slog.New(slog.DiscardHandler)}, Status{})
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(w.epoll)
	defer unix.Close(w.timer)
	w.control.listener = int(listener.Fd())
	if err := errors.Join(unix.SetNonblock(w.control.listener, true), w.register(w.control.listener, unix.EPOLLIN, w.accept)); err != nil {
		t.Fatal(err)
	}
	conn, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()

	restore := withoutDescriptors(t)
	began := time.Now()
	turnOf(t, w) // in which it finds the client
	turnOf(t, w) // and nothing
	if took := time.Since(began); took < deafTime {
		t.Errorf("it looked again after %v, want %v", took, deafTime)
	}
	restore()
	for w.alone() {
		turnOf(t, w)
		if time.Since(began) > time.Minute {
			t.Fatal("there are descriptors again, and the client is not let in")
		}
	}
	if n, err := conn.Read(make([]byte, maxMessage)); n == 0 {
		t.Errorf("no hello: %d bytes, %v", n, err)
	}
	unix.Close(w.control.client)
}

// withoutDescriptors has the process open nothing more. No other test runs: those
// that are parallel wait for this one.
func withoutDescriptors(t *testing.T) (restore func()) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 0, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	restore = func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(restore)
	return restore
}

func turnOf(t *testing.T, w *worker) {
	t.Helper()
	next, _ := w.turn(monotonic())
	if err := w.wait(next); err != nil {
		t.Fatal(err)
	}
}
