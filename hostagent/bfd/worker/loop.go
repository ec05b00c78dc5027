package worker

import (
	"fmt"
	"log/slog"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"lastmile/hostagent/bfd"
)

// worker is the process: one thread, one loop, everything in it. In steady
// state it allocates nothing.
type worker struct {
	log    *slog.Logger
	socket string
	orphan time.Duration
	status Status

	epoll   int
	timer   int
	events  [64]unix.EpollEvent
	sources map[int32]func() // by descriptor: what to do when it has something

	links          map[uint32]*link
	sessions       []*session
	discriminators bfd.Discriminators
	control        control
	watchdog       watchdog
	rescue         rescue
	moves          uint64 // by the mover
	leaving        bool
	deadline       time.Duration // when to end, if leaving; when to leave, if alone

	receiver receiver
	packet   received
	report   report
	its      unix.ItimerSpec
	out      [bfd.PacketLen]byte
	message  [maxMessage]byte
	oob      [maxMessage]byte
}

// drainTime is how long the worker says AdminDown at most before it ends. At one
// packet a second, as RFC 5880 section 6.8.3 has it, the usual multiplier of 3
// makes it 3 s.
const drainTime = 10 * time.Second

func newWorker(c Config, s Status) (*worker, error) {
	w := &worker{
		log: c.Log, socket: c.Socket, orphan: c.Orphan, status: s,
		sources: map[int32]func(){}, links: map[uint32]*link{},
		deadline: monotonic() + c.Orphan,
		control:  control{listener: -1, client: -1},
		rescue:   rescue{timer: -1, moved: -1},
	}
	var err error
	if w.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("making an epoll instance: %w", err)
	}
	if w.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC); err != nil {
		return nil, fmt.Errorf("making a timer: %w", err)
	}
	// Nothing is done when the timer fires but to go round. It is not read
	// either: setting it anew takes the event away (timerfd_settime(2)).
	return w, w.register(w.timer, unix.EPOLLIN, func() {})
}

// register has ready called, in the loop, whenever fd has something.
func (w *worker) register(fd int, events uint32, ready func()) error {
	err := unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
	if err != nil {
		return fmt.Errorf("waiting for a descriptor: %w", err)
	}
	w.sources[int32(fd)] = ready
	return nil
}

// unregister closes fd.
func (w *worker) unregister(fd int) {
	delete(w.sources, int32(fd))
	unix.Close(fd) // which takes it out of epoll
}

// loop works until the worker has left.
func (w *worker) loop() error {
	for {
		next, ended := w.turn(monotonic())
		if ended {
			return nil
		}
		if err := w.wait(next); err != nil {
			return err
		}
	}
}

// turn does all that is due, and returns when the next thing is.
func (w *worker) turn(now time.Duration) (next time.Duration, ended bool) {
	next, w.rescue.at = w.relisten(now), 0
	for _, s := range w.sessions {
		due := w.tend(s, now)
		next = min(next, due)
		w.rescue.expectLate(s, due, now)
	}
	w.sweep(now)
	w.tell()
	w.guard()
	switch {
	case w.leaving && (len(w.sessions) == 0 || now >= w.deadline):
		return 0, true
	case !w.leaving && w.alone() && now >= w.deadline:
		w.log.Error("BFD worker ends: no hostagent came", "after", w.orphan)
		w.leave(now)
		return now, false
	case w.leaving || w.alone():
		next = min(next, w.deadline)
	}
	return next, false
}

// shortWait is one in which nothing but the loop gets a turn.
const shortWait = 50 * time.Millisecond

// wait waits until next, or until a descriptor has something, and serves that.
//
// The Go scheduler does not know of the calls to the kernel that the loop makes
// at every turn: they are raw. Otherwise it would give our place (its P) to other
// threads meanwhile, and to have it back we would depend on theirs, any of which
// can be stuck for 100 ms on a processor that the kernel does not give up. There
// is one place only, for the same reason. What else this process does, a line of
// log or a signal, comes when the loop is asked to yield, every 10 ms, or in a
// wait that is not short.
func (w *worker) wait(next time.Duration) error {
	// A time that has passed fires at once; zero would disarm.
	w.its.Value = unix.NsecToTimespec(int64(max(next, 1)))
	if next == bfd.Never {
		w.its.Value = unix.Timespec{}
	}
	_, _, errno := unix.RawSyscall6(unix.SYS_TIMERFD_SETTIME, uintptr(w.timer), unix.TFD_TIMER_ABSTIME,
		uintptr(unsafe.Pointer(&w.its)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("setting the timer: %w", errno)
	}
	if err := w.rescue.arm(); err != nil {
		return err
	}
	call := unix.RawSyscall6
	if next-monotonic() > shortWait {
		call = unix.Syscall6
	}
	n, _, errno := call(unix.SYS_EPOLL_PWAIT, uintptr(w.epoll),
		uintptr(unsafe.Pointer(&w.events[0])), uintptr(len(w.events)), ^uintptr(0), 0, 0)
	if errno == unix.EINTR {
		return nil
	}
	if errno != 0 {
		return fmt.Errorf("waiting for events: %w", errno)
	}
	for i := range n {
		// One that was closed a moment ago has none.
		if ready := w.sources[w.events[i].Fd]; ready != nil {
			ready()
		}
	}
	return nil
}

// leave begins the end: every peer is told AdminDown, at once and for a detection
// time. A hostagent that comes meanwhile is served, and the end is off. Being told
// twice is to end now.
func (w *worker) leave(now time.Duration) {
	if w.leaving {
		w.deadline = now
		return
	}
	w.leaving, w.deadline = true, now+drainTime
	for _, s := range w.sessions {
		s.leave(now)
		w.tend(s, now)
	}
}

// stay takes leave back. Who was told AdminDown stays so until somebody wants
// the session.
func (w *worker) stay() {
	if !w.leaving {
		return
	}
	w.leaving = false
	for _, s := range w.sessions {
		s.leaving = false
	}
}
