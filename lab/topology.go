package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"time"

	"lastmile/lab/junos"
)

// A Kind is the part a node plays in the fabric.
type Kind string

// The kinds of nodes.
const (
	Spine     Kind = "spine"      // FRR; joins the leaves and originates the default routes
	LeafFRR   Kind = "leaf-frr"   // FRR; discovers the servers' BGP speakers by itself
	LeafJunos Kind = "leaf-junos" // simulated Junos; a switchagent beside it adds the servers
	Server    Kind = "server"     // announces its loopbacks over every link it has
	Legacy    Kind = "legacy"     // a host without BGP, in a subnet of a leaf
	Sidecar   Kind = "sidecar"    // a Junos leaf's switchagent; it follows from the leaf
)

// A Daemon is what a server runs to join the fabric.
type Daemon string

// The daemons of servers.
const (
	HostAgent Daemon = "hostagent"
	HostFRR   Daemon = "frr" // zebra and bgpd, `neighbor eth0 interface remote-as external`
)

// A Topology is a whole fabric as data.
type Topology struct {
	// Name begins the names of the namespaces (NAME-NODE) and is that of the
	// state directory: lower-case letters and digits, at most 16 of them.
	Name  string
	Nodes []Node
	Links []Link
	// RAInterval is the time between two unsolicited router advertisements of
	// a leaf on a link to a server: whole seconds, 4 to 1800 (RFC 4861, 6.2.1).
	RAInterval time.Duration
	// Junos is the release whose habits the Junos leaves have, one of
	// junos.Profiles; empty is one without any.
	Junos string
	// BFD is spoken between leaves and servers; hostagent does so anyhow, by its
	// own defaults. The zero value: leaves and FRR do not.
	BFD BFDTimers
}

// A Node is one machine or switch.
type Node struct {
	Name string
	Kind Kind
	AS   uint32 // 0 for a legacy host
	// Loopbacks are on lo and announced; the first IPv4 one is the router ID.
	Loopbacks []netip.Prefix
	// Anycast are on lo and announced too, but shared with other servers.
	Anycast []netip.Prefix
	// Subnets are a leaf's, for hosts without BGP.
	Subnets []Subnet
	// Gateway is a legacy host's default router.
	Gateway netip.Addr
	// Daemon is what a server runs; the zero value means HostAgent.
	Daemon Daemon
}

// A Subnet is a bridge in a leaf with the leaf's address on it, known on Junos
// as irb.2 and elsewhere as vlan2.
type Subnet struct {
	Interface string
	Address   netip.Prefix // the leaf's, with the length of the subnet
}

// A Link is a cable between two nodes.
type Link struct {
	A, B End
	Down bool // both ends stay down when the fabric comes up
}

// An End is a node's side of a link.
type End struct {
	Node      string
	Interface string       // the kernel's name for it; ge-0-0-1 where Junos says ge-0/0/1
	Address   netip.Prefix // the zero value: no address but the link-local one
	Subnet    string       // the interface of the node's Subnet that the port belongs to, or ""
}

// Node returns the node called name.
func (t Topology) Node(name string) (Node, bool) {
	i := slices.IndexFunc(t.Nodes, func(n Node) bool { return n.Name == name })
	if i < 0 {
		return Node{}, false
	}
	return t.Nodes[i], true
}

// OfKind returns the nodes of the given kinds in the topology's order.
func (t Topology) OfKind(kinds ...Kind) []Node {
	var nodes []Node
	for _, n := range t.Nodes {
		if slices.Contains(kinds, n.Kind) {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// A Port is a link seen from one of its ends.
type Port struct {
	End        // ours
	Peer End   // the other one
	To   Node  // the node there
	Down bool  // see Link
	Link *Link // the link itself
}

// Ports returns the links of a node as that node sees them, in the topology's
// order.
func (t Topology) Ports(node string) []Port {
	var ports []Port
	for i := range t.Links {
		l := &t.Links[i]
		for _, ends := range [][2]End{{l.A, l.B}, {l.B, l.A}} {
			if ends[0].Node == node {
				to, _ := t.Node(ends[1].Node)
				ports = append(ports, Port{End: ends[0], Peer: ends[1], To: to, Down: l.Down, Link: l})
			}
		}
	}
	return ports
}

// PortsTo returns the ports of a node whose other end is of one of the kinds.
func (t Topology) PortsTo(node string, kinds ...Kind) []Port {
	return slices.DeleteFunc(t.Ports(node), func(p Port) bool {
		return !slices.Contains(kinds, p.To.Kind)
	})
}

// RouterID is the node's first IPv4 loopback address; the zero Addr if it has
// none.
func (n Node) RouterID() netip.Addr {
	for _, p := range n.Loopbacks {
		if p.Addr().Is4() {
			return p.Addr()
		}
	}
	return netip.Addr{}
}

// IsLeaf reports whether the node is a leaf of any make.
func (n Node) IsLeaf() bool { return n.Kind == LeafFRR || n.Kind == LeafJunos }

// Announced returns the prefixes that the node originates into BGP, besides a
// spine's default routes.
func (n Node) Announced() []netip.Prefix {
	announced := slices.Concat(n.Loopbacks, n.Anycast)
	for _, s := range n.Subnets {
		announced = append(announced, s.Address.Masked())
	}
	return announced
}

// maxInterface is the longest interface name that Linux takes (IFNAMSIZ - 1).
const maxInterface = 15

// Validate returns everything that is wrong with the topology.
func (t Topology) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	errs = append(errs, checkName(t.Name))
	if t.RAInterval%time.Second != 0 || t.RAInterval < 4*time.Second || t.RAInterval > 1800*time.Second {
		bad("RA interval %v: want whole seconds from 4s to 1800s", t.RAInterval)
	}
	if _, err := junos.ProfileNamed(t.Junos); err != nil && t.Junos != "" {
		bad("Junos: %w", err)
	}
	if t.speaksBFD() {
		errs = append(errs, t.BFD.validate())
	}
	seen := map[string]bool{}
	for _, n := range t.Nodes {
		if seen[n.Name] {
			bad("node %q: the name is taken", n.Name)
		}
		seen[n.Name] = true
		errs = append(errs, n.validate())
	}
	for i, l := range t.Links {
		for _, e := range []End{l.A, l.B} {
			if err := t.validateEnd(e); err != nil {
				bad("link %d: %w", i, err)
			}
			if key := e.Node + " " + e.Interface; seen[key] {
				bad("link %d: %s: the interface is taken", i, key)
			} else {
				seen[key] = true
			}
		}
	}
	for _, n := range t.OfKind(LeafJunos) {
		if as := t.serverASes(n.Name); len(as) > 1 {
			bad("node %q: its servers are of AS %v: a Junos leaf has one group of servers, of one AS", n.Name, as)
		}
	}
	return errors.Join(errs...)
}

// checkName refuses names that cannot be a fabric's. Without a dash in them, no
// name of a fabric begins that of another one's namespaces.
func checkName(name string) error {
	if !regexp.MustCompile(`^[a-z][a-z0-9]{0,15}$`).MatchString(name) {
		return fmt.Errorf("name %q: want 1 to 16 lower-case letters and digits, a letter first", name)
	}
	return nil
}

// serverASes returns the AS numbers of the servers on a leaf.
func (t Topology) serverASes(leaf string) []uint32 {
	var all []uint32
	for _, p := range t.PortsTo(leaf, Server) {
		all = append(all, p.To.AS)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (n Node) validate() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("node %q: "+format, append([]any{n.Name}, args...)...))
	}
	if !regexp.MustCompile(`^[a-z][a-z0-9]*$`).MatchString(n.Name) {
		bad("want lower-case letters and digits, a letter first")
	}
	switch n.Kind {
	case Spine, LeafFRR, LeafJunos, Server:
		if n.AS == 0 {
			bad("a %s needs an AS", n.Kind)
		}
		if !n.RouterID().IsValid() {
			bad("a %s needs an IPv4 loopback", n.Kind)
		}
	case Legacy:
	default:
		bad("kind %q: want %s, %s, %s, %s or %s", n.Kind, Spine, LeafFRR, LeafJunos, Server, Legacy)
	}
	if n.Daemon != "" && n.Daemon != HostAgent && n.Daemon != HostFRR {
		bad("daemon %q: want %s or %s", n.Daemon, HostAgent, HostFRR)
	}
	for _, s := range n.Subnets {
		if len(s.Interface) > maxInterface || !s.Address.IsValid() {
			bad("subnet %q: want a name of at most %d letters and an address", s.Interface, maxInterface)
		}
	}
	return errors.Join(errs...)
}

func (t Topology) validateEnd(e End) error {
	n, ok := t.Node(e.Node)
	if !ok {
		return fmt.Errorf("there is no node %q", e.Node)
	}
	if e.Interface == "" || len(e.Interface) > maxInterface {
		return fmt.Errorf("%s: interface %q: want 1 to %d letters", e.Node, e.Interface, maxInterface)
	}
	inSubnet := func(s Subnet) bool { return s.Interface == e.Subnet }
	if e.Subnet != "" && !slices.ContainsFunc(n.Subnets, inSubnet) {
		return fmt.Errorf("%s %s: the node has no subnet %q", e.Node, e.Interface, e.Subnet)
	}
	return nil
}

// AllFRR returns the same fabric with FRR in the places of Junos and of our
// agents: what one would run without them.
func (t Topology) AllFRR() Topology {
	t.Nodes = slices.Clone(t.Nodes)
	for i := range t.Nodes {
		switch n := &t.Nodes[i]; n.Kind {
		case LeafJunos:
			n.Kind = LeafFRR
		case Server:
			n.Daemon = HostFRR
		}
	}
	return t
}
