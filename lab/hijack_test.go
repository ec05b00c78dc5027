package lab_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/mdlayher/ndp"
)

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

	k.announceOthers()
	k.lieAboutPaths()
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

// announceOthers has the rogue announce what is not its own, one after the other.
func (k *rack) announceOthers() {
	t := k.t
	t.Helper()
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
}

// lieAboutPaths has the rogue announce its own prefixes as if others had them.
func (k *rack) lieAboutPaths() {
	t := k.t
	t.Helper()
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
