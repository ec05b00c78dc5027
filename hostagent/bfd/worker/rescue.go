package worker

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"lastmile/hostagent/bfd"
)

// Mover says whether the worker has its mover.
type Mover uint8

// All but MoverRuns mean that a worker that is late stays where it is.
const (
	MoverFailed       Mover = iota // it could not be started; the log says why
	MoverRuns                      // it is there
	MoverNotFIFO                   // the kernel moves ordinary threads by itself
	MoverOneProcessor              // there is nowhere to go
	MoverLost                      // it has ended before the worker
)

// String is the word for metrics and people: running, or why there is none.
func (m Mover) String() string {
	reasons := [...]string{"not started", "running", "scheduling is not fifo", "one processor", "ended"}
	if int(m) >= len(reasons) {
		return "unknown"
	}
	return reasons[m]
}

// rescue is what the worker has of its mover.
type rescue struct {
	timer, moved int             // descriptors: fdRescue and fdMoved of the mover; -1 without one
	at           time.Duration   // from when on the worker is late; 0: nothing is due
	keep         []io.Closer     // the files of these, and what the mover watches us by
	processors   unix.CPUSet     // that the worker may use
	its          unix.ItimerSpec // to set timer
	mover        atomic.Uint32   // a Mover
}

// startMover starts a mover if one can help: only a real-time thread waits where
// it is, and it needs somewhere else to go.
func (w *worker) startMover() error {
	r := &w.rescue
	if err := unix.SchedGetaffinity(0, &r.processors); err != nil {
		return fmt.Errorf("asking for the processors: %w", err)
	}
	switch {
	case w.status.Scheduling != FIFO:
		r.mover.Store(uint32(MoverNotFIFO))
		return nil
	case r.processors.Count() < 2:
		r.mover.Store(uint32(MoverOneProcessor))
		return nil
	}
	timer, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("making a timer: %w", err)
	}
	timerFile := os.NewFile(uintptr(timer), "timer")
	moved, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return errors.Join(fmt.Errorf("making an eventfd: %w", err), timerFile.Close())
	}
	movedFile := os.NewFile(uintptr(moved), "moved")
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), moverEnv+"="+strconv.Itoa(os.Getpid()))
	cmd.ExtraFiles = []*os.File{timerFile, movedFile}
	cmd.Stderr = os.Stderr
	alive, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("starting it: %w", err), timerFile.Close(), movedFile.Close())
	}
	r.mover.Store(uint32(MoverRuns))
	go w.withoutMover(cmd)
	if err := w.register(moved, unix.EPOLLIN, w.noteMove); err != nil {
		return errors.Join(err, alive.Close(), timerFile.Close(), movedFile.Close())
	}
	r.timer, r.moved, r.keep = timer, moved, []io.Closer{timerFile, movedFile, alive}
	return nil
}

// withoutMover waits for the mover's end, which is not before ours. If it is, at
// least the kernel may move us again.
func (w *worker) withoutMover(cmd *exec.Cmd) {
	err := cmd.Wait()
	w.rescue.mover.Store(uint32(MoverLost))
	w.log.Error("BFD worker has lost its mover, and waits for whoever holds its processor", "err", err)
	threads, err := openThreads(os.Getpid())
	if err == nil {
		err = threads.moveTo(&w.rescue.processors)
	}
	if err != nil {
		w.log.Error("BFD worker stays on one processor", "err", err)
	}
}

// noteMove counts that the mover has moved us.
func (w *worker) noteMove() {
	var n uint64
	if _, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(w.rescue.moved), uintptr(unsafe.Pointer(&n)), 8); errno == 0 {
		w.moves += n
	}
}

// expectLate notes when a session will be late that is due then: by what noteLateness
// calls late, from when the loop could look.
func (r *rescue) expectLate(s *session, due, now time.Duration) {
	margin := s.machine.TransmitInterval() / 4
	if due == bfd.Never || margin == 0 {
		return
	}
	if at := max(due, now) + margin; r.at == 0 || at < r.at {
		r.at = at
	}
}

// arm has the mover woken when the worker is late.
func (r *rescue) arm() error {
	if r.timer < 0 {
		return nil
	}
	r.its.Value = unix.NsecToTimespec(int64(r.at)) // 0 disarms
	_, _, errno := unix.RawSyscall6(unix.SYS_TIMERFD_SETTIME, uintptr(r.timer), unix.TFD_TIMER_ABSTIME,
		uintptr(unsafe.Pointer(&r.its)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("setting the timer of the mover: %w", errno)
	}
	return nil
}

// threads are those of a process: its directory in /proc.
type threads struct {
	dir   int
	names [8192]byte // some 300 threads
}

func openThreads(pid int) (*threads, error) {
	path := "/proc/" + strconv.Itoa(pid) + "/task"
	dir, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	return &threads{dir: dir}, nil
}

// moveTo has them be on some processors. Those that wait for another one go at
// once: the kernel does not ask that one.
func (t *threads) moveTo(processors *unix.CPUSet) error {
	if _, _, errno := unix.RawSyscall(unix.SYS_LSEEK, uintptr(t.dir), 0, 0); errno != 0 {
		return fmt.Errorf("listing threads: %w", errno)
	}
	n, _, errno := unix.RawSyscall(unix.SYS_GETDENTS64, uintptr(t.dir), uintptr(unsafe.Pointer(&t.names[0])), uintptr(len(t.names)))
	if errno != 0 {
		return fmt.Errorf("listing threads: %w", errno)
	}
	_, _, names := unix.ParseDirent(t.names[:n], -1, nil)
	for _, name := range names {
		id, err := strconv.Atoi(name)
		if err != nil {
			return fmt.Errorf("listing threads: %w", err)
		}
		if err := unix.SchedSetaffinity(id, processors); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("moving thread %d: %w", id, err)
		}
	}
	return nil
}
