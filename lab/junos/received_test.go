package junos_test

import (
	"fmt"
	"strings"
	"testing"

	"lastmile/lab/junos"
)

// TestReceivedRoutes: what a server announces is listed by whether the import policy takes it.
func TestReceivedRoutes(t *testing.T) {
	l, servers := newLeaf(t, 2, func(cfg *junos.Config) {
		cfg.Static += agentClass
		cfg.Users = append(cfg.Users, junos.User{Name: "agent", Password: "lab123", Class: "agent"})
	})
	first, second := servers[0], servers[1]
	if err := first.router.Configure(t.Context(), "router bgp 64512", "no bgp network import-check", "address-family ipv4 unicast",
		"network 0.0.0.0/0", "network 10.0.2.1/32"); err != nil {
		t.Fatal(err)
	}
	l.commitConfiguration(t, importPolicy+group("<neighbor><name>"+first.local+"</name><local-interface>"+first.logical+
		"</local-interface><import>bms1</import></neighbor>"+second.stanza()))
	l.established(t, first)
	l.established(t, second)
	ask := func(peer, more string) string {
		return rpc(t, l.session, "<get-route-information><receive-protocol-name>bgp</receive-protocol-name><peer>"+peer+"</peer>"+more+"</get-route-information>")
	}
	row := func(prefix string) string { return "<rt-destination>" + prefix + "</rt-destination>" }
	hidden := ""
	eventually(t, "three hidden routes", func() bool {
		hidden = ask(first.local+"%"+first.logical, "<hidden/>")
		return strings.Contains(hidden, "<hidden-route-count>3</hidden-route-count>")
	})
	for _, part := range []string{"<table-name>inet.0</table-name>", "<table-name>inet6.0</table-name>", row("0.0.0.0/0"), row("10.0.2.1/32"), "<as-path>64512 I</as-path>",
		row("10.255.255.1/32"), "<as-path>64512 65001 I</as-path>"} { // the last is the leaf's own, sent back
		if !strings.Contains(hidden, part) {
			t.Errorf("%q is missing in\n%s", part, hidden)
		}
	}
	if strings.Contains(hidden, row(first.route)) || strings.Contains(hidden, "active-tag") {
		t.Errorf("an accepted route is among the hidden:\n%s", hidden)
	}
	if bare := ask(first.local, "<hidden/>"); strings.Count(bare, "<rt ") != 3 {
		t.Errorf("without its interface: %s", bare)
	}
	if used := ask(first.local, ""); !strings.Contains(used, row(first.route)) || strings.Contains(used, row("10.0.2.1/32")) || !strings.Contains(used, "<active-tag>*<") {
		t.Errorf("accepted: %s", used)
	}
	for _, nobody := range []string{second.local, first.local + "%" + second.logical, "fe80::99"} {
		if reply := ask(nobody, "<hidden/>"); strings.Contains(reply, "<rt ") || !strings.Contains(reply, "<table-name>inet.0<") {
			t.Errorf("of %s: %s", nobody, reply)
		}
	}
	mustHold(t, dialAs(t, l.address, "agent", "1.0"), "<get-route-information><receive-protocol-name>bgp</receive-protocol-name><peer>"+first.local+
		"</peer><hidden/></get-route-information>", "permission denied")
	mustHold(t, l.session, fmt.Sprintf(`<command format="xml">show route receive-protocol bgp %s hidden</command>`, first.local), row("0.0.0.0/0"))
}

func TestReceivedRoutesOfNobody(t *testing.T) {
	cfg, _ := world(t, "21.4R1")
	_, address := serve(t, cfg)
	d := dialAs(t, address, "lab", "1.0")
	for request, want := range map[string]string{
		"<receive-protocol-name>rip</receive-protocol-name><peer>fe80::1</peer>":          "invalid protocol",
		"<receive-protocol-name>bgp</receive-protocol-name><peer>bms1</peer>":             "invalid ip address",
		"<receive-protocol-name>bgp</receive-protocol-name>":                              "invalid ip address",
		"<receive-protocol-name>bgp</receive-protocol-name><peer>fe80::1</peer><hidden/>": "<table-name>inet6.0</table-name>",
	} {
		mustHold(t, d, "<get-route-information>"+request+"</get-route-information>", want)
	}
}

// TestRejectedPrefixesCountForTheLimit: as Junos does, a session over its prefix-limit ends, whatever the policy takes.
func TestRejectedPrefixesCountForTheLimit(t *testing.T) {
	l, servers := newLeaf(t, 1, nil)
	s := servers[0]
	l.commitConfiguration(t, importPolicy+group("<neighbor><name>"+s.local+"</name><local-interface>"+s.logical+"</local-interface><import>bms1</import>"+
		"<family><inet><unicast><extended-nexthop/><prefix-limit><maximum>6</maximum><teardown><limit-threshold>80</limit-threshold>"+
		"<idle-timeout><timeout>5</timeout></idle-timeout></teardown></prefix-limit></unicast></inet></family></neighbor>"))
	l.established(t, s)
	hears(t, l.router, s.route)
	lines := []string{"router bgp 64512", "no bgp network import-check", "address-family ipv4 unicast"}
	for i := range 10 {
		lines = append(lines, fmt.Sprintf("network 10.6.6.%d/32", i))
	}
	if err := s.router.Configure(t.Context(), lines...); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the session ended by its limit", func() bool {
		summary := rpc(t, l.session, "<get-bgp-summary-information/>")
		state, dropped, _ := l.peerState(t, s.local)
		return state != "Established" && dropped == 1 && strings.Contains(summary, "<flap-count>1</flap-count>")
	})
}
