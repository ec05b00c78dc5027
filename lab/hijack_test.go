package lab_test

import (
	"errors"
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
	flaps    = `switchagent_session_flaps{link="ge-0/0/12.0"}`

	strangers = `switchagent_advertisers{kind="stranger"}`
)

// TestHijacks is a server that announces what is not its own: nothing of it is accepted, its own
// prefixes stay, and nobody else's session notices.
func TestHijacks(t *testing.T) {
	k := newRack(t)
	for _, m := range []*machine{k.honest, k.rogue} {
		k.eventually(func() bool { return k.peer(m).State == "Established" }, func() string { return fmt.Sprintf("%s: %+v", m.local, k.peer(m)) })
		k.eventually(func() bool { return slices.Equal(k.accepted(m), m.may()) }, func() string { return fmt.Sprintf("%s: %v, want %v", m.local, k.accepted(m), m.may()) })
	}
	k.eventuallyMetric(accepted, func(v float64) bool { return v == 3 })
	before := k.peer(k.honest)

	k.announceOthers()
	k.relist()
	k.lieAboutPaths()
	k.forgeAdvertisements()
	k.flood()

	if after := k.peer(k.honest); after.State != "Established" || after.Dropped != before.Dropped || after.Up < before.Up {
		t.Errorf("the honest server's session was %+v and is %+v", before, after)
	}
	k.keeps(k.honest, "after all")
	for what, text := range map[string]string{"metrics": k.scrape(), "log": k.log.String()} {
		if strings.Contains(text, rackSecret) {
			t.Errorf("the key is in the agent's %s", what)
		}
	}
}

// A hijack is what the rogue announces that is not its own.
type hijack struct {
	name     string
	family   string
	prefixes []string
}

const ipv4, ipv6 = "ipv4", "ipv6"

var hijacks = []hijack{
	{"another server's /32", ipv4, []string{"10.0.1.1/32"}},
	{"longer prefix", ipv4, []string{"10.0.1.0/30"}},
	{"shorter prefix of its own", ipv4, []string{"10.0.2.0/24"}},
	{"default", ipv4, []string{"0.0.0.0/0"}},
	{"the leaf's loopback", ipv4, []string{leafLoopback}},
	{"several", ipv4, []string{"10.0.1.1/32", "0.0.0.0/1", "128.0.0.0/1"}},
	{"another server's /128", ipv6, []string{"2001:db8::101/128"}},
	{"longer IPv6 prefix", ipv6, []string{"2001:db8::100/126"}},
	{"shorter IPv6 prefix of its own", ipv6, []string{"2001:db8::/64"}},
	{"IPv6 default", ipv6, []string{"::/0"}},
	{"the leaf's IPv6 loopback", ipv6, []string{leafLoopback6}},
	{"several of IPv6", ipv6, []string{"2001:db8::101/128", "::/1", "8000::/1"}},
}

// announces has the rogue announce a hijack, or withdraw it.
func (k *rack) announces(h hijack, no string) {
	k.t.Helper()
	lines := []string{fmt.Sprintf("router bgp %d", k.rogue.as), "address-family " + h.family + " unicast"}
	for _, p := range h.prefixes {
		lines = append(lines, no+"network "+p)
	}
	k.rogue.configure(k.t, lines...)
}

// moves wants what does to move a counter of the agent's by so much, and says so in the matrix.
func (k *rack) moves(name, counter string, by float64, does func()) {
	k.t.Helper()
	before := max(k.metric(counter), 0)
	does()
	k.eventuallyMetric(counter, func(v float64) bool { return v == before+by })
	k.t.Logf("%-40s %s %v -> %v", name, counter, before, before+by)
}

// announceOthers has the rogue announce what is not its own, one after the other.
func (k *rack) announceOthers() {
	k.t.Helper()
	for _, h := range hijacks {
		n := float64(len(h.prefixes))
		k.moves(h.name, rejected, n, func() { k.announces(h, "") })
		k.keeps(k.rogue, h.name)
		k.moves(h.name+", withdrawn", rejected, -n, func() { k.announces(h, "no ") })
	}
}

// keeps wants that of a machine its own prefixes are accepted and nothing else.
func (k *rack) keeps(m *machine, when string) {
	k.t.Helper()
	if got := k.accepted(m); !slices.Equal(got, m.may()) {
		k.t.Errorf("%s: of %s %v is accepted", when, m.local, got)
	}
}

// relist takes the rogue out of the inventory while it announces what others have, withdraws it and announces it
// again, and puts it back.
func (k *rack) relist() {
	k.t.Helper()
	both := []hijack{hijacks[0], hijacks[6]}
	own, others := float64(len(k.rogue.may())), float64(len(both))
	announce := func(no string) func() {
		return func() {
			for _, h := range both {
				k.announces(h, no)
			}
		}
	}
	for _, when := range []string{"another's", "another's again"} {
		k.moves(when, rejected, others, announce(""))
		k.keeps(k.rogue, when)
		k.moves(when+", withdrawn", rejected, -others, announce("no "))
	}
	k.moves("its own, not listed any more", rejected, own, func() { k.list(k.honest) })
	k.moves("another's, not listed any more", rejected, others, announce(""))
	if got := k.accepted(k.rogue); len(got) != 0 {
		k.t.Errorf("of one that is not listed %v is accepted", got)
	}
	k.moves("its own, listed again", rejected, -own, func() { k.list(k.honest, k.rogue) })
	k.keeps(k.rogue, "listed again")
	k.moves("another's, withdrawn when listed again", rejected, -others, announce("no "))
	k.keeps(k.honest, "beside it")
}

// lieAboutPaths has the rogue announce its own prefixes as if others had them: behind the rogue's own number, and with
// one of the fabric.
func (k *rack) lieAboutPaths() {
	t := k.t
	t.Helper()
	path := func(set string) func() {
		return func() {
			k.rogue.configure(t, "route-map OUT permit 100", set, "exit", "do clear bgp * soft out")
		}
	}
	for _, behind := range []string{"4200000101", "65201 64512"} {
		k.moves("its own with "+behind+" in the path", rejected, 3, path("set as-path prepend "+behind))
		if got := k.accepted(k.rogue); len(got) != 0 {
			t.Errorf("with %s in the path: accepted %v", behind, got)
		}
		k.moves("its own as it is", accepted, 3, path("no set as-path prepend"))
	}
	path("set as-path prepend 4200000102 4200000102")()
	k.eventually(func() bool { return k.prepended(k.rogue, 3) }, func() string { return "the rogue's path is not longer" })
	k.keeps(k.rogue, "with its own AS more than once, which is no lie")
}

// prepended says whether the leaf has a machine's prefix with so many ASes in the path.
func (k *rack) prepended(m *machine, ases int) bool {
	k.t.Helper()
	out, err := k.leaf.Vtysh(k.t.Context(), "show bgp ipv4 unicast "+m.own+" json")
	if err != nil {
		k.t.Fatal(err)
	}
	return strings.Contains(string(out), `"length":`+fmt.Sprint(ases))
}

// forgeAdvertisements sends router advertisements from the honest server's address, and from one that nobody
// has. The leaf hears them; a sender that is no neighbour is nobody.
func (k *rack) forgeAdvertisements() {
	t := k.t
	t.Helper()
	commits := k.device.Stats().Ephemeral
	k.moves("forged router advertisements", strangers, 2, func() {
		err := k.rogue.ns.Do(func() error { return errors.Join(advertise(k.honest.local), advertise("fe80::f0")) })
		if err != nil {
			t.Fatal(err)
		}
	})
	send := k.operator()
	k.eventually(func() bool {
		reply := send("<get-ipv6-ra-information><interface>ge-0/0/12.0</interface></get-ipv6-ra-information>")
		return strings.Contains(reply, k.honest.local) && strings.Contains(reply, "fe80::f0")
	}, func() string { return "the leaf has not heard the forged advertisements" })
	polls := k.metric(`switchagent_polls_total{result="ok"}`)
	k.eventuallyMetric(`switchagent_polls_total{result="ok"}`, func(v float64) bool { return v >= polls+5 })
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
	k.moves("1 000 link-locals, and the honest one's", full, 1001, func() { k.ip("-6", "-batch", file) })
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
	k.moves("10 000 prefixes", flaps, 1, func() {
		k.rogue.configure(t, append([]string{fmt.Sprintf("router bgp %d", k.rogue.as), "address-family ipv4 unicast"}, many...)...)
	})
	k.eventually(func() bool { p := k.peer(k.rogue); return p.Dropped > down && p.State != "Established" },
		func() string { return fmt.Sprintf("ten thousand prefixes: %+v", k.peer(k.rogue)) })
	if got := k.accepted(k.rogue); len(got) != 0 {
		t.Errorf("of a server over its limit %d prefixes are accepted", len(got))
	}
}
