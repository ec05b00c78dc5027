package lab

import (
	"embed"
	"fmt"
	"net/netip"
	"strings"
	"text/template"
)

//go:embed templates
var templates embed.FS

// frrConfig is the data of the templates: an FRR node's part in the fabric.
type frrConfig struct {
	Node
	Sessions  []frrSession
	Families  []frrFamily
	Advertise []string // interfaces that send router advertisements
	RASeconds int
	// Source and Source6 are the preferred source addresses of a server's
	// routes: its links have none that could answer.
	Source, Source6 netip.Addr
}

type frrSession struct {
	Key        string // the neighbour's address, or our interface
	Unnumbered bool
	Node       string // the one at the other end
	BFD        BFDTimers
}

type frrFamily struct {
	Name     string // ipv4 or ipv6
	Networks []netip.Prefix
}

// OriginatesDefault reports whether the node offers itself as default router.
func (c frrConfig) OriginatesDefault() bool { return c.Kind == Spine }

// IsServer reports whether the node announces only what is its own, and has
// siblings of the same AS.
func (c frrConfig) IsServer() bool { return c.Kind == Server }

// frr renders zebra's and bgpd's configuration for a node.
func (t Topology) frr(n Node) (zebra, bgp string, err error) {
	c := frrConfig{Node: n, RASeconds: int(t.RAInterval.Seconds())}
	for _, p := range t.Ports(n.Name) {
		switch {
		case n.Kind == LeafJunos:
			continue // the simulated Junos configures its FRR
		case p.To.Kind == Legacy:
		case p.Address.IsValid():
			c.Sessions = append(c.Sessions, frrSession{Key: p.Peer.Address.Addr().String(), Node: p.To.Name})
		default:
			c.Sessions = append(c.Sessions, frrSession{Key: p.Interface, Unnumbered: true, Node: p.To.Name, BFD: t.bfd(p)})
		}
		if p.To.Kind != Legacy {
			c.Advertise = append(c.Advertise, p.Interface)
		}
	}
	v4, v6 := frrFamily{Name: "ipv4"}, frrFamily{Name: "ipv6"}
	for _, p := range n.Announced() {
		if p.Addr().Is4() {
			v4.Networks = append(v4.Networks, p)
		} else {
			v6.Networks = append(v6.Networks, p)
		}
	}
	c.Families = []frrFamily{v4, v6}
	if c.IsServer() {
		c.Source, c.Source6 = n.RouterID(), n.loopback6()
	}
	if zebra, err = render("zebra.conf.tmpl", c); err != nil {
		return "", "", err
	}
	if n.Kind == LeafJunos {
		return zebra, "", nil
	}
	bgp, err = render("bgpd.conf.tmpl", c)
	return zebra, bgp, err
}

func (t Topology) speaksBFD() bool { return t.BFD != BFDTimers{} }

// bfd returns the timers on a link, the zero value if no BFD is spoken there.
func (t Topology) bfd(p Port) BFDTimers {
	n, _ := t.Node(p.Node)
	if n.IsLeaf() && p.To.Kind == Server || n.Kind == Server && p.To.IsLeaf() {
		return t.BFD
	}
	return BFDTimers{}
}

// runsBFDD reports whether a node that runs FRR needs its BFD: a Junos leaf for
// what is committed there.
func (t Topology) runsBFDD(n Node) bool {
	return n.Kind == LeafJunos || t.speaksBFD() && (n.Kind == LeafFRR || n.Kind == Server)
}

func (n Node) loopback6() netip.Addr {
	for _, p := range n.Loopbacks {
		if p.Addr().Is6() {
			return p.Addr()
		}
	}
	return netip.Addr{}
}

func render(name string, data any) (string, error) {
	tmpl, err := template.ParseFS(templates, "templates/"+name)
	if err != nil {
		return "", fmt.Errorf("reading template %s: %w", name, err)
	}
	var text strings.Builder
	if err := tmpl.Execute(&text, data); err != nil {
		return "", fmt.Errorf("rendering %s: %w", name, err)
	}
	return text.String(), nil
}
