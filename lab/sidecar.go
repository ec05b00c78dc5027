package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A sidecar is a switchagent before a worldLeaf: a process in the namespace of the
// lab itself.
type sidecar struct {
	leaf   *worldLeaf
	listen string
	log    string
	cmd    *exec.Cmd
	ended  chan struct{}
}

// sidecars is how many this process has started.
var sidecars atomic.Int32

// sidecarListen is where the next sidecar listens: at an address of this process, since another lab may run
// beside it, and a port of its own below those that the kernel gives away.
func sidecarListen() string {
	pid := os.Getpid() // less than 2^22
	return fmt.Sprintf("127.%d.%d.%d:%d", pid>>16, pid>>8&0xff, pid&0xff, 10_000+sidecars.Add(1)%20_000)
}

// startSidecar makes dir and starts there a leaf with so many ports, and its switchagent
// with more in its configuration. Nobody is plugged in.
func startSidecar(dir, program string, ports int, more string) (*sidecar, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	leaf, err := startWorldLeaf(dir, syntheticPorts(ports), ephemeralCommit)
	if err != nil {
		return nil, err
	}
	s := &sidecar{
		leaf: leaf, listen: sidecarListen(), ended: make(chan struct{}),
		log: filepath.Join(dir, "switchagent.log"),
	}
	if err := s.run(filepath.Join(dir, agentFile), program, more); err != nil {
		return nil, errors.Join(err, leaf.close())
	}
	return s, nil
}

func (s *sidecar) run(config, program, more string) error {
	if err := os.WriteFile(config, []byte(s.leaf.agentConfig(s.listen, more)), 0o600); err != nil {
		return err
	}
	log, err := os.Create(s.log)
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd = exec.Command(program, "run", "--config", config)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	// It does not outlive the lab, and hears of no interrupt at the terminal.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: unix.SIGKILL}
	started := make(chan error)
	go s.attend(started)
	return <-started
}

// attend starts the switchagent and waits for its end, all on one thread of its own: the kernel kills a child
// with a Pdeathsig when the thread that made it ends (prctl(2), PR_SET_PDEATHSIG), and Go ends a thread that
// has been to another namespace.
func (s *sidecar) attend(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := s.cmd.Start()
	started <- err
	if err == nil {
		s.cmd.Wait()
		close(s.ended)
	}
}

// close ends both.
func (s *sidecar) close() error {
	err := s.cmd.Process.Signal(unix.SIGTERM)
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	select {
	case <-s.ended:
	case <-time.After(10 * time.Second):
		err = errors.Join(err, errors.New("a switchagent had to be killed"), s.cmd.Process.Kill())
		<-s.ended
	}
	return errors.Join(err, s.leaf.close())
}

// await waits until ready returns nil; a switchagent that ends is an error.
func (s *sidecar) await(ctx context.Context, ready func() error) error {
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-s.ended:
			return fmt.Errorf("the switchagent of %s ended (%v): %s", s.listen, s.cmd.ProcessState, lastLine(s.log))
		case <-ctx.Done():
			return fmt.Errorf("waiting for the switchagent of %s: %w: %w", s.listen, err, context.Cause(ctx))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// polling returns nil as soon as a poll was good.
func (s *sidecar) polling(ctx context.Context) error {
	m, err := s.metrics(ctx)
	if err == nil && m[`switchagent_polls_total{result="ok"}`] == 0 {
		err = fmt.Errorf("no good poll yet: %s", lastLine(s.log))
	}
	return err
}

// metrics are the switchagent's, each by its name with its labels.
func (s *sidecar) metrics(ctx context.Context) (map[string]float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.listen+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	reply, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer reply.Body.Close()
	all := map[string]float64{}
	lines := bufio.NewScanner(reply.Body)
	for lines.Scan() {
		name, value, found := strings.Cut(lines.Text(), " ")
		if !found || name == "#" {
			continue
		}
		if all[name], err = strconv.ParseFloat(value, 64); err != nil {
			return nil, fmt.Errorf("metric %q: %w", lines.Text(), err)
		}
	}
	return all, lines.Err()
}

// peering waits until n servers have a session.
func (s *sidecar) peering(ctx context.Context, n int) error {
	return s.await(ctx, func() error {
		if up := s.leaf.world.EstablishedCount(); up < n {
			return fmt.Errorf("%d sessions of %d", up, n)
		}
		return nil
	})
}
