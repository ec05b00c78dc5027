package worker_test

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lastmile/hostagent/bfd"
	"lastmile/hostagent/bfd/worker"
)

// TestDirectoryGoesWhileTheWorkerLeaves, as systemd removes it when hostagent is
// stopped: the next worker waits for the one before it, which leaves it its socket.
func TestDirectoryGoesWhileTheWorkerLeaves(t *testing.T) {
	t.Parallel()
	c := newCable(t)
	startBIRD(t, c, "interval 100 ms; multiplier 10;")
	dir := filepath.Join(t.TempDir(), "run")
	socket := filepath.Join(dir, "bfd.sock")
	w := worker.Watch{Peer: c.peer(), Timers: timers(100 * time.Millisecond)}
	a := startAgent(t, c.server, settings{Socket: socket})
	a.watch(w)
	before := a.await(bfd.Up)
	pid := a.running().PID
	a.stop()
	if err := syscall.Kill(pid, 0); err != nil {
		t.Fatalf("the worker does not stay to say AdminDown: %v", err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}

	b := startAgent(t, c.server, settings{Socket: socket})
	b.watch(w)
	if s := b.await(bfd.Up); s.Discriminator == before.Discriminator {
		t.Error("the old session, from a socket that is gone")
	}
	eventually(t, "the end of the first worker", func() bool {
		_, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
		return os.IsNotExist(err)
	})
	for _, n := range b.told() {
		if n.Refusal != "" {
			t.Errorf("the two workers ran at the same time: %s", n.Refusal)
		}
	}
	if _, err := os.Stat(socket); err != nil {
		t.Errorf("the worker that ended took the socket of the next one: %v", err)
	}
	b.kill()
	if s := startAgent(t, c.server, settings{Socket: socket}).running(); !s.Adopted {
		t.Errorf("%+v, want the worker of the hostagent that was killed", s)
	}
}

// TestForeignSocketIsLeft: a worker removes its own socket, not what is there now.
func TestForeignSocketIsLeft(t *testing.T) {
	t.Parallel()
	c := newCable(t)
	socket := socketPath(t)
	a := startAgent(t, c.server, settings{Socket: socket})
	pid := a.running().PID
	other, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(other)
	// First beside it, so that it cannot get the number of the one that goes.
	if err := unix.Bind(other, &unix.SockaddrUnix{Name: socket + ".new"}); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(socket+".new", socket); err != nil {
		t.Fatal(err)
	}
	a.stop()
	eventually(t, "the end of the worker", func() bool {
		_, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
		return os.IsNotExist(err)
	})
	if _, err := os.Stat(socket); err != nil {
		t.Errorf("it removed another one's socket: %v", err)
	}
}
