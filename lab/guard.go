package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A guard makes sure of two things: that one process at a time works on a
// fabric, and that the fabric goes when that process goes, however it goes.
//
// The first is a lock: an abstract unix socket, which the kernel gives back
// when the last process that holds it ends. The second is a janitor: this
// program again, in a session of its own, which sleeps on a pipe whose other
// end only we hold.
type guard struct {
	lock    *net.UnixListener
	pipe    io.WriteCloser
	janitor *exec.Cmd
}

// patience is how long a new run waits for the janitor of a killed one.
const patience = 20 * time.Second

// newGuard locks the fabric name and starts its janitor from the lab's own
// binary.
func newGuard(ctx context.Context, name, binary string) (*guard, error) {
	lock, err := takeLock(ctx, name)
	if err != nil {
		return nil, err
	}
	// Before there is a janitor, which would take it down.
	if err := checkFree(name); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	g := &guard{lock: lock}
	if err := g.startJanitor(name, binary); err != nil {
		return nil, errors.Join(fmt.Errorf("starting the janitor: %w", err), lock.Close())
	}
	return g, nil
}

// enter is for a bench that sets its own stage: it takes the name, and takes down what an earlier
// run left under it. The bench ends with leave, which returns its error and those of cleaning up.
func enter(ctx context.Context, name, binary string) (leave func(error) error, err error) {
	guard, err := newGuard(ctx, name, binary)
	if err != nil {
		return nil, err
	}
	leave = func(err error) error { return errors.Join(interrupted(ctx, err), takeDown(name), guard.dismiss()) }
	if err := takeDown(name); err != nil {
		return nil, leave(err)
	}
	return leave, nil
}

// ErrNotRoot says that the lab cannot work as an ordinary user.
var ErrNotRoot = errors.New("the lab makes network namespaces: run it as root")

func takeLock(ctx context.Context, name string) (*net.UnixListener, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	addr := &net.UnixAddr{Net: "unix", Name: "@lastmile-lab/" + name}
	for {
		lock, err := net.ListenUnix("unix", addr)
		if err == nil {
			return lock, nil
		}
		if !errors.Is(err, unix.EADDRINUSE) {
			return nil, fmt.Errorf("locking fabric %s: %w", name, err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("fabric %s: another lab is at work on it", name)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (g *guard) startJanitor(name, binary string) error {
	lock, err := g.lock.File()
	if err != nil {
		return err
	}
	defer lock.Close()
	g.janitor = exec.Command(binary, "janitor", name)
	// The janitor holds the lock too: nobody builds while it takes down.
	g.janitor.ExtraFiles = []*os.File{lock}
	g.janitor.Stderr = os.Stderr
	g.janitor.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if g.pipe, err = g.janitor.StdinPipe(); err != nil {
		return err
	}
	return g.janitor.Start()
}

// dismissal is the word that sends the janitor home without work.
const dismissal = "dismissed"

// dismiss ends the janitor and gives the lock back.
func (g *guard) dismiss() error {
	_, err := io.WriteString(g.pipe, dismissal)
	if err != nil {
		err = fmt.Errorf("dismissing the janitor: %w", err)
	}
	return errors.Join(err, g.pipe.Close(), g.janitor.Wait(), g.lock.Close())
}

// Janitor is the janitor's own side: it waits until in ends and then takes the
// fabric down, unless it was dismissed before.
func Janitor(name string, in io.Reader) error {
	// Whoever ends the lab by a signal to everybody must not end us before
	// we have cleaned up.
	signal.Ignore(unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	word, err := io.ReadAll(in)
	if err == nil && string(word) == dismissal {
		return nil
	}
	return takeDown(name)
}
