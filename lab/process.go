package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"lastmile/lab/netns"
)

// A process is one of our own daemons, running in a namespace.
type process struct {
	name  string
	log   string // the path of what it prints
	cmd   *exec.Cmd
	ended chan struct{} // closed when it is reaped
}

// startProcess starts cmd in a namespace, with its output going to dir/NAME.log.
func startProcess(ns *netns.NS, name, dir string, cmd *exec.Cmd) (*process, error) {
	p := &process{name: ns.Name + " " + name, log: filepath.Join(dir, name+".log"), cmd: cmd, ended: make(chan struct{})}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	// A session of its own: an interrupt at the terminal is for the lab alone.
	cmd.SysProcAttr.Setsid = true
	if err := ns.Start(cmd); err != nil {
		return nil, fmt.Errorf("starting %s: %w", p.name, err)
	}
	go func() { cmd.Wait(); close(p.ended) }()
	return p, nil
}

// awaitReady waits until ready returns nil; a process that ends first is an
// error with the last that it said.
func (p *process) awaitReady(ctx context.Context, ready func() error) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended (%v): %s", p.name, p.cmd.ProcessState, lastLine(p.log))
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", p.name, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Stop asks the process to end, and insists after five seconds.
func (p *process) Stop() error {
	err := p.cmd.Process.Signal(unix.SIGTERM)
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stopping %s: %w", p.name, err)
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(5 * time.Second):
		err := p.cmd.Process.Kill()
		<-p.ended
		return errors.Join(fmt.Errorf("stopping %s: it had to be killed", p.name), err)
	}
}

// lastLine returns the last line of a log, or why it cannot be read.
func lastLine(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	said := strings.TrimSpace(string(text))
	return said[strings.LastIndexByte(said, '\n')+1:]
}
