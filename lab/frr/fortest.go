package frr

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"lastmile/lab/netns"
)

// ForTest starts a router for a test, with a directory of its own if cfg names
// none, and stops it at the end. Its bfdd goes before other programs, as BFD does
// on a switch: on a busy machine it would find sessions dead for which it had no
// time itself.
func ForTest(t testing.TB, cfg Config) *Router {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = netns.DirForTest(t, "frr")
	}
	r, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Stop(); err != nil {
			t.Error(err)
		}
	})
	for _, d := range r.daemons {
		if d.name != "bfdd" {
			continue
		}
		if err := realTime(d.cmd.Process.Pid); err != nil {
			t.Log("bfdd is as late as other programs:", err)
		}
	}
	return r
}

// realTime puts all threads of a process before those that are not real-time.
func realTime(pid int) error {
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return err
	}
	for _, thread := range threads {
		tid, err := strconv.Atoi(thread.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetAttr(tid, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}, 0); err != nil {
			return fmt.Errorf("setting SCHED_FIFO of thread %d: %w", tid, err)
		}
	}
	return nil
}
