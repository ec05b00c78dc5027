package worker

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"lastmile/hostagent/bfd"
)

// Scheduling is how the kernel schedules the threads of the worker.
type Scheduling uint8

// From the worst to the best.
const (
	// Normal is what every process gets: a busy machine delays it by up to a
	// few hundred milliseconds.
	Normal Scheduling = iota
	// Nice is nice -20 with a short slice (sched_setattr(2)): better, and still
	// in competition with everybody, as a group too (autogroup, cgroup).
	Nice
	// FIFO is SCHED_FIFO: before every thread that is not real-time.
	FIFO
)

// String is the word for metrics and people.
func (s Scheduling) String() string {
	switch s {
	case FIFO:
		return "fifo"
	case Nice:
		return "nice"
	default:
		return "normal"
	}
}

// priority among real-time threads: above the kernel's own rcu and ksoftirqd
// threads where those are real-time at all, below its threaded interrupts (50)
// and watchdogs (99), on whose work ours depends.
const priority = 49

// slice is a tenth of what the scheduler gives by default, so that a thread
// that wakes is let in sooner. Kernels before 6.12 ignore it.
const slice = 100 * time.Microsecond

// limits are the shortest timers that a scheduling can hold. Nobody else's
// daemon goes under 10 ms either; without SCHED_FIFO, gaps of 230 ms between two
// packets were measured on a busy machine.
type limits struct{ interval, detection time.Duration }

func (s Scheduling) limits() limits {
	if s == FIFO {
		return limits{interval: 10 * time.Millisecond, detection: 30 * time.Millisecond}
	}
	return limits{interval: 100 * time.Millisecond, detection: 300 * time.Millisecond}
}

// Holds says why a worker that is scheduled so cannot keep a session with these
// timers up.
func (s Scheduling) Holds(t bfd.Timers) error {
	if err := t.Validate(); err != nil {
		return err
	}
	l := s.limits()
	why := ""
	if s != FIFO {
		why = fmt.Sprintf("; less needs SCHED_FIFO, and the worker's scheduling is %s: it lacks the capability CAP_SYS_NICE", s)
	}
	for _, i := range [...]interval{{"transmit", t.Transmit}, {"receive", t.Receive}} {
		if i.value < l.interval {
			return fmt.Errorf("%s interval %v: at least %v is allowed%s", i.name, i.value, l.interval, why)
		}
	}
	if d := t.Transmit * time.Duration(t.Multiplier); d < l.detection {
		return fmt.Errorf("transmit interval %v x %d: the peer would wait %v, at least %v is allowed%s",
			t.Transmit, t.Multiplier, d, l.detection, why)
	}
	return nil
}

type interval struct {
	name  string
	value time.Duration
}

// best gives the calling thread, and so every thread of a process that it
// starts, the best scheduling that it may have.
func best() error {
	err := unix.SchedSetAttr(0, &unix.SchedAttr{Policy: unix.SCHED_FIFO, Priority: priority}, 0)
	if err == nil {
		return nil
	}
	nice := &unix.SchedAttr{Policy: unix.SCHED_NORMAL, Nice: -20, Runtime: uint64(slice)}
	if unix.SchedSetAttr(0, nice, 0) == nil {
		return fmt.Errorf("setting SCHED_FIFO: %w", err)
	}
	return fmt.Errorf("setting SCHED_FIFO, nice -20: %w", err)
}

// onBestThread runs fn on a thread with the best scheduling there is, which
// ends with it: nothing else in this process ever runs there.
func onBestThread(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked
		_ = best()             // the new process finds out for itself, and says so
		done <- fn()
	}()
	return <-done
}

// Status is how well the worker can keep time.
type Status struct {
	Scheduling   Scheduling
	LockedMemory bool   // no page of the worker waits for a disk
	Reason       string // why one of these is not the best; empty if both are
}

// settle finds out how this process is scheduled and locks its memory.
func settle() Status {
	var s Status
	var errs []error
	switch attr, err := unix.SchedGetAttr(0, 0); {
	case err != nil:
		errs = append(errs, fmt.Errorf("reading the scheduling: %w", err))
	case attr.Policy == unix.SCHED_FIFO:
		s.Scheduling = FIFO
	default:
		// Who started us was refused. The reason is ours too.
		if err := best(); err != nil {
			errs = append(errs, fmt.Errorf("%w (CAP_SYS_NICE is missing, or the cgroup has no real-time budget)", err))
		}
		if attr.Nice < 0 {
			s.Scheduling = Nice
		}
	}
	if err := lockMemory(); err != nil {
		errs = append(errs, err)
	} else {
		s.LockedMemory = true
	}
	if err := errors.Join(errs...); err != nil {
		s.Reason = oneLine(err)
	}
	return s
}

// lockMemory keeps all pages, present and future, in memory. Under a limit on
// locked memory it does nothing: the Go runtime, which maps more later, would
// not survive to be refused.
func lockMemory() error {
	if !unlimited() {
		return errors.New("locking memory: the limit RLIMIT_MEMLOCK would end the worker (CAP_IPC_LOCK, or LimitMEMLOCK=infinity, is missing)")
	}
	// On fault: what the Go runtime has only reserved is some 100 MB.
	if err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT); err != nil {
		return fmt.Errorf("locking memory: %w", err)
	}
	return lockProgram()
}

// lockProgram loads all of the program and keeps it: what runs for the first
// time when a leaf dies must not be read from a disk then.
func lockProgram() error {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("locking the program in memory: %w", err)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return fmt.Errorf("locking the program in memory: %w", err)
	}
	for line := range strings.Lines(string(maps)) {
		var from, to uintptr
		if _, err := fmt.Sscanf(line, "%x-%x", &from, &to); err != nil || !strings.HasSuffix(line, self+"\n") {
			continue
		}
		if _, _, errno := unix.Syscall(unix.SYS_MLOCK, from, to-from, 0); errno != 0 {
			return fmt.Errorf("locking the program in memory: %w", errno)
		}
	}
	return nil
}

// unlimited says whether any amount of memory can be locked.
func unlimited() bool {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit) == nil && limit.Cur == unix.RLIM_INFINITY {
		return true
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	return unix.Capget(&header, &data[0]) == nil && data[0].Effective&(1<<unix.CAP_IPC_LOCK) != 0
}

func oneLine(err error) string {
	var text []byte
	for _, b := range []byte(err.Error()) {
		if b == '\n' {
			text = append(text, "; "...)
			continue
		}
		text = append(text, b)
	}
	return string(text)
}
