package worker_test

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lastmile/hostagent/bfd"
	"lastmile/hostagent/bfd/worker"
)

// movers returns the children of a worker.
func movers(t *testing.T, pid int) (all []int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		// A process that has ended and is not reaped is none.
		var child, parent int
		var state string
		before, after, _ := strings.Cut(string(text), ") ")
		if _, err := fmt.Sscan(after, &state, &parent); err == nil && parent == pid && state != "Z" {
			if _, err := fmt.Sscan(before, &child); err != nil {
				t.Fatal(err)
			}
			all = append(all, child)
		}
	}
	return all
}

// processors returns those that a process may use.
func processors(t *testing.T, pid int) (set unix.CPUSet) {
	t.Helper()
	if err := unix.SchedGetaffinity(pid, &set); err != nil {
		t.Fatal(err)
	}
	return set
}

func first(set unix.CPUSet) (n int) {
	for !set.IsSet(n) {
		n++
	}
	return n
}

// aPair is a server and a leaf whose session is up. They wait for half a second.
func aPair(t *testing.T, ofServer settings) (server, leaf *agent) {
	t.Helper()
	const interval = 100 * time.Millisecond
	c := newCable(t)
	server, leaf = startAgent(t, c.server, ofServer), startAgent(t, c.leaf, settings{})
	server.watch(worker.Watch{Peer: netip.MustParseAddr("fe80::1%eth0"), Timers: timersOf(interval, 5)})
	leaf.watch(worker.Watch{Peer: netip.MustParseAddr("fe80::a%swp1"), Timers: timersOf(interval, 5)})
	for _, end := range []*agent{server, leaf} {
		eventually(t, "a session with its timers", func() bool {
			s := end.session()
			return s.State == bfd.Up && s.TransmitInterval == interval && s.DetectTime == 5*interval
		})
	}
	return server, leaf
}

// moved waits until a worker has a mover and a processor, and returns these. On a
// machine with one processor there is no mover.
func moved(t *testing.T, end *agent) (pid, processor int, has bool) {
	t.Helper()
	pid = end.running().PID
	if set := processors(t, os.Getpid()); set.Count() < 2 {
		if all := movers(t, pid); len(all) > 0 {
			t.Errorf("movers %v on a machine with one processor", all)
		}
		return pid, 0, false
	}
	eventually(t, "a worker that was moved", func() bool { set := processors(t, pid); return set.Count() == 1 })
	return pid, first(processors(t, pid)), true
}

// TestMover takes the worker's processor away for longer than its detection time,
// by a process of a higher priority, and it is elsewhere at once.
func TestMover(t *testing.T) {
	server, leaf := aPair(t, settings{})
	pid, before, has := moved(t, server)
	if !has {
		return
	}
	if all := movers(t, pid); len(all) != 1 {
		t.Fatalf("movers %v, want one", all)
	}
	hog := exec.Command("prlimit", "--rttime=2000000:2000000", // it ends by itself, whatever becomes of us
		"taskset", "-c", fmt.Sprint(before), "chrt", "-f", "60", "sh", "-c", "while :; do :; done")
	if err := hog.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a worker on another processor", func() bool { return first(processors(t, pid)) != before })
	time.Sleep(900 * time.Millisecond)
	if err := hog.Process.Kill(); err != nil {
		t.Error(err)
	}
	hog.Wait()
	for _, end := range []*agent{server, leaf} {
		if s := end.session(); s.State != bfd.Up || s.Ups != 1 || s.Failures != 0 {
			t.Errorf("%s is %v: %+v", s.Peer, s.State, s.Counters)
		}
	}
	if s := server.session(); s.Moves == 0 {
		t.Errorf("no move was counted: %+v", s)
	}
}

// TestMoverKeepsNobodyAlive: a worker that hangs is dead to its leaf, and is not
// brought back by it.
func TestMoverKeepsNobodyAlive(t *testing.T) {
	server, leaf := aPair(t, settings{})
	pid, _, _ := moved(t, server)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	s := leaf.await(bfd.Down)
	if s.Change.Cause != bfd.Expired || s.Expired != 1 || s.Failures != 1 {
		t.Errorf("the leaf saw %+v: %+v", s.Change, s.Counters)
	}
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	server.await(bfd.Up)
}

// TestWorkerWithoutItsMover goes on, and wherever the kernel has it.
func TestWorkerWithoutItsMover(t *testing.T) {
	server, _ := aPair(t, settings{})
	pid, _, has := moved(t, server)
	if !has {
		return
	}
	before := server.session()
	for _, mover := range movers(t, pid) {
		if err := syscall.Kill(mover, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "a worker that may be anywhere", func() bool { return processors(t, pid) == processors(t, os.Getpid()) })
	eventually(t, "packets", func() bool { return server.session().Received > before.Received+5 })
	if !strings.Contains(server.stderr.String(), "has lost its mover") {
		t.Errorf("it does not say so:\n%s", server.stderr)
	}
}

// TestMoverEndsWithItsWorker, however that ends.
func TestMoverEndsWithItsWorker(t *testing.T) {
	server, _ := aPair(t, settings{})
	pid, _, has := moved(t, server)
	if !has {
		return
	}
	all := movers(t, pid)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for _, mover := range all {
		eventually(t, "an end of the mover", func() bool {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", mover))
			return err != nil || strings.Contains(string(text), ") Z ")
		})
	}
}

// TestNoMoverWithoutThePrivilege: the kernel moves ordinary threads by itself.
func TestNoMoverWithoutThePrivilege(t *testing.T) {
	server, _ := aPair(t, settings{wrap: []string{"setpriv", "--bounding-set", "-sys_nice"}})
	pid := server.running().PID
	if all := movers(t, pid); len(all) > 0 {
		t.Errorf("movers %v", all)
	}
	if got, want := processors(t, pid), processors(t, os.Getpid()); got != want {
		t.Errorf("it may be on %v, want %v", got, want)
	}
}
