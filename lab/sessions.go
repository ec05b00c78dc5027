package lab

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
)

// A Session is a BGP session as FRR on a spine or leaf sees it; a simulated
// Junos' sessions are those of the FRR behind it.
type Session struct {
	Node      string `json:"node"`      // whose view this is
	Interface string `json:"interface"` // its end of the link
	Peer      string `json:"peer"`      // the node at the other end
	PeerAS    uint32 `json:"peerAs"`    // 0 until an OPEN was received
	State     string `json:"state"`     // as FRR says it: Established, Active, ...
	// BFD is how the BFD session beside it is, as FRR says it: Up, Down, ...; ""
	// for none.
	BFD string `json:"bfd,omitempty"`
	// Uptime is how long the session has been Established, in milliseconds.
	Uptime int64 `json:"uptimeMsec"`
	// Established and Dropped count how often the session came up and went.
	Established int `json:"connectionsEstablished"`
	Dropped     int `json:"connectionsDropped"`
}

// Up reports whether the session is Established.
func (s Session) Up() bool { return s.State == "Established" }

// frrNeighbor is a neighbour in `show bgp neighbors json` (FRR 8.4).
type frrNeighbor struct {
	BGPNeighborAddr        string
	RemoteAS               uint32
	BGPState               string
	BGPTimerUpMsec         int64
	ConnectionsEstablished int
	ConnectionsDropped     int
	PeerBFDInfo            struct{ Status string }
}

// Sessions returns the BGP sessions of a node that runs FRR, one for every
// configured neighbour on one of its links, sorted by interface.
func (f *Fabric) Sessions(ctx context.Context, node string) ([]Session, error) {
	r, err := f.router(node)
	if err != nil {
		return nil, err
	}
	out, err := r.Vtysh(ctx, "show bgp neighbors json")
	if err != nil {
		return nil, err
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(out, &raw); err != nil {
		return nil, fmt.Errorf("%s: reading show bgp neighbors: %w", node, err)
	}
	ports, err := f.portsByNeighbor(node)
	if err != nil {
		return nil, err
	}
	var sessions []Session
	for key, text := range raw {
		var n frrNeighbor
		// Not every key is a neighbour: bgpNoSuchNeighbor is a boolean.
		if json.Unmarshal(text, &n) != nil || n.BGPState == "" {
			continue
		}
		port, ok := ports[key]
		if !ok {
			port, ok = ports[n.BGPNeighborAddr]
		}
		if ok {
			sessions = append(sessions, n.session(port))
		}
	}
	slices.SortFunc(sessions, func(a, b Session) int {
		return cmp.Or(cmp.Compare(len(a.Interface), len(b.Interface)), cmp.Compare(a.Interface, b.Interface))
	})
	return sessions, nil
}

func (n frrNeighbor) session(p Port) Session {
	s := Session{
		Node: p.Node, Interface: p.Interface, Peer: p.To.Name,
		PeerAS: n.RemoteAS, State: n.BGPState, BFD: n.PeerBFDInfo.Status,
		Established: n.ConnectionsEstablished, Dropped: n.ConnectionsDropped,
	}
	if s.Up() {
		s.Uptime = n.BGPTimerUpMsec
	}
	return s
}

// portsByNeighbor finds the link of a BGP neighbour by any of the names that
// FRR has for one: our interface, or an address at the other end.
func (f *Fabric) portsByNeighbor(node string) (map[string]Port, error) {
	byName := map[string]Port{}
	addresses := map[string]map[string][]netip.Addr{} // by node and interface
	for _, p := range f.Topology.Ports(node) {
		byName[p.Interface] = p
		if addresses[p.To.Name] == nil {
			all, err := f.addresses6(p.To.Name)
			if err != nil {
				return nil, err
			}
			addresses[p.To.Name] = all
		}
		for _, a := range addresses[p.To.Name][p.Peer.Interface] {
			byName[a.String()] = p
		}
	}
	return byName, nil
}

// addresses6 returns the IPv6 addresses of a node by interface.
func (f *Fabric) addresses6(node string) (map[string][]netip.Addr, error) {
	addresses := map[string][]netip.Addr{}
	err := f.spaces[node].Do(func() error {
		links, err := netlink.LinkList()
		if err != nil {
			return err
		}
		names := map[int]string{}
		for _, l := range links {
			names[l.Attrs().Index] = l.Attrs().Name
		}
		list, err := netlink.AddrList(nil, netlink.FAMILY_V6)
		for _, a := range list {
			if addr, ok := netip.AddrFromSlice(a.IP); ok {
				addresses[names[a.LinkIndex]] = append(addresses[names[a.LinkIndex]], addr)
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: reading addresses: %w", node, err)
	}
	return addresses, nil
}

// AwaitConverged waits until every link between routers and to servers that
// are awake has an Established session, with BFD where the topology has it, and
// every such server has a route to
// every other one over all its links. The error says what is still missing
// after 90 seconds: three intervals between the talk's router advertisements.
func (f *Fabric) AwaitConverged(ctx context.Context) error {
	const limit = 90 * time.Second
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not converged after %v", limit))
	defer cancel()
	return f.await(ctx, func() error { return f.Converged(ctx) })
}

// await repeats check until it returns nil; its last error is the reason when
// ctx ends before.
func (f *Fabric) await(ctx context.Context, check func() error) error {
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Converged returns nil if the fabric is as AwaitConverged describes it.
func (f *Fabric) Converged(ctx context.Context) error {
	for _, n := range f.Topology.OfKind(Spine, LeafFRR, LeafJunos) {
		sessions, err := f.Sessions(ctx, n.Name)
		if err != nil {
			return err
		}
		for _, p := range f.Topology.PortsTo(n.Name, Spine, LeafFRR, LeafJunos, Server) {
			if p.Down || !f.awake(p.To) {
				continue
			}
			if err := f.checkSession(sessions, p); err != nil {
				return err
			}
		}
	}
	for _, from := range f.Topology.OfKind(Server) {
		for _, to := range f.Topology.OfKind(Server) {
			if from.Name == to.Name || !f.awake(from) || !f.awake(to) {
				continue
			}
			if err := f.checkRoute(ctx, from, to); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkSession returns nil if the port's session is Established, and BFD up
// where it is spoken.
func (f *Fabric) checkSession(sessions []Session, p Port) error {
	i := slices.IndexFunc(sessions, func(s Session) bool { return s.Interface == p.Interface })
	if i < 0 || !sessions[i].Up() {
		return fmt.Errorf("%s has no session with %s on %s", p.Node, p.To.Name, p.Interface)
	}
	if f.Topology.bfd(p) != (BFDTimers{}) && sessions[i].BFD != "Up" {
		return fmt.Errorf("%s has no BFD session with %s on %s", p.Node, p.To.Name, p.Interface)
	}
	return nil
}

// awake reports whether a node's daemons shall run; only servers sleep, and
// those of an opened fabric do not.
func (f *Fabric) awake(n Node) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return n.Kind != Server || f.hosts[n.Name] != nil
}

// checkRoute returns nil if from's kernel has a route to to's loopback over
// all of from's links.
func (f *Fabric) checkRoute(ctx context.Context, from, to Node) error {
	dst := netip.PrefixFrom(to.RouterID(), to.RouterID().BitLen())
	route, ok, err := f.RouteTo(ctx, from.Name, dst)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("%s has no route to %s", from.Name, dst)
	}
	if missing := missingHops(route, f.uplinks(from)); len(missing) > 0 {
		return fmt.Errorf("%s has a route to %s, but not over %v", from.Name, dst, missing)
	}
	return nil
}

// uplinks returns the interfaces of a server that lead to leaves.
func (f *Fabric) uplinks(n Node) []string {
	var names []string
	for _, p := range f.Topology.PortsTo(n.Name, LeafFRR, LeafJunos) {
		if !p.Down {
			names = append(names, p.Interface)
		}
	}
	return names
}

// missingHops returns the devices that the route does not use.
func missingHops(r Route, devices []string) []string {
	used := r.Devices()
	return slices.DeleteFunc(slices.Clone(devices), func(d string) bool { return slices.Contains(used, d) })
}
