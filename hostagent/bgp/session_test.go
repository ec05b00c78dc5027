package bgp_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lastmile/hostagent/bgp"
)

func TestRoutesBothWays(t *testing.T) {
	s, leaf, router := newPair(t, 65001, static)
	s.announce("10.0.1.1/32", "2001:db8::1/128", "192.0.2.0/24")
	s.add(leaf0)
	up := s.awaitState(leaf0, bgp.Established)
	if up.AS != 65001 || up.RouterID != netip.MustParseAddr("10.255.255.1") {
		t.Errorf("established with AS %d, router ID %s", up.AS, up.RouterID)
	}
	for _, prefix := range []string{"10.9.0.0/24", "2001:db8:9::/48"} {
		s.awaitRoute(leaf0, prefix, func(r bgp.Route) bool {
			return slices.Equal(r.ASPath, []uint32{65001}) && r.Length == 1 && r.Origin == 0 && r.LocalPref == 100
		})
	}

	awaitLearned(t, router, "ipv4", "10.0.1.1/32", "192.0.2.0/24")
	awaitLearned(t, router, "ipv6", "2001:db8::1/128")
	s.announce("10.0.1.1/32", "10.0.1.2/32")
	awaitLearned(t, router, "ipv4", "10.0.1.1/32", "10.0.1.2/32")
	awaitLearned(t, router, "ipv6")

	// The next hop, as the kernel has it.
	await(t, "the route in the leaf's kernel", func() bool {
		out, err := leaf.Run(t.Context(), "ip", "route", "show", "10.0.1.1")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(out), "via inet6 fe80::a dev swp1")
	})

	peers := s.order(request{Peers: true}).Peers
	if len(peers) != 1 {
		t.Fatalf("peers: %+v", peers)
	}
	p := peers[0]
	if p.PeerState != up || p.PrefixesReceived < 2 || !p.ExtendedNextHop ||
		p.MessagesReceived < 3 || p.MessagesSent < 3 {
		t.Errorf("peer: %+v", p)
	}
}

func TestCleanStopWithdrawsAtOnce(t *testing.T) {
	s, _, router := newPair(t, 65001, static+"; timers 60 180")
	s.announce("10.0.1.1/32")
	s.add(leaf0)
	awaitLearned(t, router, "ipv4", "10.0.1.1/32")
	if err := s.stop(); err != nil {
		t.Errorf("the speaker ended with %v", err)
	}
	awaitLearned(t, router, "ipv4")
	var neighbors map[string]struct {
		LastReset string `json:"lastNotificationReason"`
	}
	vtysh(t, router, "show bgp neighbors fe80::a json", &neighbors)
	if got := neighbors["fe80::a"].LastReset; got != "Cease/Peer De-configured" {
		t.Errorf("the leaf's last reset: %q", got)
	}
}

func TestUpdatesStayWithinTheirSession(t *testing.T) {
	s, _, router := newPair(t, 65001, static)
	s.add(leaf0)
	for range 3 {
		s.awaitState(leaf0, bgp.Established)
		s.awaitRoute(leaf0, "10.9.0.0/24", whatever)
		if _, err := router.Vtysh(t.Context(), "clear bgp *"); err != nil {
			t.Fatal(err)
		}
		down := s.awaitState(leaf0, bgp.Idle)
		if !strings.Contains(down.Reason, "cease") || down.AS != 0 {
			t.Errorf("session ended: %+v", down)
		}
	}
	s.delete(leaf0)
	if got := s.order(request{Peers: true}).Peers; len(got) != 0 {
		t.Errorf("peers after the only one was deleted: %+v", got)
	}
	established := false
	for _, l := range s.log {
		if l.State != nil {
			established = l.State.State == bgp.Established
		}
		if l.Update != nil && !established {
			t.Errorf("update outside a session: %+v", l.Update)
		}
	}
}

func TestDeletedPeerComesBackAtOnce(t *testing.T) {
	s, _, router := newPair(t, 65001, static)
	s.announce("10.0.1.1/32")
	s.add(leaf0)
	s.awaitState(leaf0, bgp.Established)
	s.delete(leaf0)
	s.add(leaf0)
	s.add(leaf0) // twice is no error
	if down := s.awaitState(leaf0, bgp.Idle); down.Reason != "peer removed" {
		t.Errorf("after the deletion: %+v", down)
	}
	s.awaitState(leaf0, bgp.Established)
	s.awaitRoute(leaf0, "10.9.0.0/24", whatever)
	awaitLearned(t, router, "ipv4", "10.0.1.1/32")
}

// A path that has become looped replaces the path before it: who is told of
// the first must be told of the second.
func TestOwnASInThePathIsDelivered(t *testing.T) {
	s, _, router := newPair(t, 65001, static)
	s.add(leaf0)
	s.awaitRoute(leaf0, "10.9.0.0/24", whatever)
	err := router.Configure(t.Context(),
		"route-map loop permit 10", "set as-path prepend 64512 64512 64512", "set metric 77",
		"router bgp 65001", "address-family ipv4 unicast", "neighbor fe80::a route-map loop out")
	if err != nil {
		t.Fatal(err)
	}
	s.awaitRoute(leaf0, "10.9.0.0/24", func(r bgp.Route) bool {
		return slices.Equal(r.ASPath, []uint32{65001, 64512, 64512, 64512}) && r.Length == 4 && r.MED == 77
	})
	err = router.Configure(t.Context(), "router bgp 65001", "address-family ipv4 unicast", "no network 10.9.0.0/24")
	if err != nil {
		t.Fatal(err)
	}
	s.awaitWithdrawn(leaf0, "10.9.0.0/24")
}

func TestRefreshBringsRoutesAgain(t *testing.T) {
	s, _, _ := newPair(t, 65001, static)
	s.add(leaf0)
	for _, prefix := range []string{"10.9.0.0/24", "2001:db8:9::/48"} {
		s.awaitRoute(leaf0, prefix, whatever)
	}
	s.since[leaf0] = len(s.log)
	s.order(request{Refresh: &leaf0})
	for _, prefix := range []string{"10.9.0.0/24", "2001:db8:9::/48"} {
		s.awaitRoute(leaf0, prefix, whatever)
	}
	if got := s.order(request{Peers: true}).Peers; len(got) != 1 || got[0].PrefixesReceived != 2 {
		t.Errorf("peers: %+v", got)
	}
}

func TestPeerWithOurASIsRefused(t *testing.T) {
	s, _, router := newPair(t, 64512, static)
	s.announce("10.0.1.1/32")
	s.add(leaf0)
	refused := s.awaitState(leaf0, bgp.Idle)
	if want := "refused: the peer's AS 64512 is our own"; refused.Reason != want {
		t.Errorf("reason %q, want %q", refused.Reason, want)
	}
	awaitLearned(t, router, "ipv4")
	for _, l := range s.log {
		if l.Update != nil || l.State != nil && l.State.State == bgp.Established {
			t.Errorf("news of a session that must not be: %+v", l)
		}
	}
}

func TestNothingIsPassedOn(t *testing.T) {
	host, first, second := newNS(t, "server"), newNS(t, "first"), newNS(t, "second")
	connect(t, plug{host, "eth0"}, plug{first, "swp1"})
	connect(t, plug{host, "eth1"}, plug{second, "swp1"})
	startLeaf(t, first, 65001, static)
	router := startLeaf(t, second, 65002, static)
	s := startSpeaker(t, host, serverConfig())
	s.add(leaf0)
	s.add(leaf1)
	s.awaitRoute(leaf0, "10.9.0.0/24", whatever)
	s.awaitRoute(leaf1, "10.9.0.0/24", whatever)
	s.announce("10.0.1.1/32") // what comes after it would have come before
	awaitLearned(t, router, "ipv4", "10.0.1.1/32")
	awaitLearned(t, router, "ipv6")
}

// Two links to one switch, which has one link-local address on both.
func TestTwinLinks(t *testing.T) {
	host, leaf := newNS(t, "server"), newNS(t, "leaf")
	connect(t, plug{host, "eth0"}, plug{leaf, "swp1"})
	connect(t, plug{host, "eth1"}, plug{leaf, "swp2"})
	router := startLeaf(t, leaf, 65001, "swp1 "+unnumbered, "swp2 "+unnumbered)
	s := startSpeaker(t, host, serverConfig())
	s.announce("10.0.1.1/32")
	s.add(leaf0)
	s.add(leaf1)
	advertise(t, host, "eth0")
	advertise(t, host, "eth1")
	for _, leaf := range []netip.Addr{leaf0, leaf1} {
		s.awaitState(leaf, bgp.Established)
		s.awaitRoute(leaf, "10.9.0.0/24", whatever)
		s.awaitRoute(leaf, "2001:db8:9::/48", whatever)
	}
	awaitLearned(t, router, "ipv4", "10.0.1.1/32", "10.0.1.1/32")
	s.delete(leaf0)
	awaitLearned(t, router, "ipv4", "10.0.1.1/32")
	for _, p := range s.order(request{Peers: true}).Peers {
		if p.Peer != leaf1 || p.State != bgp.Established || p.PrefixesReceived < 2 {
			t.Errorf("after the other was deleted: %+v", p)
		}
	}
}

func TestPortTaken(t *testing.T) {
	host := newNS(t, "server")
	startLeaf(t, host, 65001)
	s := launch(t, host, serverConfig())
	if err := s.wait(); err == nil {
		t.Error("the speaker ended without an error")
	}
	want := "starting BGP on TCP port 179: listen tcp6 [::]:179: bind: address already in use" +
		" (another BGP daemon, such as FRR or BIRD, has the port in this network namespace)"
	if got := s.stderr(); !strings.Contains(got, want) {
		t.Errorf("the speaker said:\n%s\nwant:\n%s", got, want)
	}
}

const birdConfig = `
router id 10.255.255.1;
protocol device { }
protocol static { ipv4; route 10.9.0.0/24 blackhole; }
protocol static { ipv6; route 2001:db8:9::/48 blackhole; }
protocol bgp server {
	local fe80::1%swp1 as 65001;
	neighbor fe80::a%swp1 as 64512;
	connect delay time 1;
	ipv4 { import all; export all; extended next hop on; };
	ipv6 { import all; export all; };
}
`

func TestBIRD(t *testing.T) {
	host, leaf := newNS(t, "server"), newNS(t, "leaf")
	connect(t, plug{host, "eth0"}, plug{leaf, "swp1"})
	dir := t.TempDir()
	config, socket := filepath.Join(dir, "bird.conf"), filepath.Join(dir, "bird.ctl")
	if err := os.WriteFile(config, []byte(birdConfig), 0o644); err != nil {
		t.Fatal(err)
	}
	// In the background until the namespace is deleted.
	if _, err := leaf.Run(t.Context(), "bird", "-c", config, "-s", socket); err != nil {
		t.Fatal(err)
	}
	s := startSpeaker(t, host, serverConfig())
	s.announce("10.0.1.1/32", "2001:db8::1/128")
	s.add(leaf0)
	s.awaitState(leaf0, bgp.Established)
	for _, prefix := range []string{"10.9.0.0/24", "2001:db8:9::/48"} {
		s.awaitRoute(leaf0, prefix, whatever)
	}
	s.await("End-of-RIB", 0, func(l line) bool { return l.Update != nil && l.Update.EndOfRIB })
	for _, prefix := range []string{"10.0.1.1/32", "2001:db8::1/128"} {
		await(t, prefix+" at BIRD", func() bool {
			out, err := leaf.Run(t.Context(), "birdc", "-s", socket, "show", "route", "all", "for", prefix)
			return err == nil && strings.Contains(string(out), "via fe80::a on swp1")
		})
	}
}
