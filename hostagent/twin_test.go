package hostagent_test

import (
	"strings"
	"testing"

	"lastmile/lab/frr"
	"lastmile/lab/netns"
)

const twinConfig = `router bgp 65001
 bgp router-id 10.255.255.1
 no bgp ebgp-requires-policy
 timers bgp 3 9
 neighbor swp1 interface remote-as external
 neighbor swp1 timers connect 1
 neighbor swp2 interface remote-as external
 neighbor swp2 timers connect 1
 address-family ipv4 unicast
  redistribute connected
 address-family ipv6 unicast
  redistribute connected
  neighbor swp1 activate
  neighbor swp2 activate
`

// Two links lead to one switch, which is fe80::1 on both and has one router ID:
// there are two sessions, and both links carry traffic.
func TestTwinLinks(t *testing.T) {
	s := newHost(t)
	leaf, router := newTwin(t, s)
	s.start(t)
	both := func() {
		t.Helper()
		for _, prefix := range []string{"10.9.9.9/32", "c0d1::9/128"} {
			s.awaitPaths(t, prefix, 2)
		}
		await(t, func() error { return hasRoute(t.Context(), router, "10.0.1.1/32") })
	}
	both()
	out, err := s.ns.Run(t.Context(), s.bin, "show", "neighbors", "--socket", s.socket)
	if err != nil || strings.Count(string(out), "Established") != 2 ||
		!strings.Contains(string(out), "fe80::1%eth0") || !strings.Contains(string(out), "fe80::1%eth1") {
		t.Errorf("show neighbors: %s (%v)", out, err)
	}
	if err := leaf.SetDown("swp2"); err != nil {
		t.Fatal(err)
	}
	for _, prefix := range []string{"10.9.9.9/32", "c0d1::9/128"} {
		s.awaitPaths(t, prefix, 1)
	}
	if _, err := s.ns.Run(t.Context(), "ping", "-c1", "-W2", "10.9.9.9"); err != nil {
		t.Error(err)
	}
	if err := leaf.SetUp("swp2"); err != nil {
		t.Fatal(err)
	}
	if err := leaf.AddAddress("swp2", "fe80::1/64"); err != nil { // which went with the link
		t.Fatal(err)
	}
	both()
	if err := s.stop(); err != nil {
		t.Errorf("stopped by signal: %v", err)
	}
}

// newTwin is a leaf at the other end of both links.
func newTwin(t *testing.T, s *server) (*netns.NS, *frr.Router) {
	t.Helper()
	leaf := netns.ForTest(t, "leaf")
	for key, value := range map[string]string{
		"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1", "net.ipv6.conf.default.addr_gen_mode": "1",
	} {
		if err := leaf.Sysctl(key, value); err != nil {
			t.Fatal(err)
		}
	}
	addresses(t, leaf, "10.9.9.9/32", "c0d1::9/128")
	for eth, swp := range map[string]string{"eth0": "swp1", "eth1": "swp2"} {
		if err := netns.Veth(s.ns, eth, leaf, swp); err != nil {
			t.Fatal(err)
		}
		if err := leaf.AddAddress(swp, "fe80::1/64"); err != nil {
			t.Fatal(err)
		}
	}
	return leaf, frr.ForTest(t, frr.Config{NS: leaf, BGP: twinConfig,
		Zebra: "interface swp1\n no ipv6 nd suppress-ra\n ipv6 nd ra-interval 30\ninterface swp2\n no ipv6 nd suppress-ra\n ipv6 nd ra-interval 30\n"})
}
