package worker

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// moverEnv tells a process that was to be a worker that it is the mover of the
// worker with this process ID.
const moverEnv = "LASTMILE_BFD_MOVER"

// What the mover finds open when it starts, after the standard three, of which the
// first ends when the worker has.
const (
	fdRescue = 3 // the timer that fires when the worker is late
	fdMoved  = 4 // an eventfd
)

// mover is a process beside the worker, on another processor, that has the
// worker come there when it is late.
//
// A thread that is woken waits for the processor on which it ran last, whatever
// its priority: a kernel without preemption lets an ordinary process go on there
// until its system call is over, up to 30 ms, and moves a real-time thread only
// out of the way of another one. So the worker sets a second timer, a little later
// than its own. It is put off at each turn, and fires only if there was none.
//
// The mover sends nothing and knows of no session. A worker that hangs stays
// silent, as BFD demands. It is no thread of the worker since that would need a
// second place in the Go scheduler; see wait.
type mover struct {
	us, worker *threads
	processors unix.CPUSet // that we may use
	last       int         // where the worker was; -1: anywhere
}

func runMover(log *slog.Logger) error {
	settle() // it is scheduled and locked as the worker is, or there was none
	m := mover{last: -1}
	var err error
	if m.us, err = openThreads(os.Getpid()); err != nil {
		return err
	}
	if m.worker, err = theWorker(); m.worker == nil {
		return err
	}
	if err := unix.SchedGetaffinity(0, &m.processors); err != nil {
		return fmt.Errorf("asking for the processors: %w", err)
	}
	if err := unix.SetNonblock(fdRescue, true); err != nil {
		return fmt.Errorf("setting up the timer: %w", err)
	}
	takeName(log, "bfd-mover")
	if ended, err := m.await(&unix.Timespec{}); ended || err != nil {
		return err
	}
	if err := m.part(); err != nil {
		return err
	}
	return m.loop()
}

// theWorker opens the worker that started us, nil if it has ended. Then our parent is
// another process, such as pid 1, and is not to be moved. Opened before our parent is
// asked for, it cannot be another one with the same number.
func theWorker() (*threads, error) {
	pid, err := strconv.Atoi(os.Getenv(moverEnv))
	if err != nil {
		return nil, fmt.Errorf("the worker's process ID in %s: %w", moverEnv, err)
	}
	worker, err := openThreads(pid)
	if os.Getppid() != pid {
		return nil, nil
	}
	return worker, err
}

// loop makes no system call but raw ones, for the reasons of wait.
func (m *mover) loop() error {
	for {
		if ended, err := m.await(nil); ended || err != nil {
			return err
		}
		var times uint64
		if _, _, errno := unix.RawSyscall(unix.SYS_READ, fdRescue, uintptr(unsafe.Pointer(&times)), 8); errno != 0 {
			continue // it was faster than we
		}
		if err := m.part(); err != nil {
			return err
		}
	}
}

// await waits until the worker is late, and says whether it has ended.
func (m *mover) await(atMost *unix.Timespec) (ended bool, err error) {
	fds := [...]unix.PollFd{{Fd: 0}, {Fd: fdRescue, Events: unix.POLLIN}}
	_, _, errno := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&fds[0])), uintptr(len(fds)),
		uintptr(unsafe.Pointer(atMost)), 0, 0, 0)
	if errno != 0 && errno != unix.EINTR {
		return false, fmt.Errorf("waiting for the worker: %w", errno)
	}
	return fds[0].Revents != 0, nil
}

// part has the worker be where we are, and goes elsewhere.
func (m *mover) part() error {
	var here uint32
	if _, _, errno := unix.RawSyscall(unix.SYS_GETCPU, uintptr(unsafe.Pointer(&here)), 0, 0); errno != 0 {
		return fmt.Errorf("asking for our processor: %w", errno)
	}
	var one unix.CPUSet
	one.Set(int(here))
	// All of its threads: any may have what the loop waits for.
	// Refused if a cpuset has taken our processor away since we asked: the next time, then.
	if err := m.worker.moveTo(&one); err != nil && !errors.Is(err, unix.EINVAL) {
		return err
	}
	if err := m.wake(); err != nil {
		return err
	}
	return m.leave(int(here))
}

// leave goes to a processor where neither the worker is nor was, or at least where
// it is not. If there is none, for a cpuset may be smaller now than when we came, we
// stay: the next time there may be one.
func (m *mover) leave(here int) error {
	others := m.processors
	others.Clear(here)
	best := others
	if m.last >= 0 {
		best.Clear(m.last)
	}
	m.last = here
	err := m.us.moveTo(&best)
	if errors.Is(err, unix.EINVAL) {
		err = m.us.moveTo(&others)
	}
	if errors.Is(err, unix.EINVAL) {
		return nil
	}
	return err
}

// wake wakes the worker, should it sleep: its own timer belongs to the processor
// that it was on, and may not fire there.
func (m *mover) wake() error {
	if m.last < 0 {
		return nil // the first time it is not late
	}
	one := uint64(1)
	if _, _, errno := unix.RawSyscall(unix.SYS_WRITE, fdMoved, uintptr(unsafe.Pointer(&one)), 8); errno != 0 {
		return fmt.Errorf("waking the worker: %w", errno)
	}
	return nil
}
