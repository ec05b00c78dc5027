package worker_test

import (
	"os"
	"os/exec"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"lastmile/hostagent/bfd/worker"
)

// TestMoverWithoutItsWorker: one whose worker has ended before it looks moves
// nobody. Its parent is another process then, such as pid 1: here it is the test.
func TestMoverWithoutItsWorker(t *testing.T) {
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		worker int  // whose mover it is to be
		alive  bool // the pipe that its end would close
	}{
		"its parent is another":     {dead.Process.Pid, true},
		"its worker ends meanwhile": {os.Getpid(), false},
	} {
		t.Run(name, func(t *testing.T) {
			before := processors(t, os.Getpid())
			if err := runMover(t, test.worker, test.alive); err != nil {
				t.Error(err)
			}
			if after := processors(t, os.Getpid()); after != before {
				t.Errorf("its parent may run on %v, want %v", after, before)
			}
		})
	}
}

// runMover runs a mover that is a child of the test, until it ends.
func runMover(t *testing.T, pid int, alive bool) error {
	t.Helper()
	timer, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	timerFile := os.NewFile(uintptr(timer), "timer")
	defer timerFile.Close()
	moved, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	movedFile := os.NewFile(uintptr(moved), "moved")
	defer movedFile.Close()
	in, ofWorker, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer ofWorker.Close()
	if !alive {
		ofWorker.Close()
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", worker.Command)
	cmd.Env = []string{"LASTMILE_BFD_MOVER=" + strconv.Itoa(pid), "GOMAXPROCS=1"}
	cmd.Stdin, cmd.Stderr, cmd.ExtraFiles = in, os.Stderr, []*os.File{timerFile, movedFile}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	eventually(t, "an end of the mover", func() bool { return len(ended) == 1 })
	return <-ended
}

// TestMoverIsReported: whether there is one is told with every session.
func TestMoverIsReported(t *testing.T) {
	server, leaf := aPair(t, settings{wrap: []string{"setpriv", "--bounding-set", "-sys_nice"}})
	if s := server.session(); s.Mover != worker.MoverNotFIFO {
		t.Errorf("without the privilege: %v", s.Mover)
	}
	pid, _, has := moved(t, leaf)
	if !has {
		if s := leaf.session(); s.Mover != worker.MoverOneProcessor {
			t.Errorf("with one processor: %v", s.Mover)
		}
		return
	}
	if s := leaf.session(); s.Mover != worker.MoverRuns {
		t.Errorf("with a mover: %v", s.Mover)
	}
	for _, mover := range movers(t, pid) {
		if err := unix.Kill(mover, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "a report that it has ended", func() bool { return leaf.session().Mover == worker.MoverLost })
}
