package lab

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"

	"lastmile/lab/netns"
)

// build makes namespaces, links and addresses. Links that are down at the
// start stay so.
func (f *Fabric) build() error {
	for _, n := range f.nodes() {
		if err := f.buildNode(n); err != nil {
			return err
		}
	}
	for _, l := range f.Topology.Links {
		if err := f.buildLink(l); err != nil {
			return err
		}
	}
	for _, n := range f.Topology.OfKind(LeafJunos) {
		if err := f.mistype(n, true); err != nil {
			return err
		}
	}
	// The last, since a route needs the link that leads to its gateway.
	for _, n := range f.Topology.OfKind(Legacy) {
		if err := f.addDefault(n); err != nil {
			return err
		}
	}
	return nil
}

func (f *Fabric) buildNode(n Node) error {
	ns, err := netns.New(f.space(n.Name))
	if err != nil {
		return err
	}
	f.spaces[n.Name] = ns
	for _, s := range sysctls(n.Kind) {
		if err := ns.Sysctl(s.key, s.value); err != nil {
			return err
		}
	}
	for _, p := range append(n.Loopbacks[:len(n.Loopbacks):len(n.Loopbacks)], n.Anycast...) {
		if err := ns.AddAddress("lo", p.String()); err != nil {
			return err
		}
	}
	for _, s := range n.Subnets {
		if err := addBridge(ns, s.Interface); err != nil {
			return err
		}
		if err := ns.AddAddress(s.Interface, s.Address.String()); err != nil {
			return err
		}
	}
	return nil
}

type sysctl struct{ key, value string }

// sysctls returns what a node's kernel needs before its interfaces exist.
func sysctls(k Kind) []sysctl {
	switch k {
	case Server:
		// As systemd sets it up on Debian 12 (50-default.conf), whatever the
		// machine under the lab has. What a server needs, its daemon sets.
		return []sysctl{
			{"net.ipv4.conf.all.rp_filter", "0"},
			{"net.ipv4.conf.default.rp_filter", "2"},
		}
	case Legacy, Sidecar:
		return nil
	}
	return []sysctl{
		{"net.ipv4.ip_forward", "1"},
		{"net.ipv6.conf.all.forwarding", "1"},
		// Spread flows by their ports too: all flows between two servers
		// have the same pair of addresses.
		{"net.ipv4.fib_multipath_hash_policy", "1"},
		{"net.ipv6.fib_multipath_hash_policy", "1"},
		// Off: a server's packets may come in over a leaf that would answer
		// over another one. The loose mode drops those too on an interface
		// that has no IPv4 address (__fib_validate_source, no_addr).
		{"net.ipv4.conf.all.rp_filter", "0"},
		{"net.ipv4.conf.default.rp_filter", "0"},
	}
}

func addBridge(ns *netns.NS, name string) error {
	err := ns.Do(func() error {
		return netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}})
	})
	if err != nil {
		return fmt.Errorf("%s: adding bridge %s: %w", ns.Name, name, err)
	}
	return ns.SetUp(name)
}

func (f *Fabric) buildLink(l Link) error {
	a, b := f.spaces[l.A.Node], f.spaces[l.B.Node]
	if err := netns.Veth(a, l.A.Interface, b, l.B.Interface); err != nil {
		return err
	}
	if l.Down {
		if err := errors.Join(a.SetDown(l.A.Interface), b.SetDown(l.B.Interface)); err != nil {
			return err
		}
	}
	return errors.Join(f.buildEnd(l.A), f.buildEnd(l.B))
}

func (f *Fabric) buildEnd(e End) error {
	ns := f.spaces[e.Node]
	if e.Address.IsValid() {
		if err := ns.AddAddress(e.Interface, e.Address.String()); err != nil {
			return err
		}
	}
	if e.Subnet == "" {
		return nil
	}
	return enslave(ns, e.Interface, e.Subnet)
}

func (f *Fabric) addDefault(n Node) error {
	if !n.Gateway.IsValid() {
		return nil
	}
	err := f.spaces[n.Name].Do(func() error {
		return netlink.RouteAdd(&netlink.Route{Gw: n.Gateway.AsSlice()})
	})
	if err != nil {
		return fmt.Errorf("%s: default route by %s: %w", n.Name, n.Gateway, err)
	}
	return nil
}
