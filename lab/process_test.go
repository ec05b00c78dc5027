package lab

import (
	"fmt"
	"os/exec"
	"testing"
	"time"

	"lastmile/lab/netns"
)

// TestNamesOfProcesses: one that was started as /proc/self/exe, as hostagent's worker is, has the name that it has
// taken.
func TestNamesOfProcesses(t *testing.T) {
	ns := netns.ForTest(t, "names")
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	for argv0, want := range map[string]string{"/proc/self/exe": "sleep", "/bin/worker": "worker"} {
		cmd := &exec.Cmd{Path: sleep, Args: []string{argv0, "60"}}
		if err := ns.Start(cmd); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			ps, err := processes(ns)
			if err == nil && fmt.Sprint(ps) == fmt.Sprint([]Process{{want, cmd.Process.Pid}}) {
				break
			}
			if time.Now().After(deadline) {
				t.Errorf("%s: %v (%v), want %s", argv0, ps, err, want)
				break
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err == nil {
			t.Errorf("%s: it was not killed", argv0)
		}
	}
}
