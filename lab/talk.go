package lab

import (
	"fmt"
	"net/netip"
	"time"
)

// Talk returns the fabric of the talk: a spine, a Junos leaf, a leaf of
// another vendor, two servers with one link to each leaf, and a legacy host
// whose second link is a cold backup.
func Talk() Topology {
	return Topology{
		Name:       "lm",
		RAInterval: 30 * time.Second,
		BFD:        BFDTimers{300 * time.Millisecond, 3}, // hostagent's defaults
		Nodes: []Node{
			{Name: "spine1", Kind: Spine, AS: 65201, Loopbacks: prefixes("10.255.255.201/32", "c0d1:ffff::201/128")},
			{
				Name: "leaf1", Kind: LeafJunos, AS: 65001, Loopbacks: prefixes("10.255.255.1/32", "c0d1:ffff::1/128"),
				Subnets: []Subnet{{"irb.2", netip.MustParsePrefix("192.168.101.254/24")}},
			},
			{
				Name: "leaf2", Kind: LeafFRR, AS: 65002, Loopbacks: prefixes("10.255.255.2/32", "c0d1:ffff::2/128"),
				Subnets: []Subnet{{"vlan2", netip.MustParsePrefix("192.168.102.254/24")}},
			},
			{
				Name: "bms1", Kind: Server, AS: 64512, Loopbacks: prefixes("10.0.1.1/32", "c0d1::1/128"),
				Anycast: prefixes("192.168.0.250/32"),
			},
			{
				Name: "bms2", Kind: Server, AS: 64512, Loopbacks: prefixes("10.0.2.2/32", "c0d1::2/128"),
				Anycast: prefixes("192.168.0.250/32"),
			},
			{Name: "legacy", Kind: Legacy, Gateway: netip.MustParseAddr("192.168.101.254")},
		},
		Links: []Link{
			{A: addressed("leaf1", "ge-0-0-0", "fc00:1::1/64"), B: addressed("spine1", "swp1", "fc00:1::201/64")},
			{A: addressed("leaf2", "swp0", "fc00:2::2/64"), B: addressed("spine1", "swp2", "fc00:2::201/64")},
			{A: bare("leaf1", "ge-0-0-1"), B: bare("bms1", "eth0")},
			{A: bare("leaf2", "swp1"), B: bare("bms1", "eth1")},
			{A: bare("leaf1", "ge-0-0-2"), B: bare("bms2", "eth0")},
			{A: bare("leaf2", "swp2"), B: bare("bms2", "eth1")},
			{A: member("leaf1", "ge-0-0-3", "irb.2"), B: addressed("legacy", "eth0", "192.168.101.20/24")},
			{A: member("leaf2", "swp3", "vlan2"), B: addressed("legacy", "eth1", "192.168.102.20/24"), Down: true},
		},
	}
}

// A Size is what [Clos] needs to know. Every server has Links links to every
// leaf, and every leaf one to the only spine.
type Size struct {
	Leaves  int // 1 to 100
	Servers int // 1 to 250
	Links   int // per server and leaf, at least 1
}

// Clos returns a fabric of the given size, addressed as the talk's is: FRR
// leaves leaf1 (AS 65001) and on, servers bms1 (10.0.1.1, AS 64512) and on.
func Clos(name string, size Size) (Topology, error) {
	if size.Leaves < 1 || size.Leaves > 100 || size.Servers < 1 || size.Servers > 250 || size.Links < 1 {
		return Topology{}, fmt.Errorf("fabric of %+v: want 1 to 100 leaves, 1 to 250 servers, 1 or more links", size)
	}
	t := Topology{Name: name, RAInterval: 30 * time.Second}
	t.Nodes = append(t.Nodes, Node{
		Name: "spine1", Kind: Spine, AS: 65201, Loopbacks: prefixes("10.255.255.201/32", "c0d1:ffff::201/128"),
	})
	for leaf := 1; leaf <= size.Leaves; leaf++ {
		t.Nodes = append(t.Nodes, Node{
			Name: fmt.Sprintf("leaf%d", leaf), Kind: LeafFRR, AS: 65000 + uint32(leaf),
			Loopbacks: prefixes(fmt.Sprintf("10.255.255.%d/32", leaf), fmt.Sprintf("c0d1:ffff::%d/128", leaf)),
		})
		t.Links = append(t.Links, Link{
			A: addressed(fmt.Sprintf("leaf%d", leaf), "swp0", fmt.Sprintf("fc00:%d::1/64", leaf)),
			B: addressed("spine1", fmt.Sprintf("swp%d", leaf), fmt.Sprintf("fc00:%d::201/64", leaf)),
		})
	}
	for server := 1; server <= size.Servers; server++ {
		t.Nodes = append(t.Nodes, Node{
			Name: fmt.Sprintf("bms%d", server), Kind: Server, AS: 64512,
			Loopbacks: prefixes(fmt.Sprintf("10.0.%d.%[1]d/32", server), fmt.Sprintf("c0d1::%d/128", server)),
		})
		t.Links = append(t.Links, serverLinks(server, size)...)
	}
	return t, nil
}

func serverLinks(server int, size Size) []Link {
	var links []Link
	for leaf := 1; leaf <= size.Leaves; leaf++ {
		for k := range size.Links {
			links = append(links, Link{
				A: bare(fmt.Sprintf("leaf%d", leaf), fmt.Sprintf("swp%d", (server-1)*size.Links+k+1)),
				B: bare(fmt.Sprintf("bms%d", server), fmt.Sprintf("eth%d", (leaf-1)*size.Links+k)),
			})
		}
	}
	return links
}

func bare(node, iface string) End { return End{Node: node, Interface: iface} }

func addressed(node, iface, address string) End {
	return End{Node: node, Interface: iface, Address: netip.MustParsePrefix(address)}
}

func member(node, iface, subnet string) End {
	return End{Node: node, Interface: iface, Subnet: subnet}
}

func prefixes(texts ...string) []netip.Prefix {
	var ps []netip.Prefix
	for _, s := range texts {
		ps = append(ps, netip.MustParsePrefix(s))
	}
	return ps
}
