package worker

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The mover is a second process beside the worker. A real-time thread waits for
// the processor that it ran on last, and a kernel without preemption lets an
// ordinary process keep that one for as long as its system call takes, 30 ms for
// some, while others do nothing that could not wait. The kernel moves a thread
// only past other real-time threads. So the worker sets a second timer a little
// later than its own, which is always put off before it fires, unless the worker
// is late. Then it wakes the mover, which is kept on another processor than the
// worker, and has the worker be there.
//
// It sends nothing and knows of no session: whatever it does, a worker that hangs
// stays silent. It is not a thread of the worker because that would need a second
// place in the Go scheduler; see wait.

// moverEnv tells a process that was to be a worker that it is a mover.
const moverEnv = "LASTMILE_BFD_MOVER"

// What the mover finds open when it starts, after the standard three, of which the
// first is closed when the worker is gone.
const (
	fdRescue = 3 // the timer
	fdMoved  = 4 // an eventfd
)

// rescue is the worker's side of it.
type rescue struct {
	timer int           // -1: there is no mover
	moved int           // an eventfd, that counts
	at    time.Duration // when the worker is late
	alive any           // what the mover watches us by
}

// startMover starts a mover, where one can help.
func (w *worker) startMover() error {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return fmt.Errorf("asking for our processors: %w", err)
	}
	if w.status.Scheduling != FIFO || allowed.Count() < 2 {
		return nil
	}
	timer, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("making a timer: %w", err)
	}
	moved, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		unix.Close(timer)
		return fmt.Errorf("making an eventfd: %w", err)
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), moverEnv+"=1")
	cmd.ExtraFiles = []*os.File{os.NewFile(uintptr(timer), "rescue"), os.NewFile(uintptr(moved), "moved")}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the mover of the BFD worker: %w", err)
	}
	if err := unix.SetNonblock(moved, true); err != nil {
		return err
	}
	w.rescue = rescue{timer: timer, moved: moved, at: 0, alive: []any{in, cmd.ExtraFiles}}
	go func() {
		w.log.Error("mover of the BFD worker has ended: the worker will wait for system calls of others", "err", cmd.Wait())
	}()
	return w.register(moved, unix.EPOLLIN, w.noteMove)
}

func (w *worker) noteMove() {
	var count [8]byte
	_, _ = unix.Read(w.rescue.moved, count[:])
	w.moves++
}

// callForHelp says from when on the worker is late.
func (w *worker) callForHelp() error {
	if w.rescue.timer < 0 {
		return nil
	}
	var its unix.ItimerSpec
	if w.rescue.at > 0 {
		its.Value = unix.NsecToTimespec(int64(w.rescue.at))
	}
	_, _, errno := unix.RawSyscall6(unix.SYS_TIMERFD_SETTIME, uintptr(w.rescue.timer), unix.TFD_TIMER_ABSTIME,
		uintptr(unsafe.Pointer(&its)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("setting the timer: %w", errno)
	}
	return nil
}

// mover is the process.
type mover struct {
	allowed unix.CPUSet // processors
	left    int         // where the worker was, or -1
	us, it  int         // directories of threads
	names   [8192]byte
}

func moverMain() error {
	settle() // as the worker is
	m := mover{left: -1}
	err := unix.SchedGetaffinity(0, &m.allowed)
	if err == nil {
		m.us, err = unix.Open("/proc/self/task", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	}
	if err == nil {
		m.it, err = unix.Open(fmt.Sprintf("/proc/%d/task", os.Getppid()), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	}
	if err == nil {
		err = unix.SetNonblock(fdRescue, true)
	}
	fds := []unix.PollFd{{Fd: 0}, {Fd: fdRescue, Events: unix.POLLIN}}
	for err == nil {
		if err = m.take(); err != nil {
			break
		}
		for ticks := uint64(0); ticks == 0; {
			_, _, errno := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&fds[0])), uintptr(len(fds)), 0, 0, 0, 0)
			if errno != 0 && errno != unix.EINTR {
				return errno
			}
			if fds[0].Revents != 0 {
				return nil
			}
			// Nothing, if the worker was faster.
			_, _, _ = unix.RawSyscall(unix.SYS_READ, fdRescue, uintptr(unsafe.Pointer(&ticks)), 8)
		}
	}
	return err
}

// take has the worker be where we are, and goes elsewhere.
func (m *mover) take() error {
	var cpu uint32
	if _, _, errno := unix.RawSyscall(unix.SYS_GETCPU, uintptr(unsafe.Pointer(&cpu)), 0, 0); errno != 0 {
		return errno
	}
	here := unix.CPUSet{}
	here.Set(int(cpu))
	// All of its threads: any of them may be the one that the others wait for.
	if err := m.move(m.it, &here); err != nil {
		return err
	}
	// It may sleep: where its timer does not fire.
	one := uint64(1)
	_, _, errno := unix.RawSyscall(unix.SYS_WRITE, fdMoved, uintptr(unsafe.Pointer(&one)), 8)
	if errno != 0 {
		return errno
	}
	rest := m.allowed
	rest.Clear(int(cpu))
	if m.left >= 0 && rest.Count() > 1 {
		rest.Clear(m.left)
	}
	m.left = int(cpu)
	return m.move(m.us, &rest)
}

// move has all threads of a directory be on some processors.
func (m *mover) move(threads int, to *unix.CPUSet) error {
	if _, _, errno := unix.RawSyscall(unix.SYS_LSEEK, uintptr(threads), 0, 0); errno != 0 {
		return errno
	}
	n, _, errno := unix.RawSyscall(unix.SYS_GETDENTS64, uintptr(threads), uintptr(unsafe.Pointer(&m.names[0])), uintptr(len(m.names)))
	if errno != 0 {
		return errno
	}
	_, _, names := unix.ParseDirent(m.names[:n], -1, nil)
	for _, name := range names {
		tid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if err := unix.SchedSetaffinity(tid, to); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return nil
}
