package worker_test

import (
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"lastmile/hostagent/bfd"
	"lastmile/hostagent/bfd/worker"
)

// TestHungWorkerIsReplaced: a hostagent that finds a worker which is there and says
// nothing has another one in its place.
func TestHungWorkerIsReplaced(t *testing.T) {
	t.Parallel()
	c := newCable(t)
	startBIRD(t, c, "interval 100 ms; multiplier 10;")
	socket := socketPath(t)
	w := worker.Watch{Peer: c.peer(), Timers: timers(100 * time.Millisecond)}
	a := startAgent(t, c.server, settings{Socket: socket})
	a.watch(w)
	a.await(bfd.Up)
	pid := a.running().PID
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	a.kill()
	b := startAgent(t, c.server, settings{Socket: socket})
	b.watch(w)
	for deadline := time.Now().Add(patience); !strings.Contains(b.stderr.String(), "BFD worker hangs, and is killed"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline.Add(patience)) { // it waits for an answer for almost as long
			t.Fatal("the hung worker is not killed")
		}
	}
	b.await(bfd.Up)
	if s := b.running(); s.Adopted || s.PID == pid {
		t.Errorf("%+v, want another worker than %d", s, pid)
	}
}

// TestOnlyTheWorkerIsKilled: whoever else has the socket is left alone.
func TestOnlyTheWorkerIsKilled(t *testing.T) {
	t.Parallel()
	socket := socketPath(t)
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: socket, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if pid, err := worker.KillWorker(socket); err == nil || !strings.Contains(err.Error(), "not known to be the BFD worker") {
		t.Errorf("killed process %d (%v)", pid, err)
	}

	// A worker it is, of another socket, which somebody has linked to here.
	c, own, other := newCable(t), socketPath(t), socketPath(t)
	a := startAgent(t, c.server, settings{Socket: own})
	pid := a.running().PID
	if err := os.Symlink(own, other); err != nil {
		t.Fatal(err)
	}
	err = c.server.Do(func() error { _, err := worker.KillWorker(other); return err })
	if err == nil || !strings.Contains(err.Error(), "not known to be the BFD worker") {
		t.Errorf("killed the worker of another socket (%v)", err)
	}
	if s := a.running(); s.PID != pid || s.Restarts > 0 {
		t.Errorf("%+v, want worker %d", s, pid)
	}
}
