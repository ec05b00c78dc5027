package bgp_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/ndp"

	"lastmile/hostagent/bgp"
	"lastmile/lab/frr"
	"lastmile/lab/netns"
)

// The server, AS 64512, is fe80::a on all its links, and every leaf is fe80::1.
var (
	server = netip.MustParseAddr("fe80::a")
	leaf0  = netip.MustParseAddr("fe80::1%eth0")
	leaf1  = netip.MustParseAddr("fe80::1%eth1")
)

func newNS(t testing.TB, label string) *netns.NS {
	t.Helper()
	ns := netns.ForTest(t, label)
	// The addresses are ours to choose: no link-local by itself.
	if err := ns.Sysctl("net.ipv6.conf.default.addr_gen_mode", "1"); err != nil {
		t.Fatal(err)
	}
	return ns
}

// A plug is one end of a cable.
type plug struct {
	*netns.NS
	link string
}

// connect joins the server's interface to the leaf's.
func connect(t testing.TB, host, leaf plug) {
	t.Helper()
	if err := netns.Veth(host.NS, host.link, leaf.NS, leaf.link); err != nil {
		t.Fatal(err)
	}
	if err := host.AddAddress(host.link, server.String()+"/64"); err != nil {
		t.Fatal(err)
	}
	if err := leaf.AddAddress(leaf.link, "fe80::1/64"); err != nil {
		t.Fatal(err)
	}
}

// startLeaf runs FRR in AS as, with a neighbour statement for each of
// neighbors, announcing 10.9.0.0/24 and 2001:db8:9::/48.
func startLeaf(t testing.TB, ns *netns.NS, as int, neighbors ...string) *frr.Router {
	t.Helper()
	text := fmt.Sprintf(`router bgp %d
 bgp router-id 10.255.255.1
 no bgp ebgp-requires-policy
 no bgp network import-check
 no bgp default ipv4-unicast
 %s
 address-family ipv4 unicast
  network 10.9.0.0/24
  %s
 address-family ipv6 unicast
  network 2001:db8:9::/48
  %s
`, as, statements(neighbors, "%s"), statements(neighbors, "%s activate"), statements(neighbors, "%s activate"))
	return frr.ForTest(t, frr.Config{NS: ns, BGP: text})
}

// statements writes a neighbour statement, its first word being the neighbour
// and the rest, separated by semicolons, what is said of it.
func statements(neighbors []string, format string) string {
	var lines []string
	for _, n := range neighbors {
		name, rest, _ := strings.Cut(n, " ")
		if format != "%s" {
			lines = append(lines, "neighbor "+fmt.Sprintf(format, name))
			continue
		}
		for clause := range strings.SplitSeq(rest, "; ") {
			lines = append(lines, "neighbor "+name+" "+clause)
		}
	}
	return strings.Join(lines, "\n ")
}

const (
	static     = "fe80::a remote-as 64512; interface swp1; capability extended-nexthop"
	unnumbered = "interface remote-as external"
)

func serverConfig() speakerConfig {
	return speakerConfig{AS: 64512, RouterID: netip.MustParseAddr("10.0.1.1")}
}

// newPair is a server with a running speaker, linked to a leaf.
func newPair(t *testing.T, as int, neighbor string) (*speaker, *netns.NS, *frr.Router) {
	t.Helper()
	host, leaf := newNS(t, "server"), newNS(t, "leaf")
	connect(t, plug{host, "eth0"}, plug{leaf, "swp1"})
	router := startLeaf(t, leaf, as, neighbor)
	return startSpeaker(t, host, serverConfig()), leaf, router
}

// await polls until done, for what a leaf does in its own time.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.After(patience); !done(); {
		select {
		case <-deadline:
			t.Fatalf("waited %v for %s", patience, what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func whatever(bgp.Route) bool { return true }

// vtysh runs a show command and decodes its JSON.
func vtysh(t *testing.T, r *frr.Router, command string, into any) {
	t.Helper()
	out, err := r.Vtysh(t.Context(), command)
	if err == nil {
		err = json.Unmarshal(out, into)
	}
	if err != nil {
		t.Fatalf("%s: %v: %s", command, err, out)
	}
}

// learned lists the prefixes that the leaf has from its neighbours.
func learned(t *testing.T, r *frr.Router, family string) []string {
	t.Helper()
	var table struct {
		Routes map[string][]struct {
			PeerID string `json:"peerId"`
		}
	}
	vtysh(t, r, "show bgp "+family+" unicast json", &table)
	var all []string
	for prefix, paths := range table.Routes {
		for _, p := range paths {
			if p.PeerID != "(unspec)" {
				all = append(all, prefix)
			}
		}
	}
	slices.Sort(all)
	return all
}

func awaitLearned(t *testing.T, r *frr.Router, family string, want ...string) {
	t.Helper()
	await(t, fmt.Sprintf("the leaf to learn %v", want), func() bool {
		return slices.Equal(learned(t, r, family), want)
	})
}

// advertise sends one router advertisement, which is what an unnumbered leaf
// waits for.
func advertise(t testing.TB, ns *netns.NS, link string) {
	t.Helper()
	err := ns.Do(func() error {
		ifi, err := net.InterfaceByName(link)
		if err != nil {
			return err
		}
		ifi.Name = strconv.Itoa(ifi.Index) // names are known in the test's own namespace only
		c, _, err := ndp.Listen(ifi, ndp.LinkLocal)
		if err != nil {
			return err
		}
		defer c.Close()
		return c.WriteTo(&ndp.RouterAdvertisement{}, nil, netip.IPv6LinkLocalAllNodes())
	})
	if err != nil {
		t.Fatal(err)
	}
}
