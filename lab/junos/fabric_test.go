package junos_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/scrapli/scrapligo/driver/netconf"
	"github.com/vishvananda/netlink"

	"lastmile/lab/frr"
	"lastmile/lab/junos"
	"lastmile/lab/netns"
)

// A leaf is a device over a real kernel and a real FRR.
type leaf struct {
	ns      *netns.NS
	router  *frr.Router
	device  *junos.Device
	address string
	session *netconf.Driver
}

// newLeaf starts a leaf with a server on each of n links ge-0/0/1 and up.
func newLeaf(t *testing.T, n int, change func(*junos.Config)) (*leaf, []*server) {
	t.Helper()
	l := &leaf{ns: netns.ForTest(t, "leaf")}
	for _, key := range []string{"net.ipv6.conf.all.forwarding", "net.ipv4.ip_forward"} {
		if err := l.ns.Sysctl(key, "1"); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.ns.AddAddress("lo", "10.255.255.1/32"); err != nil {
		t.Fatal(err)
	}
	names, advertise := map[string]string{}, ""
	var servers []*server
	for i := 1; i <= n; i++ {
		s := newServer(t, l.ns, i)
		names[fmt.Sprintf("ge-0/0/%d", i)] = s.port
		servers = append(servers, s)
		advertise += "set protocols router-advertisement interface " + s.logical +
			" max-advertisement-interval 4 default-lifetime 0\n"
	}
	l.router = frr.ForTest(t, frr.Config{NS: l.ns, BFD: true})
	cfg := config()
	cfg.NS, cfg.Router, cfg.Interfaces = l.ns, vtysh{l.router}, names
	cfg.Static += advertise
	if change != nil {
		change(&cfg)
	}
	l.device, l.address = serve(t, cfg)
	l.session = dial(t, l.address)
	return l, servers
}

// A server is a namespace with FRR that peers with whatever appears on its link.
type server struct {
	ns      *netns.NS
	router  *frr.Router
	port    string // the leaf's side of its link
	logical string
	local   string // its link-local address
	route   string // what it announces
}

func newServer(t *testing.T, leaf *netns.NS, i int) *server {
	t.Helper()
	s := &server{
		ns: netns.ForTest(t, fmt.Sprintf("bms%d", i)), port: fmt.Sprintf("ge-0-0-%d", i),
		logical: fmt.Sprintf("ge-0/0/%d.0", i), route: fmt.Sprintf("10.0.%d.1/32", i),
	}
	if err := netns.Veth(s.ns, "eth0", leaf, s.port); err != nil {
		t.Fatal(err)
	}
	if err := s.ns.AddAddress("lo", s.route); err != nil {
		t.Fatal(err)
	}
	s.local = linkLocal(t, s.ns, "eth0")
	s.router = frr.ForTest(t, frr.Config{
		NS:    s.ns,
		Zebra: "interface eth0\n no ipv6 nd suppress-ra\n ipv6 nd ra-interval 1\n ipv6 nd ra-lifetime 0\n",
		BGP: fmt.Sprintf(`router bgp 64512
 bgp router-id 10.0.%d.1
 no bgp ebgp-requires-policy
 neighbor eth0 interface remote-as external
 neighbor eth0 timers connect 1
 address-family ipv4 unicast
  redistribute connected
  neighbor eth0 allowas-in 2
`, i),
	})
	return s
}

// linkLocal waits until an interface has a usable link-local address.
func linkLocal(t *testing.T, ns *netns.NS, name string) (address string) {
	t.Helper()
	eventually(t, "link-local address on "+name, func() bool {
		err := ns.Do(func() error {
			l, err := netlink.LinkByName(name)
			if err != nil {
				return err
			}
			addresses, err := netlink.AddrList(l, netlink.FAMILY_V6)
			if err != nil {
				return err
			}
			for _, a := range addresses {
				if a.IP.IsLinkLocalUnicast() && a.Flags&0x40 == 0 { // not tentative
					address = a.IP.String()
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return address != ""
	})
	return address
}

// stanza is what switchagent would commit for the server.
func (s *server) stanza() string {
	return "<neighbor><name>" + s.local + "</name><local-interface>" + s.logical + "</local-interface></neighbor>"
}

// commit loads neighbors of the group "servers" into the ephemeral instance.
func (l *leaf) commit(t *testing.T, neighbors string) {
	t.Helper()
	l.commitConfiguration(t, group(neighbors))
}

// commitConfiguration does so with any statements.
func (l *leaf) commitConfiguration(t *testing.T, statements string) {
	t.Helper()
	mustHold(t, l.session, openEphemeral, "</rpc-reply>")
	mustHold(t, l.session, loadXML("merge", statements), "<ok/>")
	mustHold(t, l.session, commit, "<ok/>")
	mustHold(t, l.session, closeOpen, "</rpc-reply>")
}

// peerState is FRR's own word on a neighbour, and how often it was lost.
func (l *leaf) peerState(t *testing.T, address string) (state string, dropped int, up time.Duration) {
	t.Helper()
	out, err := l.router.Vtysh(t.Context(), "show bgp neighbors "+address+" json")
	if err != nil {
		t.Fatal(err)
	}
	var table map[string]struct {
		State   string `json:"bgpState"`
		Dropped int    `json:"connectionsDropped"`
		Up      int64  `json:"bgpTimerUpMsec"`
	}
	if err := json.Unmarshal(out, &table); err != nil {
		return "none", 0, 0
	}
	n := table[address]
	return n.State, n.Dropped, time.Duration(n.Up) * time.Millisecond
}

func (l *leaf) established(t *testing.T, s *server) {
	t.Helper()
	eventually(t, "session with "+s.local, func() bool {
		state, _, _ := l.peerState(t, s.local)
		return state == "Established"
	})
}

// routeTo says whether the kernel of a namespace has a route.
func routeTo(t *testing.T, ns *netns.NS, prefix string) bool {
	t.Helper()
	out, err := ns.Run(t.Context(), "ip", "-j", "route", "show", strings.TrimSuffix(prefix, "/32"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(out), `"protocol":"bgp"`) || strings.Contains(string(out), `"protocol":"186"`)
}

func TestStanzaBecomesASession(t *testing.T) {
	l, servers := newLeaf(t, 2, nil)
	first, second := servers[0], servers[1]

	l.commit(t, first.stanza())
	l.established(t, first)
	eventually(t, "the server's route in the leaf's kernel", func() bool { return routeTo(t, l.ns, first.route) })
	eventually(t, "the leaf's loopback in the server's kernel", func() bool { return routeTo(t, first.ns, "10.255.255.1/32") })

	_, dropped, before := l.peerState(t, first.local)
	l.commit(t, second.stanza())
	l.established(t, second)
	eventually(t, "the other server's route", func() bool { return routeTo(t, first.ns, second.route) })

	l.commit(t, `<neighbor delete="delete"><name>`+second.local+`</name></neighbor>`)
	eventually(t, "the second session gone", func() bool {
		state, _, _ := l.peerState(t, second.local)
		return state == "" || state == "none"
	})
	eventually(t, "the second server's route gone", func() bool { return !routeTo(t, l.ns, second.route) })
	state, droppedNow, after := l.peerState(t, first.local)
	if state != "Established" || droppedNow != dropped || after < before {
		t.Errorf("first session: %s, dropped %d then %d, up %v then %v: it was disturbed", state, dropped, droppedNow, before, after)
	}
	touches := map[string]int{}
	for _, c := range l.device.History() {
		for _, object := range c.Touched {
			touches[object]++
		}
	}
	if touches["neighbor "+first.local] != 1 || touches["neighbor "+second.local] != 2 {
		t.Errorf("touched: %v", touches)
	}
	mustHold(t, l.session, "<get-bgp-summary-information/>",
		"<peer-count>1</peer-count>", "<peer-address>"+first.local+"</peer-address>", `junos:format="Establ">Established<`)
	mustHold(t, l.session, "<get-bgp-neighbor-information><neighbor-address>"+first.local+"</neighbor-address></get-bgp-neighbor-information>",
		"<local-interface-name>ge-0/0/1.0</local-interface-name>", "<peer-ext-nh-nlri>inet-unicast</peer-ext-nh-nlri>", "<peer-group>servers</peer-group>")
	mustHold(t, l.session, "<get-route-information><destination>10.0.1.1/32</destination></get-route-information>",
		"<rt-destination>10.0.1.1/32</rt-destination>", "<protocol-name>BGP</protocol-name>",
		"<via>ge-0/0/1.0</via>", "<as-path>64512 I</as-path>", "<to>"+first.local+"</to>")
}

func TestTablesAreTheKernels(t *testing.T) {
	l, servers := newLeaf(t, 1, nil)
	s := servers[0]
	mac := regexp.MustCompile(`link/ether ([0-9a-f:]+)`)
	out, err := s.ns.Run(t.Context(), "ip", "link", "show", "eth0")
	if err != nil {
		t.Fatal(err)
	}
	hardware := mac.FindStringSubmatch(string(out))[1]

	eventually(t, "an advertisement heard", func() bool {
		return strings.Contains(rpc(t, l.session, "<get-ipv6-ra-information/>"), s.local)
	})
	mustHold(t, l.session, "<get-ipv6-ra-information/>",
		"<ipv6-ra-interface>\n<interface-name>ge-0/0/1.0</interface-name>",
		"<ipv6-source-address>"+s.local+"</ipv6-source-address>\n<ipv6-ra-time-since",
		"<ipv6-ra-default-lifetime>0</ipv6-ra-default-lifetime>")
	mustHold(t, l.session, "<get-ipv6-nd-information/>",
		"<ipv6-nd-neighbor-address>"+s.local+"</ipv6-nd-neighbor-address>\n<ipv6-nd-neighbor-l2-address>"+hardware+"<",
		"<ipv6-nd-isrouter>yes</ipv6-nd-isrouter>", "<ipv6-nd-interface-name>ge-0/0/1.0<", "<ipv6-nd-total>1</ipv6-nd-total>")
	kernel, err := l.ns.Run(t.Context(), "ip", "-6", "neigh", "show", "dev", "ge-0-0-1")
	if err != nil || !strings.Contains(string(kernel), s.local) || !strings.Contains(string(kernel), "router") {
		t.Errorf("the kernel's table: %s (%v)", kernel, err)
	}

	// An address that nobody has is not resolved.
	eventually(t, "an unresolved neighbour", func() bool {
		_, _ = l.ns.Run(t.Context(), "ping", "-c1", "-W1", "fe80::dead%ge-0-0-1")
		return strings.Contains(rpc(t, l.session, "<get-ipv6-nd-information/>"),
			"<ipv6-nd-neighbor-address>fe80::dead</ipv6-nd-neighbor-address>\n<ipv6-nd-neighbor-l2-address>none<"+
				"/ipv6-nd-neighbor-l2-address>\n<ipv6-nd-state>unreachable<")
	})

	mustHold(t, l.session, "<get-interface-information><terse/></get-interface-information>",
		"<name>ge-0/0/1</name>\n<admin-status>up</admin-status>\n<oper-status>up</oper-status>", "<name>ge-0/0/1.0</name>", "<name>lo0.0</name>",
		`<ifa-local junos:emit="emit">10.255.255.1/32</ifa-local>`, "/64</ifa-local>")
	if err := s.ns.SetDown("eth0"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the link down", func() bool {
		return strings.Contains(rpc(t, l.session, "<get-interface-information><interface-name>ge-0/0/1.0</interface-name><terse/></get-interface-information>"),
			"<oper-status>down</oper-status>")
	})
	mustHold(t, l.session, "<get-interface-information><interface-name>asdf</interface-name></get-interface-information>", "device asdf not found")
}

func TestRebootEmptiesTheEphemeralDatabase(t *testing.T) {
	l, servers := newLeaf(t, 1, nil)
	l.commit(t, servers[0].stanza())
	l.established(t, servers[0])
	if err := l.device.Reboot(t.Context()); err != nil {
		t.Fatal(err)
	}
	if state, _, _ := l.peerState(t, servers[0].local); state != "" && state != "none" {
		t.Errorf("session after the reboot: %s", state)
	}
	l.session = dial(t, l.address)
	reply := mustHold(t, l.session, `<get-configuration database="ephemeral" ephemeral-instance="lastmile"/>`, "<configuration")
	if strings.Contains(reply, servers[0].local) {
		t.Errorf("the stanza outlived the reboot: %s", reply)
	}
	mustHold(t, l.session, "<get-system-uptime-information/>", `<time-length junos:seconds="`)
	l.commit(t, servers[0].stanza())
	l.established(t, servers[0])
}

// TestRebootEndsCommits: a commit that would take an hour does not hold a reboot
// up, and is not there after it.
func TestRebootEndsCommits(t *testing.T) {
	cfg := config()
	cfg.EphemeralCommitTime = time.Hour
	device, address := serve(t, cfg)
	d := dial(t, address)
	mustHold(t, d, openEphemeral, "</rpc-reply>")
	mustHold(t, d, loadXML("merge", group("<neighbor><name>fe80::1</name></neighbor>")), "<ok/>")
	before := device.Stats().RPCs
	ended := make(chan struct{})
	go func() { _, _ = d.RPC(withFilter(commit)); close(ended) }()
	eventually(t, "the commit asked for", func() bool { return device.Stats().RPCs > before })
	if err := device.Reboot(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-ended
	if s := device.Stats(); s.Ephemeral != 0 {
		t.Errorf("%d commits took effect", s.Ephemeral)
	}
}

// TestManyServersInOneCommit commits 200 neighbours at once: one batch, one
// touch each.
func TestManyServersInOneCommit(t *testing.T) {
	l, _ := newLeaf(t, 1, nil)
	var stanzas strings.Builder
	for i := range 200 {
		fmt.Fprintf(&stanzas, "<neighbor><name>fe80::%x</name><local-interface>ge-0/0/1.0</local-interface><description>bms%d</description></neighbor>", i+1, i)
	}
	start := time.Now()
	l.commit(t, stanzas.String())
	t.Logf("200 neighbours in %v", time.Since(start))
	history := l.device.History()
	touched := map[string]int{}
	for _, object := range history[len(history)-1].Touched {
		kind, _, _ := strings.Cut(object, " ")
		touched[kind]++
	}
	if touched["neighbor"] != 200 {
		t.Errorf("touched %v, want 200 neighbors", touched)
	}
	if s := l.device.Stats(); s.RouterFails != 0 || s.Ephemeral != 1 {
		t.Errorf("stats: %+v", s)
	}
	mustHold(t, l.session, "<get-bgp-summary-information/>", "<peer-count>200</peer-count>")
	out, err := l.router.Vtysh(t.Context(), "show bgp summary json")
	if err != nil || strings.Count(string(out), `"remoteAs":64512`) != 400 {
		t.Errorf("FRR knows %d sessions of families, want 400 (%v)", strings.Count(string(out), `"remoteAs":64512`), err)
	}
	l.commit(t, stanzas.String())
	history = l.device.History()
	if touched := history[len(history)-1].Touched; len(touched) != 0 {
		t.Errorf("the same again touched %v", touched)
	}
}
