package lab_test

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
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

// counters is all in which a row of the matrix may be seen, by the beginnings of their names: of both ports.
var counters = []string{"switchagent_prefixes{", "switchagent_rejected_prefixes{", full, "switchagent_session_flaps{", strangers}

// moved is by how much a row moves which of them.
type moved map[string]float64

// ofKind counts the rejected prefixes of the rogue that are of a kind.
func ofKind(kind string) string {
	return fmt.Sprintf("switchagent_rejected_prefixes{kind=%q,link=%q}", kind, "ge-0/0/12.0")
}

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

// A hijack is what the rogue announces that is not its own, and of which kind each of it is.
type hijack struct {
	name     string
	family   string
	prefixes []string
	kinds    []string
}

const ipv4, ipv6 = "ipv4", "ipv6"

var hijacks = []hijack{
	{"another server's /32", ipv4, []string{"10.0.1.1/32"}, []string{"other_server"}},
	{"another server's /128", ipv6, []string{"2001:db8::101/128"}, []string{"other_server"}},
	{"longer than another's", ipv4, []string{"10.8.0.128/25"}, []string{"longer"}},
	{"shorter, around another's", ipv4, []string{"10.0.1.0/30"}, []string{"shorter"}},
	{"shorter, around its own", ipv4, []string{"10.0.2.0/24"}, []string{"shorter"}},
	{"default", ipv4, []string{"0.0.0.0/0"}, []string{"default"}},
	{"the leaf's loopback", ipv4, []string{leafLoopback}, []string{"loopback"}},
	{"nobody's", ipv4, []string{"10.6.6.6/32"}, []string{"unlisted"}},
	{"several", ipv4, []string{"10.0.1.1/32", "0.0.0.0/1", "128.0.0.0/1"}, []string{"other_server", "shorter", "unlisted"}},
	{"longer than another's IPv6", ipv6, []string{"2001:db8:8::1/128"}, []string{"longer"}},
	{"shorter, around another's IPv6", ipv6, []string{"2001:db8::100/126"}, []string{"shorter"}},
	{"shorter, around its own IPv6", ipv6, []string{"2001:db8::/64"}, []string{"shorter"}},
	{"IPv6 default", ipv6, []string{"::/0"}, []string{"default"}},
	{"the leaf's IPv6 loopback", ipv6, []string{leafLoopback6}, []string{"loopback"}},
	{"nobody's IPv6", ipv6, []string{"2001:db8:6::6/128"}, []string{"unlisted"}},
	{"several of IPv6", ipv6, []string{"2001:db8::101/128", "::/1", "8000::/1"}, []string{"other_server", "shorter", "unlisted"}},
}

// moves is what a hijack moves when it begins.
func (h hijack) moves() moved {
	by := moved{rejected: float64(len(h.prefixes))}
	for _, kind := range h.kinds {
		by[ofKind(kind)]++
	}
	return by
}

// back is the same the other way.
func (m moved) back() moved {
	by := moved{}
	for counter, n := range m {
		by[counter] = -n
	}
	return by
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

// counted is all counters of the agent that are not 0.
func (k *rack) counted() moved {
	k.t.Helper()
	all := moved{}
	for line := range strings.Lines(k.scrape()) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "} ")
		name += "}"
		if n, err := strconv.ParseFloat(value, 64); err == nil && n != 0 && slices.ContainsFunc(counters, func(c string) bool { return strings.HasPrefix(name, c) }) {
			all[name] = n
		}
	}
	return all
}

// moves wants what does to move counters of the agent's by so much and no other up, and the kinds of all that is
// rejected to be known, and says so in the matrix.
func (k *rack) moves(name string, by moved, does func()) {
	k.t.Helper()
	before := k.counted()
	does()
	var now moved
	k.eventually(func() bool {
		now = k.counted()
		kinds := 0.0
		for counter, n := range now {
			if strings.HasPrefix(counter, "switchagent_rejected_prefixes{") {
				kinds += n
			}
			if _, wanted := by[counter]; !wanted && n > before[counter] {
				return false
			}
		}
		for counter, n := range by {
			if now[counter] != before[counter]+n {
				return false
			}
		}
		return kinds == now[rejected]
	}, func() string { return fmt.Sprintf("%s: %v, was %v, wanted to move by %v", name, now, before, by) })
	for _, counter := range slices.Sorted(maps.Keys(by)) {
		k.t.Logf("%-40s %s %v -> %v", name, counter, before[counter], now[counter])
	}
}

// announceOthers has the rogue announce what is not its own, one after the other.
func (k *rack) announceOthers() {
	k.t.Helper()
	for _, h := range hijacks {
		k.moves(h.name, h.moves(), func() { k.announces(h, "") })
		k.keeps(k.rogue, h.name)
		k.moves(h.name+", withdrawn", h.moves().back(), func() { k.announces(h, "no ") })
	}
	for is, want := range map[string]int{
		"kind=other_server rejected=1 prefixes=[10.0.1.1/32] whose=honest": 2, // alone, and among several
		"kind=longer rejected=1 prefixes=[10.8.0.128/25] whose=honest":     1,
		"kind=default rejected=1 prefixes=[0.0.0.0/0]":                     1,
	} {
		line := `msg="leaf rejects prefixes" link=ge-0/0/12.0 ` + is + " path=4200000102"
		if n := strings.Count(k.log.String(), line); n != want {
			k.t.Errorf("%q is logged %d times, want %d", line, n, want)
		}
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
	both := hijacks[:2]
	others := moved{rejected: 2, ofKind("other_server"): 2}
	taken := moved{accepted: -3, rejected: 3, ofKind("unlisted"): 2, ofKind("other_server"): 1} // the last is the shared one
	announce := func(no string) func() {
		return func() {
			for _, h := range both {
				k.announces(h, no)
			}
		}
	}
	for _, when := range []string{"another's", "another's again"} {
		k.moves(when, others, announce(""))
		k.keeps(k.rogue, when)
		k.moves(when+", withdrawn", others.back(), announce("no "))
	}
	k.moves("its own, not listed any more", taken, func() { k.list(k.honest) })
	k.moves("another's, not listed any more", others, announce(""))
	if got := k.accepted(k.rogue); len(got) != 0 {
		k.t.Errorf("of one that is not listed %v is accepted", got)
	}
	k.moves("its own, listed again", taken.back(), func() { k.list(k.honest, k.rogue) })
	k.keeps(k.rogue, "listed again")
	k.moves("another's, withdrawn when listed again", others.back(), announce("no "))
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
	lie := moved{accepted: -3, rejected: 3, ofKind("as_path"): 3}
	for _, behind := range []string{"4200000101", "65201 64512"} {
		k.moves("its own with "+behind+" in the path", lie, path("set as-path prepend "+behind))
		if got := k.accepted(k.rogue); len(got) != 0 {
			t.Errorf("with %s in the path: accepted %v", behind, got)
		}
		k.moves("its own as it is", lie.back(), path("no set as-path prepend"))
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
	k.moves("forged router advertisements", moved{strangers: 2}, func() {
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
	k.moves("1 000 link-locals, and the honest one's", moved{full: 1001}, func() { k.ip("-6", "-batch", file) })
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
	k.moves("10 000 prefixes", moved{flaps: 1, accepted: -3}, func() {
		k.rogue.configure(t, append([]string{fmt.Sprintf("router bgp %d", k.rogue.as), "address-family ipv4 unicast"}, many...)...)
	})
	k.eventually(func() bool { p := k.peer(k.rogue); return p.Dropped > down && p.State != "Established" },
		func() string { return fmt.Sprintf("ten thousand prefixes: %+v", k.peer(k.rogue)) })
	if got := k.accepted(k.rogue); len(got) != 0 {
		t.Errorf("of a server over its limit %d prefixes are accepted", len(got))
	}
}
