package worker_test

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"lastmile/hostagent/bfd"
	"lastmile/hostagent/bfd/worker"
)

// TestHungWorkerIsReplaced: a worker that is there and says nothing has another one in its place, of the hostagent that it
// has served and of the next one.
func TestHungWorkerIsReplaced(t *testing.T) {
	for name, restart := range map[string]bool{"it hangs while hostagent runs": false, "hostagent finds it so": true} {
		t.Run(name, func(t *testing.T) {
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
			if restart {
				a.kill()
				a = startAgent(t, c.server, settings{Socket: socket})
				a.watch(w)
			}
			// It waits for answers for 20 s, and when it was served for up to 15 s before.
			for deadline := time.Now().Add(3 * patience); !strings.Contains(a.stderr.String(), "BFD worker hangs, and is killed"); time.Sleep(50 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("the hung worker is not killed")
				}
			}
			a.await(bfd.Up)
			if s := a.running(); s.Adopted || s.PID == pid {
				t.Errorf("%+v, want another worker than %d", s, pid)
			}
		})
	}
}

// TestOnlyTheWorkerIsKilled: nobody is who is not a worker, or one of another socket,
// or of another network namespace, be it in one respect only.
func TestOnlyTheWorkerIsKilled(t *testing.T) {
	t.Parallel()
	c, socket, other := newCable(t), socketPath(t), socketPath(t)
	a := startAgent(t, c.server, settings{Socket: socket})
	pid := a.running().PID
	otherwise := exec.Command("sh", "-c", "read line", "sh", "--socket", socket, "end") // named as a worker is not
	in, err := otherwise.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.server.Start(otherwise); err != nil {
		t.Fatal(err)
	}
	kill := func(pid int, socket string) error { return worker.KillWorker(uint32(pid), socket) }
	here := func(pid int, socket string) (err error) {
		return c.server.Do(func() error { return kill(pid, socket) })
	}
	for name, err := range map[string]error{
		"another program":   here(otherwise.Process.Pid, socket),
		"another socket":    here(pid, other),
		"another namespace": kill(pid, socket),
		"ourselves":         here(os.Getpid(), socket),
	} {
		if err == nil || !strings.Contains(err.Error(), "is left alone") {
			t.Errorf("%s: killed (%v)", name, err)
		}
	}
	in.Close()
	if err := otherwise.Wait(); otherwise.ProcessState.ExitCode() != 1 { // the end of its input
		t.Errorf("another program ended otherwise: %v", err)
	}
	if s := a.running(); s.PID != pid || s.Restarts > 0 {
		t.Errorf("%+v, want worker %d", s, pid)
	}
	if err := here(pid, socket); err != nil {
		t.Errorf("the worker itself: %v", err)
	}
	eventually(t, "a worker in its place", func() bool { return a.status().Restarts == 1 })
}
