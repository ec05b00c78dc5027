package lab_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"lastmile/lab/frr"
	"lastmile/lab/junos"
	"lastmile/lab/netns"
)

// A rack is a rig whose router is a real FRR, with two servers that are FRRs too: the honest one, and one
// that announces what it likes. The agent has an inventory of both.
type rack struct {
	*rig
	leaf          *frr.Router
	honest, rogue *machine
	inventory     string
	metrics       string // address
	table         string // what the inventory was at first, once a test has changed it
}

type machine struct {
	*frr.Router
	ns          *netns.NS
	port, local string
	as          int
	own, own6   string // what it announces, with the shared 10.9.9.9/32
}

// may is all that the leaf is to accept of it, in order. The honest one is listed for more, which it does not announce.
func (m *machine) may() []string { return []string{m.own, "10.9.9.9/32", m.own6} }

// throughVtysh is a router as the simulated Junos sees it.
type throughVtysh struct{ *frr.Router }

func (v throughVtysh) Show(ctx context.Context, command string) ([]byte, error) {
	return v.Vtysh(ctx, command)
}

func (v throughVtysh) Configure(ctx context.Context, lines []string) error {
	return v.Router.Configure(ctx, lines...)
}

const (
	leafLoopback  = "10.255.255.1/32"
	leafLoopback6 = "2001:db8:ffff::1/128"
	rackSecret    = "Hush-4711"
)

// advertising makes the leaf's ports to servers advertise it.
const advertising = "set protocols router-advertisement interface ge-0/0/11.0 max-advertisement-interval 4 default-lifetime 0\n" +
	"set protocols router-advertisement interface ge-0/0/12.0 max-advertisement-interval 4 default-lifetime 0\n"

func newRack(t *testing.T) *rack {
	t.Helper()
	return newRackWith(t, func(cfg *junos.Config) {
		cfg.Static += advertising
		cfg.Static = strings.ReplaceAll(cfg.Static, "set protocols bgp group servers peer-as 64512\n", "")
	})
}

// newRackWith changes what the leaf is configured with at first.
func newRackWith(t *testing.T, change func(*junos.Config)) *rack {
	t.Helper()
	k := &rack{inventory: filepath.Join(t.TempDir(), "inventory.csv")}
	key := filepath.Join(t.TempDir(), "key")
	table := "port,server,as,prefixes,shared,key_file\n" +
		"ge-0/0/11.0,honest,4200000101,10.0.1.1/32 10.8.0.0/24 2001:db8::101/128 2001:db8:8::/64,10.9.9.9/32,\n" +
		"ge-0/0/12.0,rogue,4200000102,10.0.2.1/32 2001:db8::102/128,10.9.9.9/32," + key + "\n"
	for path, text := range map[string]string{k.inventory: table, key: rackSecret + "\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k.metrics = listener.Addr().String()
	listener.Close()
	k.rig = newRigWith(t, func(cfg *junos.Config) {
		ns := cfg.NS.(*netns.NS)
		for _, key := range []string{"net.ipv6.conf.all.forwarding", "net.ipv4.ip_forward"} {
			if err := ns.Sysctl(key, "1"); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(ns.AddAddress("lo", leafLoopback), ns.AddAddress("lo", leafLoopback6)); err != nil {
			t.Fatal(err)
		}
		k.honest = newMachine(t, ns, 1, "")
		k.rogue = newMachine(t, ns, 2, rackSecret)
		k.leaf = frr.ForTest(t, frr.Config{NS: ns})
		cfg.Router = throughVtysh{k.leaf}
		for _, m := range []*machine{k.honest, k.rogue} {
			cfg.Interfaces[strings.TrimSuffix(m.port, ".0")] = "ge-0-0-1" + m.port[len("ge-0/0/1"):len("ge-0/0/1")+1]
		}
		change(cfg)
	}, fmt.Sprintf("inventory: %s\nlisten: %s\n", k.inventory, k.metrics))
	return k
}

// newMachine is a server behind port ge-0/0/1N.
func newMachine(t *testing.T, leaf *netns.NS, n int, password string) *machine {
	t.Helper()
	m := &machine{ns: netns.ForTest(t, fmt.Sprintf("bms%d", n)), port: fmt.Sprintf("ge-0/0/1%d.0", n), as: 4200000100 + n,
		own: fmt.Sprintf("10.0.%d.1/32", n), own6: fmt.Sprintf("2001:db8::10%d/128", n)}
	m.local = fmt.Sprintf("fe80::10%d", n)
	if err := netns.Veth(m.ns, "eth0", leaf, fmt.Sprintf("ge-0-0-1%d", n)); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) {
		if _, err := m.ns.Run(t.Context(), "ip", args...); err != nil {
			t.Fatal(err)
		}
	}
	run("link", "set", "eth0", "addrgenmode", "none")
	run("-6", "addr", "flush", "dev", "eth0", "scope", "link")
	run("-6", "addr", "add", m.local+"/64", "dev", "eth0", "nodad")
	if password != "" {
		password = "\n neighbor eth0 password " + password
	}
	m.Router = frr.ForTest(t, frr.Config{
		NS:    m.ns,
		Zebra: "interface eth0\n no ipv6 nd suppress-ra\n ipv6 nd ra-interval 1\n ipv6 nd ra-lifetime 0\n",
		BGP: fmt.Sprintf(`router bgp %d
 bgp router-id 10.0.%d.1
 no bgp ebgp-requires-policy
 no bgp network import-check
 neighbor eth0 interface remote-as external
 neighbor eth0 timers connect 1
 neighbor eth0 capability extended-nexthop%s
 address-family ipv4 unicast
  network %s
  network 10.9.9.9/32
  neighbor eth0 route-map OUT out
 exit-address-family
 address-family ipv6 unicast
  network %s
  neighbor eth0 activate
  neighbor eth0 route-map OUT out
 exit-address-family
bgp as-path access-list OWN seq 5 permit ^$
route-map OUT permit 100
 match as-path OWN
`, m.as, n, password, m.own, m.own6),
	})
	return m
}

// peer is what the leaf's router says of a session.
type peer struct {
	State   string `json:"bgpState"`
	Dropped int    `json:"connectionsDropped"`
	Up      int64  `json:"bgpTimerUpMsec"`
}

func (k *rack) peer(m *machine) peer {
	k.t.Helper()
	var table map[string]json.RawMessage
	var p peer
	out, err := k.leaf.Vtysh(k.t.Context(), "show bgp neighbors "+m.local+" json")
	if err != nil {
		k.t.Fatal(err)
	}
	if json.Unmarshal(out, &table) == nil {
		json.Unmarshal(table[m.local], &p) // of none there is nothing to say
	}
	return p
}

// accepted is what the leaf has taken from a machine, IPv4 first.
func (k *rack) accepted(m *machine) (all []string) {
	k.t.Helper()
	for _, family := range []string{"ipv4", "ipv6"} {
		var table struct {
			Routes map[string]json.RawMessage `json:"routes"`
		}
		out, err := k.leaf.Vtysh(k.t.Context(), "show bgp "+family+" unicast neighbors "+m.local+" routes json")
		if err != nil {
			k.t.Fatal(err)
		}
		if err := json.Unmarshal(out, &table); err != nil {
			return nil
		}
		all = append(all, slices.Sorted(maps.Keys(table.Routes))...)
	}
	return all
}

// metric is the value of one of the agent's, -1 if there is none.
func (k *rack) metric(name string) float64 {
	k.t.Helper()
	for line := range strings.Lines(k.scrape()) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			value, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				k.t.Fatal(err)
			}
			return value
		}
	}
	return -1
}

func (k *rack) scrape() string {
	k.t.Helper()
	response, err := http.Get("http://" + k.metrics + "/metrics")
	if err != nil {
		k.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		k.t.Fatal(err)
	}
	return string(text)
}

func (k *rack) eventuallyMetric(name string, holds func(float64) bool) {
	k.t.Helper()
	k.eventually(func() bool { return holds(k.metric(name)) }, func() string { return fmt.Sprintf("%s is %v", name, k.metric(name)) })
}

func (m *machine) configure(t *testing.T, lines ...string) {
	t.Helper()
	if err := m.Configure(t.Context(), lines...); err != nil {
		t.Fatal(err)
	}
}

// list writes the inventory anew: these are in it and no other.
func (k *rack) list(machines ...*machine) {
	k.t.Helper()
	text, err := os.ReadFile(k.inventory)
	if err != nil {
		k.t.Fatal(err)
	}
	if k.table == "" {
		k.table = string(text)
	}
	head, rows, _ := strings.Cut(k.table, "\n")
	out := head + "\n"
	for row := range strings.Lines(rows) {
		if slices.ContainsFunc(machines, func(m *machine) bool { return strings.HasPrefix(row, m.port+",") }) {
			out += row
		}
	}
	if err := os.WriteFile(k.inventory, []byte(out), 0o600); err != nil {
		k.t.Fatal(err)
	}
}
