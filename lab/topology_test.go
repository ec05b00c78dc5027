package lab

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTalkIsValid(t *testing.T) {
	for _, topology := range []Topology{Talk(), Talk().AllFRR()} {
		if err := topology.Validate(); err != nil {
			t.Error(err)
		}
	}
}

func TestAllFRRLeavesTheOriginalAlone(t *testing.T) {
	talk := Talk()
	frr := talk.AllFRR()
	if len(frr.OfKind(LeafJunos)) != 0 || len(frr.OfKind(LeafFRR)) != 2 {
		t.Errorf("leaves of AllFRR: %v", frr.OfKind(LeafJunos, LeafFRR))
	}
	if len(talk.OfKind(LeafJunos)) != 1 {
		t.Error("AllFRR has changed the fabric that it was made from")
	}
}

func TestClos(t *testing.T) {
	for _, size := range []Size{{1, 1, 1}, {2, 3, 2}, {100, 2, 1}, {1, 250, 1}} {
		c, err := Clos("clos", size)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Validate(); err != nil {
			t.Errorf("%+v: %v", size, err)
		}
		for _, server := range c.OfKind(Server) {
			if n := len(c.PortsTo(server.Name, LeafFRR)); n != size.Leaves*size.Links {
				t.Errorf("%+v: %s has %d links", size, server.Name, n)
			}
		}
	}
	for _, size := range []Size{{0, 1, 1}, {1, 0, 1}, {1, 1, 0}, {101, 1, 1}, {1, 251, 1}} {
		if _, err := Clos("clos", size); err == nil {
			t.Errorf("%+v: no error", size)
		}
	}
}

func TestCrowd(t *testing.T) {
	c, err := Crowd("crowd", 200)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	if _, err := Crowd("crowd", 0); err == nil {
		t.Error("a crowd of nobody: no error")
	}
}

func TestPortsSeeLinksFromBothEnds(t *testing.T) {
	talk := Talk()
	describe := func(node string) (all []string) {
		for _, p := range talk.Ports(node) {
			all = append(all, p.Interface+" to "+p.To.Name+" "+p.Peer.Interface)
		}
		return all
	}
	for node, want := range map[string][]string{
		"bms1":   {"eth0 to leaf1 ge-0-0-1", "eth1 to leaf2 swp1"},
		"spine1": {"swp1 to leaf1 ge-0-0-0", "swp2 to leaf2 swp0"},
	} {
		if got := describe(node); !slices.Equal(got, want) {
			t.Errorf("ports of %s: %q, want %q", node, got, want)
		}
	}
}

func TestValidateNamesWhatIsWrong(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(*Topology)
		want  string
	}{
		{"no name", func(t *Topology) { t.Name = "" }, `name ""`},
		{"a name that could be part of another's", func(t *Topology) { t.Name = "lm-x" }, `name "lm-x"`},
		{"RA interval", func(t *Topology) { t.RAInterval = time.Second }, "RA interval 1s"},
		{"Junos", func(t *Topology) { t.Junos = "9.6" }, `profile "9.6" is unknown: 18.4R1,`},
		{"node twice", func(t *Topology) { t.Nodes[1].Name = "spine1" }, `node "spine1": the name is taken`},
		{"node name", func(t *Topology) { t.Nodes[1].Name = "leaf-1" }, `node "leaf-1"`},
		{"no AS", func(t *Topology) { t.Nodes[3].AS = 0 }, `node "bms1": a server needs an AS`},
		{"no loopback", func(t *Topology) { t.Nodes[3].Loopbacks = nil }, `node "bms1": a server needs an IPv4 loopback`},
		{"kind", func(t *Topology) { t.Nodes[0].Kind = "router" }, `kind "router"`},
		{"daemon", func(t *Topology) { t.Nodes[3].Daemon = "bird" }, `daemon "bird"`},
		{"two ASes on a Junos leaf", func(t *Topology) { t.Nodes[4].AS = 64513 }, `[64512 64513]`},
		{"link to nowhere", func(t *Topology) { t.Links[2].B.Node = "bms9" }, `link 2: there is no node "bms9"`},
		{"port twice", func(t *Topology) { t.Links[4].A.Interface = "ge-0-0-1" }, "link 4: leaf1 ge-0-0-1: the interface is taken"},
		{"long port", func(t *Topology) { t.Links[4].A.Interface = "hundredGigE-0-0-1" }, "hundredGigE-0-0-1"},
		{"unknown subnet", func(t *Topology) { t.Links[6].A.Subnet = "irb.3" }, `no subnet "irb.3"`},
		{"subnet without address", func(t *Topology) { t.Nodes[1].Subnets[0].Address = netip.Prefix{} }, `subnet "irb.2"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			topology := Talk()
			tt.spoil(&topology)
			if err := topology.Validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}
