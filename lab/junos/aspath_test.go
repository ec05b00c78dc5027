package junos_test

import (
	"strings"
	"testing"
)

// TestASPathsOfPolicies commits expressions, and looks which AS paths FRR then takes.
func TestASPathsOfPolicies(t *testing.T) {
	l, servers := newLeaf(t, 1, nil)
	s := servers[0]
	policy := func(expression string) string {
		return `<policy-options><as-path><name>own</name><path>` + expression + `</path></as-path><policy-statement><name>bms1</name>` +
			`<term><name>own</name><from><as-path>own</as-path></from><then><accept/></then></term><then><reject/></then></policy-statement></policy-options>`
	}
	l.commitConfiguration(t, policy("64512+")+group(strings.Replace(s.stanza(), "</neighbor>", "<import>bms1</import></neighbor>", 1)))
	l.established(t, s)
	hears(t, l.router, s.route)
	for _, test := range []struct {
		expression, prepend string
		taken               bool
	}{
		{"64512", "", true}, {"64512+", "64512 64512", true}, {"64512", "64512", false},
		{"6451+", "", false}, {"4512+", "", false}, {"64512+ (64513|64514)*", "", true},
		{"64512+ (64513|64514)*", "64513", true}, {"64512+ (64513|64514)*", "64514 64513", true},
		{"64512+ (64513|64514)*", "64515", false}, {"64512+", "64513", false}, {". .", "64513", true}, {".{1,2}", "1 2", false},
	} {
		prepend := "no set as-path prepend"
		if test.prepend != "" {
			// What stands behind the server's own AS is what it puts in front of it here.
			prepend = "set as-path prepend " + test.prepend
		}
		err := s.router.Configure(t.Context(), "route-map OUT permit 10", prepend, "exit", "router bgp 64512",
			"address-family ipv4 unicast", "neighbor eth0 route-map OUT out", "do clear bgp * soft out")
		if err != nil {
			t.Fatal(err)
		}
		l.commitConfiguration(t, policy(test.expression))
		if test.taken {
			hears(t, l.router, s.route)
		} else {
			hears(t, l.router)
		}
		if t.Failed() {
			t.Fatalf("%q with %q", test.expression, test.prepend)
		}
	}
	if fails := l.device.Stats().RouterFails; fails != 0 {
		t.Errorf("FRR refused something in %d commits", fails)
	}
}
