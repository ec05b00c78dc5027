package netns_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lastmile/lab/netns"
)

func TestVethJoinsTwoNamespaces(t *testing.T) {
	a, b := netns.ForTest(t, "a"), netns.ForTest(t, "b")
	if err := netns.Veth(a, "eth0", b, "eth0"); err != nil {
		t.Fatal(err)
	}
	for ns, addr := range map[*netns.NS]string{a: "192.0.2.1/24", b: "192.0.2.2/24"} {
		if err := ns.AddAddress("eth0", addr); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.Run(t.Context(), "ping", "-c1", "-W2", "192.0.2.2"); err != nil {
		t.Error(err)
	}
	if x, y := index(t, a, "eth0"), index(t, b, "eth0"); x == y {
		t.Errorf("both ends have the interface index %d", x)
	}
	if err := b.SetDown("eth0"); err != nil {
		t.Fatal(err)
	}
	out, err := a.Run(t.Context(), "ip", "link", "show", "eth0")
	if err != nil || !strings.Contains(string(out), "NO-CARRIER") {
		t.Errorf("eth0 after its peer went down: %s (%v)", out, err)
	}
}

func index(t *testing.T, n *netns.NS, link string) (index int) {
	t.Helper()
	err := n.Do(func() error {
		i, err := net.InterfaceByName(link)
		if err == nil {
			index = i.Index
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return index
}

func TestDeleteKillsWhatRunsInside(t *testing.T) {
	n := netns.ForTest(t, "kill")
	cmd := exec.Command("sleep", "60")
	if err := n.Start(cmd); err != nil {
		t.Fatal(err)
	}
	pids, err := n.Pids()
	if err != nil || !slices.Equal(pids, []int{cmd.Process.Pid}) {
		t.Fatalf("processes inside: %v (%v), want %d", pids, err, cmd.Process.Pid)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if err := n.Delete(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the process inside ended with %v, want killed", err)
	}
	if names, err := netns.List(n.Name); err != nil || len(names) != 0 {
		t.Errorf("after deletion: %v (%v)", names, err)
	}
}

func TestNamesAreTakenOnce(t *testing.T) {
	n := netns.ForTest(t, "taken")
	if _, err := netns.New(n.Name); err == nil || !strings.Contains(err.Error(), "taken") {
		t.Errorf("second New: %v, want a name that is taken", err)
	}
}

func TestDeleteTakesHalfMadeNamespaces(t *testing.T) {
	n := netns.ForTest(t, "whole") // makes the directory too
	name := n.Name + "-half"
	path := filepath.Join("/run/netns", name)
	if err := os.WriteFile(path, nil, 0o444); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(path) })
	half, err := netns.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := half.Delete(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the name is still there (%v)", err)
	}
}
