package worker

import (
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMoverInASmallerCPUSet stays where it is, if there is nothing else any more,
// and goes where it may if the worker was there last. A processor that does not
// exist stands for one that a cpuset has taken away: the kernel refuses both.
func TestMoverInASmallerCPUSet(t *testing.T) {
	const gone = 1000
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		t.Fatal(err)
	}
	var left []int
	for n := 0; len(left) < min(all.Count(), 2); n++ {
		if all.IsSet(n) {
			left = append(left, n)
		}
	}
	idle := someProcess(t)
	us, err := openThreads(idle)
	if err != nil {
		t.Fatal(err)
	}
	m := mover{us: us, last: -1}
	m.processors.Set(left[0])
	m.processors.Set(gone)
	if err := m.leave(left[0]); err != nil {
		t.Errorf("with one processor left: %v", err)
	}
	if len(left) < 2 {
		return
	}
	m.processors.Set(left[1])
	m.last = left[1]
	if err := m.leave(left[0]); err != nil {
		t.Errorf("with two processors left: %v", err)
	}
	var want, got unix.CPUSet
	want.Set(left[1])
	if err := unix.SchedGetaffinity(idle, &got); err != nil || got != want {
		t.Errorf("it may be on %v (%v), want %v", got, err, want)
	}
}

// someProcess does nothing until the test ends.
func someProcess(t *testing.T) (pid int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() }) // killed with the test's context
	return cmd.Process.Pid
}
