package lab

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestConfigurations compares what the nodes of the talk are given with files
// in testdata: to be read by eyes, and to be seen in a diff.
func TestConfigurations(t *testing.T) {
	talk := Talk()
	node := func(topology Topology, name string) Node {
		n, ok := topology.Node(name)
		if !ok {
			t.Fatalf("no node %s", name)
		}
		return n
	}
	golden(t, "leaf1.set", talk.junosStatic(node(talk, "leaf1")))
	golden(t, "bms1.hostagent.yaml", hostAgentConfig(node(talk, "bms1")))
	frr := talk.AllFRR()
	for _, name := range []string{"spine1", "leaf2", "bms1"} {
		zebra, bgp, err := frr.frr(node(frr, name))
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name+".zebra.conf", zebra)
		golden(t, name+".bgpd.conf", bgp)
	}
}

func TestJunosLeafGetsItsRoutingFromJunos(t *testing.T) {
	talk := Talk()
	n, _ := talk.Node("leaf1")
	_, bgp, err := talk.frr(n)
	if err != nil || bgp != "" {
		t.Errorf("BGP configuration behind a Junos leaf: %q (%v), want none", bgp, err)
	}
}

func TestJunosNames(t *testing.T) {
	talk := Talk()
	n, _ := talk.Node("leaf1")
	want := map[string]string{
		"em0": "em0", "irb.2": "irb.2",
		"ge-0/0/0": "ge-0-0-0", "ge-0/0/1": "ge-0-0-1", "ge-0/0/2": "ge-0-0-2", "ge-0/0/3": "ge-0-0-3",
	}
	if diff := cmp.Diff(want, talk.junosInterfaces(n)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// TestServerPorts: the switchagent sees the links to servers and no other.
func TestServerPorts(t *testing.T) {
	talk := Talk()
	leaf, _ := talk.Node("leaf1")
	if got, want := talk.serverPorts(leaf), "ge-0/0/1.0, ge-0/0/2.0"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := (Topology{}).serverPorts(leaf); got != "none" {
		t.Errorf("without servers: %q", got)
	}
}
