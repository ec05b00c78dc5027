package lab_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// takeover is after how long the agent that stands by commits what the other should have.
const takeover = 500 * time.Millisecond

// pair starts a second agent beside the rig's: both know that there are two.
func pair(r *rig) (first, second *exec.Cmd) {
	r.t.Helper()
	text, err := os.ReadFile(r.config)
	if err == nil {
		r.config = filepath.Join(r.t.TempDir(), "pair.yaml")
		err = os.WriteFile(r.config, fmt.Appendf(text, "takeover: %s\n", takeover), 0o600)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	r.rest() // it must be ready to be told to stop
	program := r.agent.Path
	r.startAgent(program) // again, with the new file
	first = r.agent
	second = exec.Command(program, "run", "--config", r.config)
	second.Stdout, second.Stderr = r.t.Output(), r.t.Output()
	if err := second.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { endAgent(r.t, second) })
	return first, second
}

// endAgent stops an agent that may have been killed or stopped before.
func endAgent(t *testing.T, agent *exec.Cmd) {
	if agent.ProcessState != nil {
		return
	}
	if err := agent.Process.Signal(syscall.SIGKILL); err != nil {
		t.Errorf("agent: %v", err)
	}
	agent.Wait() // which says that it was killed
}

// writer makes the first agent the one that writes, by stopping the other until it has committed.
func writer(r *rig, first, second *exec.Cmd) *exec.Cmd {
	r.t.Helper()
	signal(r.t, second, syscall.SIGSTOP)
	r.plug("fe80::2", "ge-0-0-2")
	r.await(one, two)
	signal(r.t, second, syscall.SIGCONT)
	return first
}

func signal(t *testing.T, agent *exec.Cmd, s syscall.Signal) {
	t.Helper()
	if err := agent.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// TestAgentTakesOver: the agent that writes is killed, or stopped and resumed. The other
// takes over; who comes back looks before it writes. No commit is made twice, and none is undone.
func TestAgentTakesOver(t *testing.T) {
	t.Run("killed", func(t *testing.T) {
		r := newRig(t, nil)
		first, second := pair(r)
		r.plug("fe80::1", "ge-0-0-1")
		r.await(one)
		writes := writer(r, first, second)
		signal(t, writes, syscall.SIGKILL)
		writes.Wait()
		r.plug("fe80::3", "ge-0-0-3")
		r.await(one, two, three)
		r.commits(3)
	})
	t.Run("stopped", func(t *testing.T) {
		r := newRig(t, nil)
		first, second := pair(r)
		r.plug("fe80::1", "ge-0-0-1")
		r.await(one)
		writes := writer(r, first, second)
		signal(t, writes, syscall.SIGSTOP)
		r.plug("fe80::3", "ge-0-0-3")
		r.await(one, two, three)
		r.unplug("fe80::3", "ge-0-0-3")
		r.await(one, two)
		signal(t, writes, syscall.SIGCONT)
		r.rest()
		r.commits(4)
	})
	t.Run("stopped between load and commit", func(t *testing.T) {
		r := newRig(t, nil)
		first, second := pair(r)
		r.plug("fe80::1", "ge-0-0-1")
		r.await(one)
		writes := writer(r, first, second)
		// The lock on the instance is the writer's, wherever it is stopped: nobody else writes.
		r.plug("fe80::3", "ge-0-0-3")
		r.eventually(func() bool {
			return r.device.OpenedBy("lastmile") != "" || strings.Contains(strings.Join(r.stanzas(), " "), "fe80::3")
		},
			func() string { return "nobody opens the instance" })
		signal(t, writes, syscall.SIGSTOP)
		time.Sleep(2 * takeover)
		signal(t, writes, syscall.SIGCONT)
		r.await(one, two, three)
		r.rest()
		r.commits(3)
	})
}
