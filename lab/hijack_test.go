package lab_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/mdlayher/ndp"

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
}

type machine struct {
	*frr.Router
	ns          *netns.NS
	port, local string
	as          int
	own         string // what it may announce
}

// throughVtysh is a router as the simulated Junos sees it.
type throughVtysh struct{ *frr.Router }

func (v throughVtysh) Show(ctx context.Context, command string) ([]byte, error) {
	return v.Vtysh(ctx, command)
}

func (v throughVtysh) Configure(ctx context.Context, lines []string) error {
	return v.Router.Configure(ctx, lines...)
}

const (
	leafLoopback = "10.255.255.1/32"
	rackSecret   = "Hush-4711"
)

func newRack(t *testing.T) *rack {
	t.Helper()
	return newRackWith(t, func(cfg *junos.Config) {
		for _, port := range []string{"ge-0/0/11.0", "ge-0/0/12.0"} {
			cfg.Static += "set protocols router-advertisement interface " + port + " max-advertisement-interval 4 default-lifetime 0\n"
		}
		cfg.Static = strings.ReplaceAll(cfg.Static, "set protocols bgp group servers peer-as 64512\n", "")
	})
}

// newRackWith changes what the leaf is configured with at first.
func newRackWith(t *testing.T, change func(*junos.Config)) *rack {
	t.Helper()
	k := &rack{inventory: filepath.Join(t.TempDir(), "inventory.csv")}
	key := filepath.Join(t.TempDir(), "key")
	table := "port,server,as,prefixes,shared,key_file\n" +
		"ge-0/0/11.0,honest,4200000101,10.0.1.1/32,10.9.9.9/32,\n" +
		"ge-0/0/12.0,rogue,4200000102,10.0.2.1/32,10.9.9.9/32," + key + "\n"
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
		if err := ns.AddAddress("lo", leafLoopback); err != nil {
			t.Fatal(err)
		}
		k.honest = newMachine(t, ns, 1, 4200000101, "")
		k.rogue = newMachine(t, ns, 2, 4200000102, rackSecret)
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
func newMachine(t *testing.T, leaf *netns.NS, n, as int, password string) *machine {
	t.Helper()
	m := &machine{ns: netns.ForTest(t, fmt.Sprintf("bms%d", n)), port: fmt.Sprintf("ge-0/0/1%d.0", n), as: as, own: fmt.Sprintf("10.0.%d.1/32", n)}
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
bgp as-path access-list OWN seq 5 permit ^$
route-map OUT permit 100
 match as-path OWN
`, as, n, password, m.own),
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

// accepted is what the leaf has taken from a machine.
func (k *rack) accepted(m *machine) []string {
	k.t.Helper()
	var table struct {
		Routes map[string]json.RawMessage `json:"routes"`
	}
	out, err := k.leaf.Vtysh(k.t.Context(), "show bgp ipv4 unicast neighbors "+m.local+" routes json")
	if err != nil {
		k.t.Fatal(err)
	}
	if err := json.Unmarshal(out, &table); err != nil {
		return nil
	}
	return slices.Sorted(maps.Keys(table.Routes))
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

const (
	rejected = `switchagent_prefixes{link="ge-0/0/12.0",result="rejected"}`
	accepted = `switchagent_prefixes{link="ge-0/0/12.0",result="accepted"}`
	full     = `switchagent_neighbors_refused{reason="port_full"}`

	strangers = `switchagent_advertisers{kind="stranger"}`
)

// TestHijacks is a server that announces what is not its own: nothing of it is accepted, its own
// prefixes stay, and nobody else's session notices.
func TestHijacks(t *testing.T) {
	k := newRack(t)
	for _, m := range []*machine{k.honest, k.rogue} {
		k.eventually(func() bool { return k.peer(m).State == "Established" }, func() string { return fmt.Sprintf("%s: %+v", m.local, k.peer(m)) })
		want := []string{m.own, "10.9.9.9/32"}
		k.eventually(func() bool { return slices.Equal(k.accepted(m), want) }, func() string { return fmt.Sprintf("%s: %v, want %v", m.local, k.accepted(m), want) })
	}
	k.eventuallyMetric(accepted, func(v float64) bool { return v == 2 })
	before := k.peer(k.honest)

	as := fmt.Sprintf("router bgp %d", k.rogue.as)
	const family = "address-family ipv4 unicast"
	for _, tt := range []struct {
		name  string
		lines []string // what the rogue configures; what undoes it
		undo  []string
	}{
		{"another server's /32", []string{as, family, "network 10.0.1.1/32"}, []string{as, family, "no network 10.0.1.1/32"}},
		{"longer prefix", []string{as, family, "network 10.0.1.0/30"}, []string{as, family, "no network 10.0.1.0/30"}},
		{"shorter prefix of its own", []string{as, family, "network 10.0.2.0/24"}, []string{as, family, "no network 10.0.2.0/24"}},
		{"default", []string{as, family, "network 0.0.0.0/0"}, []string{as, family, "no network 0.0.0.0/0"}},
		{"the leaf's loopback", []string{as, family, "network " + leafLoopback}, []string{as, family, "no network " + leafLoopback}},
		{"several", []string{as, family, "network 10.0.1.1/32", "network 0.0.0.0/1", "network 128.0.0.0/1"},
			[]string{as, family, "no network 10.0.1.1/32", "no network 0.0.0.0/1", "no network 128.0.0.0/1"}},
	} {
		k.rogue.configure(t, tt.lines...)
		k.eventuallyMetric(rejected, func(v float64) bool { return v == float64(len(tt.lines)-2) })
		if got := k.accepted(k.rogue); !slices.Equal(got, []string{k.rogue.own, "10.9.9.9/32"}) {
			t.Errorf("%s: accepted %v", tt.name, got)
		}
		k.rogue.configure(t, tt.undo...)
		k.eventuallyMetric(rejected, func(v float64) bool { return v == 0 })
	}

	// Its own prefix, as if another AS had it: behind the rogue's own number, and with one of the fabric.
	for _, path := range []string{"4200000101", "65201 64512"} {
		k.rogue.configure(t, "route-map OUT permit 100", "set as-path prepend "+path, "exit", "do clear bgp * soft out")
		k.eventuallyMetric(rejected, func(v float64) bool { return v == 2 })
		if got := k.accepted(k.rogue); len(got) != 0 {
			t.Errorf("with %s in the path: accepted %v", path, got)
		}
	}
	// Its own number more than once is no lie.
	k.rogue.configure(t, "route-map OUT permit 100", "set as-path prepend 4200000102 4200000102", "exit", "do clear bgp * soft out")
	k.eventuallyMetric(accepted, func(v float64) bool { return v == 2 })

	k.forgeAdvertisements()
	k.flood()

	if after := k.peer(k.honest); after.State != "Established" || after.Dropped != before.Dropped || after.Up < before.Up {
		t.Errorf("the honest server's session was %+v and is %+v", before, after)
	}
	if got, want := k.accepted(k.honest), []string{k.honest.own, "10.9.9.9/32"}; !slices.Equal(got, want) {
		t.Errorf("of the honest server %v is accepted, want %v", got, want)
	}
	for what, text := range map[string]string{"metrics": k.scrape(), "log": k.log.String()} {
		if strings.Contains(text, rackSecret) {
			t.Errorf("the key is in the agent's %s", what)
		}
	}
}

// forgeAdvertisements sends router advertisements from the honest server's address, and from one that nobody
// has. The leaf hears them; a sender that is no neighbour is nobody.
func (k *rack) forgeAdvertisements() {
	t := k.t
	t.Helper()
	commits := k.device.Stats().Ephemeral
	err := k.rogue.ns.Do(func() error {
		for _, from := range []string{k.honest.local, "fe80::f0"} {
			if err := advertise(from); err != nil {
				return fmt.Errorf("from %s: %w", from, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	send := k.operator()
	k.eventually(func() bool {
		reply := send("<get-ipv6-ra-information><interface>ge-0/0/12.0</interface></get-ipv6-ra-information>")
		return strings.Contains(reply, k.honest.local) && strings.Contains(reply, "fe80::f0")
	}, func() string { return "the leaf has not heard the forged advertisements" })
	polls := k.metric(`switchagent_polls_total{result="ok"}`)
	k.eventuallyMetric(`switchagent_polls_total{result="ok"}`, func(v float64) bool { return v >= polls+5 })
	k.eventuallyMetric(strangers, func(v float64) bool { return v == 2 })
	if got := k.device.Stats().Ephemeral; got != commits || k.metric("switchagent_stanzas") != 2 {
		t.Errorf("forged advertisements: %d commits, %v stanzas", got-commits, k.metric("switchagent_stanzas"))
	}
}

// advertise sends a router advertisement from any address, over a raw socket of the link.
func advertise(from string) error {
	ifi, err := net.InterfaceByName("eth0")
	if err != nil {
		return err
	}
	source, all := net.ParseIP(from), net.ParseIP("ff02::1")
	message, err := ndp.MarshalMessageChecksum(&ndp.RouterAdvertisement{CurrentHopLimit: 64}, netip.MustParseAddr(from), netip.MustParseAddr("ff02::1"))
	if err != nil {
		return err
	}
	packet := []byte{0x60, 0, 0, 0, byte(len(message) >> 8), byte(len(message)), 58, 255}
	packet = append(append(append(packet, source.To16()...), all.To16()...), message...)
	fd, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	to := &syscall.SockaddrLinklayer{Protocol: 0xdd86, Ifindex: ifi.Index, Halen: 6, Addr: [8]byte{0x33, 0x33, 0, 0, 0, 1}}
	return syscall.Sendto(fd, packet, 0, to)
}

// flood is a thousand neighbours on the rogue's port, among them the honest server's address, then ten thousand
// prefixes.
func (k *rack) flood() {
	t := k.t
	t.Helper()
	commits := k.device.Stats().Ephemeral
	var batch strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&batch, "neigh replace fe80::bad:%x lladdr 52:54:00:00:00:02 dev ge-0-0-12 nud stale router extern_learn\n", i) // as such, they do not count for the kernel's limit
	}
	fmt.Fprintf(&batch, "neigh replace %s lladdr 52:54:00:00:00:02 dev ge-0-0-12 nud stale router extern_learn\n", k.honest.local)
	file := filepath.Join(t.TempDir(), "batch")
	if err := os.WriteFile(file, []byte(batch.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	k.ip("-6", "-batch", file)
	k.eventuallyMetric(full, func(v float64) bool { return v == 1001 })
	if got := k.device.Stats().Ephemeral; got != commits || k.metric("switchagent_stanzas") != 2 {
		t.Errorf("a thousand neighbours: %d commits, %v stanzas", got-commits, k.metric("switchagent_stanzas"))
	}
	if n := strings.Count(k.log.String(), "port is full"); n != 1 {
		t.Errorf("a full port is logged %d times", n)
	}

	var many []string
	for i := range 10_000 {
		many = append(many, fmt.Sprintf("network 10.%d.%d.%d/32", 100+i>>16, i>>8&255, i&255))
	}
	down := k.peer(k.rogue).Dropped
	k.rogue.configure(t, append([]string{fmt.Sprintf("router bgp %d", k.rogue.as), "address-family ipv4 unicast"}, many...)...)
	k.eventually(func() bool { p := k.peer(k.rogue); return p.Dropped > down && p.State != "Established" },
		func() string { return fmt.Sprintf("ten thousand prefixes: %+v", k.peer(k.rogue)) })
	k.eventuallyMetric(`switchagent_session_flaps{link="ge-0/0/12.0"}`, func(v float64) bool { return v >= 1 })
	if got := k.accepted(k.rogue); len(got) != 0 {
		t.Errorf("of a server over its limit %d prefixes are accepted", len(got))
	}
}
