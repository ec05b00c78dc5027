package switchagent

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// agentProcess is the variable of the environment that makes the test's program an agent: the path of
// its configuration.
const agentProcess = "SWITCHAGENT_TEST_CONFIG"

// beAgent runs an agent as site.start does, until standard input ends or the process is killed. Its
// pauses after failures are short, so that what it does after them is seen in a test's time.
func beAgent(path string) {
	var cfg Config
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &cfg)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	a := New(cfg, slog.New(slog.NewTextHandler(os.Stderr, nil)), prometheus.NewRegistry())
	a.minute, a.planner.quarantine.first, a.pace.failure.most = simMinute, 500*time.Millisecond, 2*time.Second
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	if err := a.Run(ctx, func() {}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// A process is an agent that can be killed and stopped.
type process struct {
	cmd     *exec.Cmd
	input   io.Closer
	log     *tail
	stopped bool
}

// A tail keeps the end of a log.
type tail struct{ syncBuffer }

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.b.Len() > 64<<10 {
		kept := bytes.Clone(t.b.Bytes()[t.b.Len()-32<<10:])
		t.b.Reset()
		t.b.Write(kept)
	}
	return t.b.Write(p)
}

// launch starts an agent of the site as a process of its own.
func (s *site) launch() *process {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "agent.json")
	text, err := json.Marshal(s.cfg)
	s.must(err, os.WriteFile(path, text, 0o600))
	p := &process{cmd: exec.Command("/proc/self/exe"), log: &tail{}}
	p.cmd.Env = append(os.Environ(), agentProcess+"="+path)
	p.cmd.Stderr = p.log
	p.input, err = p.cmd.StdinPipe()
	s.must(err, p.cmd.Start())
	s.ran++
	return p
}

func (p *process) signal(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatalf("%v to an agent: %v\n%s", sig, err, p.log)
	}
	switch sig {
	case syscall.SIGSTOP:
		p.stopped = true
	case syscall.SIGCONT:
		p.stopped = false
	}
}

// kill ends it as a lost machine does: nothing is said to the leaf.
func (p *process) kill(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGKILL)
	if err := p.cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("an agent had ended by itself: %v\n%s", err, p.log)
	}
}
