package worker_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// called is a process's name, as ps shows it.
func called(t *testing.T, pid int) string {
	t.Helper()
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(name))
}

func TestNames(t *testing.T) {
	t.Parallel()
	server := startAgent(t, newCable(t).server, settings{})
	pid, _, has := moved(t, server)
	if name := called(t, pid); name != "bfd-worker" {
		t.Errorf("the worker is called %q", name)
	}
	if !has {
		return
	}
	for _, mover := range movers(t, pid) {
		if name := called(t, mover); name != "bfd-mover" {
			t.Errorf("the mover is called %q", name)
		}
	}
}

// TestMoverWithoutAName does its work all the same.
func TestMoverWithoutAName(t *testing.T) {
	t.Parallel()
	server := startAgent(t, newCable(t).server, settings{wrap: []string{
		"unshare", "--mount", "sh", "-ec", `mount --bind -o ro /proc /proc; exec "$@"`, "sh"}})
	pid, _, has := moved(t, server)
	if !has {
		return
	}
	eventually(t, "a line about it", func() bool { return strings.Contains(server.stderr.String(), "cannot take its name") })
	if all := movers(t, pid); len(all) != 1 {
		t.Errorf("movers %v, want one:\n%s", all, server.stderr)
	}
}
