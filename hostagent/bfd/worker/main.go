package worker

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"golang.org/x/sys/unix"
)

// Main is the worker process. It returns when it was told to end, or when no
// hostagent came for c.Orphan. Only a Client can start it: it inherits the
// socket and the lock.
func Main(c Config) error {
	// The client sets this in the environment, so that it holds from the first
	// instruction; here it is for whoever reads.
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(memoryLimit)
	if os.Getenv(moverEnv) != "" {
		return runMover(c.Log)
	}
	for _, fd := range []int{fdListener, fdLock} {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
			return fmt.Errorf("descriptor %d: %w (only hostagent starts the BFD worker)", fd, err)
		}
	}
	if kind, err := unix.GetsockoptInt(fdListener, unix.SOL_SOCKET, unix.SO_TYPE); err != nil || kind != unix.SOCK_SEQPACKET {
		return fmt.Errorf("descriptor %d is no socket for orders (only hostagent starts the BFD worker)", fdListener)
	}
	// Again, by us: whoever connects is told of this process (SO_PEERCRED, unix(7)),
	// and not of the hostagent that has made the socket.
	if err := unix.Listen(fdListener, unix.SOMAXCONN); err != nil {
		return fmt.Errorf("listening for orders: %w", err)
	}
	if err := unix.SetNonblock(fdListener, true); err != nil {
		return fmt.Errorf("setting up the socket for orders: %w", err)
	}
	own, err := os.Lstat(c.Socket)
	if err != nil {
		return fmt.Errorf("looking at the socket for orders: %w", err)
	}
	c.Log = slog.New(newPatient(c.Log.Handler()))
	takeName(c.Log, processName)
	w, err := newWorker(c, settle())
	if err != nil {
		return err
	}
	w.control.listener = fdListener
	if err := w.register(fdListener, unix.EPOLLIN, w.accept); err != nil {
		return err
	}
	if err := w.heedSignals(); err != nil {
		return err
	}
	if err := w.startMover(); err != nil {
		w.log.Error("BFD worker has no mover, and waits for whoever holds its processor", "err", err)
	}
	if err := w.loop(); err != nil {
		return err
	}
	return removeSocket(c.Socket, own)
}

// processName is the worker's, as ps shows it.
const processName = "bfd-worker"

// takeName is for whoever looks for this process: ps shows it as exe otherwise.
func takeName(log *slog.Logger, name string) {
	if err := os.WriteFile("/proc/self/comm", []byte(name), 0); err != nil {
		log.Warn("BFD process cannot take its name", "name", name, "err", err)
	}
}

// heedSignals has SIGTERM end the worker in order. Whoever reads our log may go
// away: that must not end us.
func (w *worker) heedSignals() error {
	signal.Ignore(syscall.SIGPIPE, syscall.SIGHUP, syscall.SIGINT)
	asked, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("making an eventfd: %w", err)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	go func() {
		<-signals
		one := [8]byte{1, 1, 1, 1, 1, 1, 1, 1}
		_, _ = unix.Write(asked, one[:]) // there is room: nobody else writes
	}()
	return w.register(asked, unix.EPOLLIN, func() {
		w.unregister(asked)
		w.log.Info("BFD worker ends: it was asked to by a signal")
		w.leave(monotonic())
	})
}

// patient is a log handler that never makes the loop wait: a journal that does
// not read costs lines, not sessions.
type patient struct {
	slog.Handler
	lines chan func()
}

func newPatient(h slog.Handler) *patient {
	p := &patient{h, make(chan func(), 64)}
	go func() {
		for line := range p.lines {
			line()
		}
	}()
	return p
}

// Handle hands the line over, or drops it.
func (p *patient) Handle(ctx context.Context, r slog.Record) error {
	select {
	case p.lines <- func() { _ = p.Handler.Handle(ctx, r.Clone()) }:
	default:
	}
	return nil
}
