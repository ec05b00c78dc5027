// Command rtfloor measures how long a real-time thread has to wait for a
// processor of this machine, whoever it is: the floor below the daemons that
// lab bench bfd looks at. It is no part of what is installed.
//
// On each processor a process with SCHED_FIFO sleeps for a millisecond over and
// over. At the end of the standard input one line of JSON says what they have
// found.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func main() {
	run := measure
	if len(os.Args) > 1 {
		run = watch
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "rtfloor:", err)
		os.Exit(1)
	}
}

// measure has every processor watched until the input ends.
func measure() error {
	var processors unix.CPUSet
	if err := unix.SchedGetaffinity(0, &processors); err != nil {
		return fmt.Errorf("asking for the processors: %w", err)
	}
	var watchers []*watcher
	for p := 0; len(watchers) < processors.Count(); p++ {
		if !processors.IsSet(p) {
			continue
		}
		w, err := start(p)
		if err != nil {
			return fmt.Errorf("watching processor %d: %w", p, err)
		}
		watchers = append(watchers, w)
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	var all [][]wait
	for _, w := range watchers {
		waits, e := w.end()
		all, err = append(all, waits), errors.Join(err, e)
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(sum(all))
}

// watcher is the process of one processor.
type watcher struct {
	cmd *exec.Cmd
	in  io.Closer
	out io.Reader
}

// start starts it from a thread that is scheduled as it is to be, and that ends with that.
func start(processor int) (*watcher, error) {
	w := &watcher{cmd: exec.Command("/proc/self/exe", "watch")}
	w.cmd.Stderr = os.Stderr
	w.cmd.Env = []string{"GOMAXPROCS=1", "GOGC=off", "GODEBUG=asyncpreemptoff=1"} // as the BFD worker
	var err error
	if w.in, err = w.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if w.out, err = w.cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked
		var here unix.CPUSet
		here.Set(processor)
		err := unix.SchedSetaffinity(0, &here)
		if err == nil {
			err = unix.SchedSetAttr(0, &unix.SchedAttr{Policy: unix.SCHED_FIFO, Priority: priority}, 0)
		}
		if err == nil {
			err = w.cmd.Start()
		}
		started <- err
	}()
	return w, <-started
}

func (w *watcher) end() (waits []wait, err error) {
	w.in.Close()
	err = json.NewDecoder(w.out).Decode(&waits)
	return waits, errors.Join(err, w.cmd.Wait())
}

const (
	// priority is one more than that of the BFD worker, so as not to wait for it.
	priority = 50
	period   = time.Millisecond
	// least is the shortest wait that is kept, and room how many are.
	least = 500 * time.Microsecond
	room  = 1 << 20
)

// watch is the process of one processor. Its system calls are raw, as the BFD
// worker's are: nothing of the Go runtime has a part in what it measures.
func watch() error {
	if err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT); err != nil {
		return fmt.Errorf("locking memory: %w", err)
	}
	waits := make([]wait, 0, room)
	in := unix.PollFd{Fd: 0, Events: unix.POLLIN}
	var atOnce unix.Timespec
	for next := now() + period; in.Revents == 0 && len(waits) < room; {
		ts := unix.NsecToTimespec(int64(next))
		_, _, _ = unix.RawSyscall6(unix.SYS_CLOCK_NANOSLEEP, unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
		at := now()
		if at-next >= least {
			waits = append(waits, wait{next, at})
		}
		next = at + period
		_, _, _ = unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&in)), 1, uintptr(unsafe.Pointer(&atOnce)), 0, 0, 0)
	}
	return json.NewEncoder(os.Stdout).Encode(waits)
}

func now() time.Duration {
	var ts unix.Timespec
	_, _, _ = unix.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_MONOTONIC, uintptr(unsafe.Pointer(&ts)), 0)
	return time.Duration(ts.Nano())
}
