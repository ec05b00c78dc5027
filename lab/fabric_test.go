package lab_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lastmile/lab"
	"lastmile/lab/netns"
)

// built is where the tests of this run find the programs; made by TestMain,
// filled by the first test that needs them.
var built string

func TestMain(m *testing.M) {
	if err := sweep(); err != nil {
		fmt.Fprintln(os.Stderr, "sweeping up after tests that were killed:", err)
	}
	var err error
	if built, err = os.MkdirTemp("", "lab-test-"); err != nil {
		panic(err)
	}
	status := m.Run()
	os.RemoveAll(built)
	os.Exit(status)
}

// build builds lab, hostagent and switchagent once.
var build = sync.OnceValue(func() error {
	out, err := exec.Command("go", "build", "-o", built, "lastmile/cmd/...").CombinedOutput()
	if err != nil {
		return fmt.Errorf("building the programs: %w: %s", err, out)
	}
	return nil
})

// binaries returns the programs for a test that needs root for namespaces.
func binaries(t *testing.T) lab.Binaries {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("root is needed to bring a fabric up")
		}
		t.Skip("root is needed to bring a fabric up")
	}
	if err := build(); err != nil {
		t.Fatal(err)
	}
	return lab.BinariesIn(built)
}

// sweep takes down fabrics that were kept by tests of a process that is no more.
func sweep() error {
	names, err := netns.List("t")
	var errs []error
	for _, name := range names {
		fabric, _, _ := strings.Cut(name, "-")
		var pid int
		var label string
		if _, err := fmt.Sscanf(fabric, "t%d%s", &pid, &label); err != nil || !errors.Is(syscall.Kill(max(pid, 1), 0), syscall.ESRCH) {
			continue // not of fabricName, or of a test that lives
		}
		errs = append(errs, lab.Down(context.Background(), fabric))
	}
	return errors.Join(err, errors.Join(errs...))
}

// fabricName is one that no other test and no user has.
func fabricName(label string) string { return fmt.Sprintf("t%d%s", os.Getpid(), label) }

// TestScenes plays what `make demo` plays, with our agents and with FRR in
// their places: what the scenes show must not be peculiar to ours.
func TestScenes(t *testing.T) {
	for _, tt := range []struct {
		name     string
		topology lab.Topology
	}{
		{"frr", lab.Talk().AllFRR()},
		{"agents", lab.Talk()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := lab.Config{Topology: tt.topology, Binaries: binaries(t), Out: t.Output()}
			cfg.Topology.Name = fabricName(tt.name)
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			report, err := lab.Demo(ctx, cfg)
			if err != nil {
				t.Fatal(err)
			}
			if len(report.Scenes) != len(lab.Scenes()) {
				t.Errorf("%d scenes were played", len(report.Scenes))
			}
			for _, s := range report.Scenes {
				if !s.Holds {
					t.Errorf("%s: expected: %s; seen: %s", s.Scene, s.Expected, s.Seen)
				}
			}
			expectNothingLeft(t, cfg.Topology.Name)
		})
	}
}

// TestOtherTopologies brings up what is not the talk's.
func TestOtherTopologies(t *testing.T) {
	b := binaries(t)
	clos, err := lab.Clos(fabricName("clos"), lab.Size{Leaves: 2, Servers: 3, Links: 2})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	f, err := lab.Up(ctx, lab.Config{Topology: clos.AllFRR(), Binaries: b, Out: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	err = f.AwaitConverged(ctx)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	expectNothingLeft(t, clos.Name)
}

// TestNothingIsLeft ends a lab in the ways in which one ends, and looks for
// what is left of its fabric.
func TestNothingIsLeft(t *testing.T) {
	b := binaries(t)
	for _, tt := range []struct {
		name string
		end  func(lab *exec.Cmd) error
	}{
		{"interrupted", func(c *exec.Cmd) error { return c.Process.Signal(os.Interrupt) }},
		{"killed", func(c *exec.Cmd) error { return c.Process.Kill() }},
		// As ctrl-C at a terminal does it: to all that share it.
		{"everybody interrupted", func(c *exec.Cmd) error { return syscall.Kill(-c.Process.Pid, syscall.SIGINT) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			name := fabricName("end")
			cmd, said := labCommand(t, b, "up", "--frr", "--name", name)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			awaitState(t, name, func(spaces []string, dir bool) bool { return dir && len(spaces) == 6 })
			if err := tt.end(cmd); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err == nil {
				t.Error("the lab ended as if nothing had happened")
			}
			if text := said.String(); tt.name != "killed" && text != "lab: interrupted\n" {
				t.Errorf("interrupted, it says %q", text)
			}
			awaitState(t, name, func(spaces []string, dir bool) bool { return !dir && len(spaces) == 0 })
		})
	}
}

// TestNextRunCleansUp kills the lab and its janitor too.
func TestNextRunCleansUp(t *testing.T) {
	b := binaries(t)
	name := fabricName("again")
	cmd := startLab(t, b, "up", "--frr", "--name", name)
	awaitState(t, name, func(spaces []string, dir bool) bool { return dir && len(spaces) == 6 })
	for _, child := range children(t, cmd.Process.Pid) {
		if args, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", child)); bytes.Contains(args, []byte("janitor")) {
			if err := syscall.Kill(child, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if spaces, err := netns.List(name + "-"); err != nil || len(spaces) == 0 {
		t.Fatalf("namespaces of a lab that nobody cleaned up after: %q (%v)", spaces, err)
	}
	if err := startLab(t, b, "up", "--frr", "--name", name).Wait(); err != nil {
		t.Errorf("the next run: %v", err)
	}
	if err := startLab(t, b, "status", "--name", name).Wait(); err != nil {
		t.Errorf("status: %v", err)
	}
	if err := startLab(t, b, "down", "--name", name).Wait(); err != nil {
		t.Errorf("down: %v", err)
	}
	expectNothingLeft(t, name)
}

func TestDownRefusesNames(t *testing.T) {
	binaries(t)
	for _, name := range []string{"", "..", "lm-bms1", "/"} {
		if err := lab.Down(t.Context(), name); err == nil {
			t.Errorf("down of %q: no error", name)
		}
	}
}

// labCommand is a lab to be run, and what it will say of errors.
func labCommand(t *testing.T, b lab.Binaries, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	var said bytes.Buffer
	cmd := exec.Command(b.Lab, args...)
	cmd.Stdout, cmd.Stderr = t.Output(), io.MultiWriter(&said, t.Output())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd, &said
}

func startLab(t *testing.T, b lab.Binaries, args ...string) *exec.Cmd {
	t.Helper()
	cmd, _ := labCommand(t, b, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func awaitState(t *testing.T, name string, reached func(spaces []string, dir bool) bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		spaces, err := netns.List(name + "-")
		if err != nil {
			t.Fatal(err)
		}
		_, err = os.Stat(filepath.Join(lab.StateRoot, name))
		if reached(spaces, err == nil) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("namespaces %q, directory: %v", spaces, err)
		}
	}
}

// expectNothingLeft looks at once: who took the fabric down has waited.
func expectNothingLeft(t *testing.T, name string) {
	t.Helper()
	spaces, err := netns.List(name + "-")
	if err != nil || len(spaces) > 0 {
		t.Errorf("namespaces left: %q (%v)", spaces, err)
	}
	if _, err := os.Stat(filepath.Join(lab.StateRoot, name)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("directory left (%v)", err)
	}
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range commands {
		if args, err := os.ReadFile(c); err == nil && bytes.Contains(args, []byte(name)) {
			t.Errorf("process left: %s: %q", c, args)
		}
	}
}

func children(t *testing.T, pid int) []int {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// proc_pid_stat(5); the name in parentheses may hold anything.
		var parent int
		var state string
		rest := text[bytes.LastIndexByte(text, ')')+1:]
		if _, err := fmt.Sscan(string(rest), &state, &parent); err != nil {
			t.Fatal(err)
		}
		if parent == pid {
			var child int
			fmt.Sscanf(path, "/proc/%d/stat", &child)
			pids = append(pids, child)
		}
	}
	return pids
}
