package junos_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lastmile/lab/frr"
)

// prefixes is the IPv4 routes in a router's BGP table that are not its own. A
// server also hears its own back: FRR does not split the horizon among peers
// that it treats alike.
func prefixes(t *testing.T, r *frr.Router) (out []string) {
	t.Helper()
	text, err := r.Vtysh(t.Context(), "show bgp ipv4 unicast json")
	if err != nil {
		t.Fatal(err)
	}
	var table struct {
		Routes map[string][]struct{ Path string }
	}
	if err := json.Unmarshal(text, &table); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	for prefix, paths := range table.Routes {
		if !slices.ContainsFunc(paths, func(p struct{ Path string }) bool { return p.Path == "" }) {
			out = append(out, prefix)
		}
	}
	slices.Sort(out)
	return out
}

func hears(t *testing.T, r *frr.Router, want ...string) {
	t.Helper()
	slices.Sort(want)
	var got []string
	defer func() {
		if t.Failed() {
			t.Logf("hears %v, want %v", got, want)
		}
	}()
	eventually(t, strings.Join(want, " ")+" and no more heard", func() bool {
		got = prefixes(t, r)
		return slices.Equal(got, want)
	})
}

const importPolicy = `<policy-options><policy-statement><name>bms1</name>
<term><name>own</name><from><route-filter><address>10.0.1.1/32</address><exact/></route-filter></from><then><community><add/><community-name>mark</community-name></community><accept/></then></term>
<term><name>rest</name><then><reject/></then></term></policy-statement>
<community><name>mark</name><members>65001:7</members></community></policy-options>`

// TestPolicies looks at what FRR's peers hear.
func TestPolicies(t *testing.T) {
	l, servers := newLeaf(t, 2, nil)
	first, second := servers[0], servers[1]
	if err := first.ns.AddAddress("lo", "10.9.9.9/32"); err != nil {
		t.Fatal(err)
	}
	l.commit(t, first.stanza()+second.stanza())
	l.established(t, first)
	l.established(t, second)
	const loopback = "10.255.255.1/32"
	hears(t, first.router, loopback, second.route)
	hears(t, second.router, loopback, first.route, "10.9.9.9/32")
	hears(t, l.router, first.route, second.route, "10.9.9.9/32")

	_, dropped, _ := l.peerState(t, first.local)
	l.commitConfiguration(t, importPolicy+group("<neighbor><name>"+first.local+"</name><import>bms1</import><description>bms1</description></neighbor>"))
	hears(t, l.router, first.route, second.route)
	hears(t, second.router, loopback, first.route)
	out, err := l.router.Vtysh(t.Context(), "show bgp ipv4 unicast "+first.route+" json")
	if err != nil || !strings.Contains(string(out), "65001:7") {
		t.Errorf("no community on the route: %s (%v)", out, err)
	}

	// A changed policy takes effect without the session noticing.
	l.commitConfiguration(t, `<policy-options><policy-statement><name>bms1</name><term><name>own</name><from>`+
		`<route-filter><address>10.9.9.0/24</address><orlonger/></route-filter></from></term></policy-statement></policy-options>`)
	hears(t, l.router, first.route, second.route, "10.9.9.9/32")
	l.commitConfiguration(t, `<policy-options delete="delete"/>`+
		group("<neighbor><name>"+first.local+`</name><import delete="delete"/></neighbor>`))
	hears(t, l.router, first.route, second.route, "10.9.9.9/32")
	if state, now, _ := l.peerState(t, first.local); state != "Established" || now != dropped {
		t.Errorf("first session: %s, dropped %d then %d", state, dropped, now)
	}
	running, err := l.router.Vtysh(t.Context(), "show running-config")
	if err != nil || strings.Contains(string(running), "bms1:in") {
		t.Errorf("the policy is still there (%v):\n%s", err, running)
	}

	// Without advertise-peer-as nothing of an AS is told to that AS.
	d := l.session
	mustHold(t, d, load("delete protocols bgp group servers advertise-peer-as\nset protocols bgp group servers hold-time 9"), "<ok/>")
	mustHold(t, d, commit, "<ok/>")
	hears(t, second.router, loopback)
}

func group(neighbors string) string {
	return "<protocols><bgp><group><name>servers</name>" + neighbors + "</group></bgp></protocols>"
}

func TestBFDFollowsTheStanza(t *testing.T) {
	l, servers := newLeaf(t, 1, nil)
	s := servers[0]
	l.commitConfiguration(t, group(strings.Replace(s.stanza(), "</neighbor>",
		"<bfd-liveness-detection><minimum-interval>1000</minimum-interval><multiplier>3</multiplier></bfd-liveness-detection></neighbor>", 1)))
	l.established(t, s)
	eventually(t, "a BFD session", func() bool {
		return strings.Contains(rpc(t, l.session, "<get-bfd-session-information/>"), "<session-neighbor>"+s.local+"</session-neighbor>")
	})
	mustHold(t, l.session, "<get-bfd-session-information/>", "<session-state>Down</session-state>",
		"<session-interface>ge-0/0/1.0</session-interface>", "<client-name>BGP</client-name>", "<sessions>1</sessions>")
	mustHold(t, l.session, "<get-bgp-neighbor-information/>", "<bfd-configuration-state>enabled</bfd-configuration-state>")
}

// TestEveryStatementGoes commits statements and deletes them again, among them
// a policy in the same commit as its use: FRR's configuration is as before.
func TestEveryStatementGoes(t *testing.T) {
	l, servers := newLeaf(t, 1, nil)
	s := servers[0]
	l.commit(t, s.stanza())
	configuration := func() string {
		out, err := l.router.Vtysh(t.Context(), "show running-config")
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	neighbor := func(statements string) string {
		return group("<neighbor><name>" + s.local + "</name>" + statements + "</neighbor>")
	}
	const deleted = ` delete="delete"/>`
	for _, test := range []struct{ name, set, unset string }{
		{"bfd",
			neighbor("<bfd-liveness-detection><minimum-interval>300</minimum-interval></bfd-liveness-detection>"),
			neighbor("<bfd-liveness-detection" + deleted)},
		{"bfd, import and policy",
			importPolicy + neighbor("<import>bms1</import><bfd-liveness-detection><minimum-interval>300</minimum-interval></bfd-liveness-detection>"),
			"<policy-options" + deleted + neighbor("<import"+deleted+"<bfd-liveness-detection"+deleted)},
		{"session",
			neighbor("<description>x y</description><hold-time>9</hold-time><authentication-key>k</authentication-key><passive/><ttl>255</ttl><local-address>fe80::9</local-address><enforce-first-as/><as-override/>"),
			neighbor("<description" + deleted + "<hold-time" + deleted + "<authentication-key" + deleted + "<passive" + deleted + "<ttl" + deleted + "<local-address" + deleted + "<enforce-first-as" + deleted + "<as-override" + deleted)},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := configuration()
			l.commitConfiguration(t, test.set)
			if configuration() == before {
				t.Error("committed, but nothing has changed")
			}
			l.commitConfiguration(t, test.unset)
			if diff := cmp.Diff(before, configuration()); diff != "" {
				t.Errorf("committed and deleted (-before +after):\n%s", diff)
			}
			if fails := l.device.Stats().RouterFails; fails != 0 {
				t.Errorf("FRR refused something in %d commits", fails)
			}
		})
	}
}
