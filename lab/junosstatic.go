package lab

import (
	"fmt"
	"strings"
)

// The names in a Junos leaf's configuration that others refer to.
const (
	serverGroup = "servers"  // the BGP group that switchagent adds to
	instance    = "lastmile" // the ephemeral instance that it commits in
)

// setLines collects Junos configuration as set commands.
type setLines struct{ strings.Builder }

func (s *setLines) set(format string, args ...any) {
	fmt.Fprintf(s, "set "+format+"\n", args...)
}

// junosStatic returns the static configuration of a Junos leaf, in set lines:
// all that a network engineer writes once, and nothing about any server.
func (t Topology) junosStatic(n Node) string {
	var s setLines
	s.set("system host-name %s", n.Name)
	s.set("system services netconf ssh")
	s.set("system configuration-database ephemeral instance %s", instance)
	t.junosPorts(&s, n)
	s.set("routing-options router-id %s", n.RouterID())
	s.set("routing-options autonomous-system %d", n.AS)
	s.set("routing-options forwarding-table export per-packet")
	s.set("policy-options policy-statement per-packet then load-balance per-packet")
	for _, p := range n.Announced() {
		s.set("policy-options prefix-list own %s", p)
	}
	s.set("policy-options policy-statement announce term own from protocol direct")
	s.set("policy-options policy-statement announce term own from prefix-list own")
	s.set("policy-options policy-statement announce term own then accept")
	t.junosGroups(&s, n)
	return s.String()
}

func (t Topology) junosPorts(s *setLines, n Node) {
	s.set("interfaces %s unit 0 family inet address %s", managementPort, managementLeaf)
	for _, p := range n.Loopbacks {
		s.set("interfaces lo0 unit 0 family %s address %s", junosFamily(p.Addr().Is4()), p)
	}
	for i, subnet := range n.Subnets {
		name, unit, _ := strings.Cut(subnet.Interface, ".")
		s.set("vlans %s-%s vlan-id %d", name, unit, i+2)
		s.set("vlans %s-%s l3-interface %s", name, unit, subnet.Interface)
		family := junosFamily(subnet.Address.Addr().Is4())
		s.set("interfaces %s unit %s family %s address %s", name, unit, family, subnet.Address)
	}
	for _, p := range t.Ports(n.Name) {
		name := junosName(p.Interface)
		s.set(`interfaces %s description "%s %s"`, name, p.To.Name, p.Peer.Interface)
		switch {
		case p.Subnet != "":
			vlan := strings.Replace(p.Subnet, ".", "-", 1)
			s.set("interfaces %s unit 0 family ethernet-switching vlan members %s", name, vlan)
			continue
		case p.Address.IsValid():
			s.set("interfaces %s unit 0 family %s address %s", name, junosFamily(p.Address.Addr().Is4()), p.Address)
		}
		s.set("interfaces %s unit 0 family inet", name)
		s.set("interfaces %s unit 0 family inet6", name)
		interval := int(t.RAInterval.Seconds())
		s.set("protocols router-advertisement interface %s.0 max-advertisement-interval %d", name, interval)
	}
}

func (t Topology) junosGroups(s *setLines, n Node) {
	for _, group := range []string{"fabric", serverGroup} {
		s.set("protocols bgp group %s type external", group)
		s.set("protocols bgp group %s export announce", group)
		s.set("protocols bgp group %s advertise-peer-as", group)
		s.set("protocols bgp group %s multipath multiple-as", group)
		s.set("protocols bgp group %s family inet unicast extended-nexthop", group)
		s.set("protocols bgp group %s family inet6 unicast", group)
	}
	for _, p := range t.PortsTo(n.Name, Spine) {
		s.set("protocols bgp group fabric neighbor %s peer-as %d", p.Peer.Address.Addr(), p.To.AS)
	}
	if t.speaksBFD() {
		s.set("protocols bgp group %s bfd-liveness-detection minimum-interval %d", serverGroup, t.BFD.Milliseconds())
		s.set("protocols bgp group %s bfd-liveness-detection multiplier %d", serverGroup, t.BFD.Multiplier)
	}
	for _, as := range t.serverASes(n.Name) {
		s.set("protocols bgp group %s peer-as %d", serverGroup, as)
	}
}

func junosFamily(is4 bool) string {
	if is4 {
		return "inet"
	}
	return "inet6"
}
