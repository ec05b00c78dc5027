package lab_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"lastmile/bpf/uplink"
	"lastmile/lab"
)

// A kept is a fabric of the talk that `lab up` has left running.
type kept struct {
	t    *testing.T
	b    lab.Binaries
	name string
}

// run runs a command on the fabric, and returns what it said if it failed.
func (k *kept) run(args ...string) (failure string, failed bool) {
	k.t.Helper()
	cmd, said := labCommand(k.t, k.b, append(args, "--name", k.name)...)
	err := cmd.Run()
	return said.String(), err != nil
}

func (k *kept) mustRun(args ...string) {
	k.t.Helper()
	if said, failed := k.run(args...); failed {
		k.t.Fatalf("lab %s: %s", strings.Join(args, " "), said)
	}
}

// status returns the status, which must fail if and only if something is missing.
func (k *kept) status() (s lab.Status) {
	k.t.Helper()
	cmd, _ := labCommand(k.t, k.b, "status", "-o", "json", "--name", k.name)
	cmd.Stdout = nil
	out, err := cmd.Output()
	if jsonErr := json.Unmarshal(out, &s); jsonErr != nil {
		k.t.Fatalf("%v (%v): %s", jsonErr, err, out)
	}
	if (err != nil) != (s.Missing != "") {
		k.t.Errorf("missing %q, but the command ended with %v", s.Missing, err)
	}
	return s
}

func (k *kept) awaitConverged() {
	k.t.Helper()
	for deadline := time.Now().Add(90 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		s := k.status()
		if s.Missing == "" {
			return
		}
		if time.Now().After(deadline) {
			k.t.Fatalf("not converged again: %s", s.Missing)
		}
	}
}

// pid returns the process of a node's daemon, or 0.
func pid(s lab.Status, node, daemon string) int {
	for _, n := range s.Nodes {
		i := slices.IndexFunc(n.Processes, func(p lab.Process) bool { return p.Name == daemon })
		if n.Name == node && i >= 0 {
			return n.Processes[i].PID
		}
	}
	return 0
}

func TestKeptFabric(t *testing.T) {
	k := &kept{t, binaries(t), fabricName("kept")}
	var pins string
	t.Cleanup(func() {
		k.mustRun("down")
		expectNothingLeft(t, k.name)
		if _, err := os.Stat(pins); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left (%v)", pins, err)
		}
	})
	k.mustRun("up")
	pins = k.pins("bms1")
	k.etherType()
	before := k.status()
	if before.Missing != "" {
		t.Errorf("up, but missing: %s", before.Missing)
	}
	if pid(before, "leaf1", "bfdd") == 0 {
		t.Error("leaf1 runs no bfdd")
	}

	for _, command := range []string{"up", "demo"} {
		said, failed := k.run(command)
		if want := "fabric " + k.name + " is up"; !failed || !strings.Contains(said, want) {
			t.Errorf("%s over a running fabric: failed %v, said %q, want %q", command, failed, said, want)
		}
	}
	if now := pid(k.status(), "bms2", "hostagent"); now == 0 || now != pid(before, "bms2", "hostagent") {
		t.Errorf("bms2's hostagent was process %d, is %d", pid(before, "bms2", "hostagent"), now)
	}

	for _, d := range []struct{ node, daemon string }{
		{"bms1", "hostagent"}, {"leaf1", "junos"}, {"leaf1-agent", "switchagent"}, {"leaf2", "bgpd"},
	} {
		if err := syscall.Kill(pid(before, d.node, d.daemon), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		missing := d.node + ": " + d.daemon + " does not run"
		for deadline := time.Now().Add(time.Minute); !strings.Contains(k.status().Missing, missing); {
			if time.Now().After(deadline) {
				t.Fatalf("missing %q, want %q in it", k.status().Missing, missing)
			}
		}
	}
}

// pins is where the hostagent of a server has pinned its programs.
func (k *kept) pins(server string) (dir string) {
	k.t.Helper()
	// By another process: one that had a thread in the namespace would be killed with it.
	cmd, _ := labCommand(k.t, k.b, "shell", "--name", k.name, server, "readlink", "/proc/self/ns/net")
	cmd.Stdout = nil
	said, err := cmd.Output()
	inode := strings.Trim(string(said), "net:[]\n")
	if err != nil || inode == "" {
		k.t.Fatalf("no namespace: %q (%v)", said, err)
	}
	dir = filepath.Join(uplink.DefaultDir, inode)
	for _, link := range []string{"eth0", "eth1"} {
		if _, err := os.Stat(filepath.Join(dir, link, "generic")); err != nil {
			k.t.Error(err)
		}
	}
	return dir
}

// etherType switches the fault of leaf1's own packets off and on.
func (k *kept) etherType() {
	k.t.Helper()
	const on = "on: IPv4 packets of leaf1's own go to the servers marked as IPv6\n"
	for _, c := range []struct{ word, want string }{{"", on}, {"off", "off\n"}, {"off", "off\n"}, {"", "off\n"}, {"on", on}} {
		args := strings.Fields("fault leaf1 ethertype " + c.word)
		if said, failed := k.output(args...); failed || said != c.want {
			k.t.Errorf("%q: failed %v, said %q, want %q", args, failed, said, c.want)
		}
	}
	for want, args := range map[string]string{
		`ethertype "maybe" is not allowed`: "fault leaf1 ethertype maybe",
		"leaf2 is no Junos leaf":           "fault leaf2 ethertype on",
	} {
		if said, failed := k.run(strings.Fields(args)...); !failed || !strings.Contains(said, want) {
			k.t.Errorf("%q: failed %v, said %q, want %q", args, failed, said, want)
		}
	}
}

// output runs a command on the fabric, and returns what it prints.
func (k *kept) output(args ...string) (text string, failed bool) {
	k.t.Helper()
	cmd, _ := labCommand(k.t, k.b, append(args, "--name", k.name)...)
	cmd.Stdout = nil
	out, err := cmd.Output()
	return string(out), err != nil
}

// faults lets the leaf's simulated Junos cut a reply off, by hand.
func (k *kept) faults() {
	k.t.Helper()
	k.mustRun("fault", "leaf1", "drop", "rpc=get-ipv6-nd-information", "after=100")
	k.mustRun("fault", "leaf1", "refuse", "text=neighbor fe80::dead", "count=all")
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		said, failed := k.output("fault", "leaf1", "log")
		if !failed && strings.Contains(said, "drop rpc=get-ipv6-nd-information after=100") {
			break
		}
		if failed || time.Now().After(deadline) {
			k.t.Fatalf("the fault did not strike (failed %v): %s", failed, said)
		}
	}
	if said, failed := k.output("fault", "leaf1", "list"); failed || said != "2\trefuse count=all text=\"neighbor fe80::dead\"\tmatches 0\n" {
		k.t.Errorf("list: failed %v, %q", failed, said)
	}
	for want, args := range map[string][]string{
		`fault "burn" is unknown`:    {"fault", "leaf1", "burn"},
		"runs no simulated Junos":    {"fault", "leaf2", "drop"},
		`there is no fault "9"`:      {"fault", "leaf1", "clear", "9"},
		"profile \"9.6\" is unknown": {"up", "--junos", "9.6"},
	} {
		if said, failed := k.run(args...); !failed || !strings.Contains(said, want) {
			k.t.Errorf("%q: failed %v, said %q, want %q", args, failed, said, want)
		}
	}
	k.mustRun("fault", "leaf1", "clear")
}

func TestStopAndStart(t *testing.T) {
	k := &kept{t, binaries(t), fabricName("stop")}
	t.Cleanup(func() { k.mustRun("down") })
	k.mustRun("up", "--junos", "20.4R1")
	k.faults()
	parts := []struct{ node, daemon string }{{"leaf1", "junos"}, {"leaf1-agent", "switchagent"}, {"bms1", "hostagent"}}
	for _, p := range parts {
		k.mustRun("stop", p.node)
		if missing := k.status().Missing; !strings.Contains(missing, p.node+": "+p.daemon+" does not run") {
			t.Errorf("%s stopped, missing: %q", p.node, missing)
		}
		k.mustRun("stop", p.node) // twice is no error
	}
	for _, p := range parts {
		k.mustRun("start", p.node)
	}
	k.awaitConverged()
	for _, args := range [][]string{{"start", "bms1"}, {"stop", "spine1"}, {"start", "nobody"}} {
		if said, failed := k.run(args...); !failed || said == "" {
			t.Errorf("%v: no error", args)
		}
	}
	// Killed, a daemon leaves its socket behind.
	if err := syscall.Kill(pid(k.status(), "bms1", "hostagent"), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	k.mustRun("stop", "bms1")
	k.mustRun("start", "bms1")
	k.awaitConverged()
}
