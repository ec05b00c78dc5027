package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
)

// A Path is one way to a prefix in a node's BGP table.
type Path struct {
	Node   string       `json:"node"`
	Prefix netip.Prefix `json:"prefix"`
	ASPath string       `json:"asPath"` // "" for what the node originates
	Via    string       `json:"via"`    // the interface or address of the next hop
	Used   bool         `json:"used"`   // best, or as good as the best
}

// bgpTable is `show bgp ipv4 unicast json` of FRR 8.4 and `show routes -o json`
// of hostagent, which has the same keys where it has the same things.
type bgpTable struct {
	Routes map[netip.Prefix][]struct {
		Bestpath  bool
		Multipath bool
		Path      string
		Nexthop   string // hostagent
		Nexthops  []struct {
			IP   string
			Used bool
		} // FRR: a link-local one beside a global one, and which it uses
	}
}

// Paths returns all paths that a node's BGP has to a prefix.
func (f *Fabric) Paths(ctx context.Context, node string, prefix netip.Prefix) ([]Path, error) {
	out, err := f.showBGP(ctx, node)
	if err != nil {
		return nil, err
	}
	var table bgpTable
	if err := json.Unmarshal(out, &table); err != nil {
		return nil, fmt.Errorf("%s: reading its BGP table: %w", node, err)
	}
	var paths []Path
	for _, p := range table.Routes[prefix] {
		path := Path{Node: node, Prefix: prefix, ASPath: p.Path, Via: p.Nexthop, Used: p.Bestpath || p.Multipath}
		for _, h := range p.Nexthops {
			if path.Via == "" || h.Used {
				path.Via = h.IP
			}
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// showBGP returns a node's BGP table as its daemon prints it.
func (f *Fabric) showBGP(ctx context.Context, node string) ([]byte, error) {
	if n, _ := f.Topology.Node(node); n.Kind == Server && !f.runsFRR(n) {
		return f.spaces[node].Run(ctx, f.binaries.HostAgent, "show", "routes", "-o", "json", "--socket", f.hostSocket(node))
	}
	r, err := f.router(node)
	if err != nil {
		return nil, err
	}
	return r.Vtysh(ctx, "show bgp ipv4 unicast json")
}

// showPaths returns the paths of some nodes to the prefixes that the scenes
// are about, as data and as text: the BGP table's and what the kernel made of
// them.
func (f *Fabric) showPaths(ctx context.Context, nodes ...string) ([]Path, string, error) {
	var all []Path
	var text strings.Builder
	for _, node := range nodes {
		fmt.Fprintf(&text, "  %s\n", node)
		for _, prefix := range []netip.Prefix{netip.MustParsePrefix("10.0.1.1/32"), hostPrefix(bms2Address), legacyNet} {
			paths, err := f.Paths(ctx, node, prefix)
			if err != nil {
				return nil, "", err
			}
			all = append(all, paths...)
			for _, p := range paths {
				fmt.Fprintf(&text, "    %s\n", p)
			}
			route, ok, err := f.RouteTo(ctx, node, prefix)
			if err != nil {
				return nil, "", err
			}
			if ok {
				fmt.Fprintf(&text, "      kernel: %s\n", route)
			}
		}
	}
	return all, strings.TrimRight(text.String(), "\n"), nil
}

func (p Path) String() string {
	mark, asPath := " ", p.ASPath
	if p.Used {
		mark = "*"
	}
	if asPath == "" {
		asPath = "its own"
	}
	return fmt.Sprintf("%s %-18s path %-18s via %s", mark, p.Prefix, asPath, p.Via)
}
