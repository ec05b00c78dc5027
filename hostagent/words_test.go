package hostagent_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// keysOf collects the keys of a JSON text by their places. Prefixes, and the
// names of peers, are a * each; what is in a list is as if it stood alone.
func keysOf(t *testing.T, text []byte) map[string]bool {
	t.Helper()
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	keys := map[string]bool{}
	var walk func(place string, value any)
	walk = func(place string, value any) {
		switch v := value.(type) {
		case []any:
			for _, member := range v {
				walk(place, member)
			}
		case map[string]any:
			for key, member := range v {
				if _, err := netip.ParsePrefix(key); err == nil || strings.HasSuffix(place, ".peers") {
					key = "*"
				}
				keys[place+"."+key] = true
				walk(place+"."+key, member)
			}
		}
	}
	walk("", value)
	return keys
}

// shown is what `hostagent show` is asked, and FRR of the same.
type shown struct {
	args string
	frr  string
	cut  string // where in FRR's answer the comparable part is
	ours string // keys that are not FRR's, or that FRR shows elsewhere or only of other routes
}

// compare wants every key of ours in FRR's answer. What is of the kernel is compared with FRR's answer about
// the kernel, and with no other.
func (s shown) compare(t *testing.T, ours, theirs []byte) {
	t.Helper()
	known := keysOf(t, theirs)
	for key := range maps.Clone(known) {
		if rest, inside := strings.CutPrefix(key, s.cut); inside {
			known[rest] = true
		}
	}
	for key := range keysOf(t, ours) {
		place := key
		if strings.HasPrefix(s.frr, "show ip") {
			var inKernel bool
			if place, inKernel = strings.CutPrefix(key, ".kernel"); !inKernel || place == "" {
				continue
			}
		} else if strings.HasPrefix(key, ".kernel.") {
			continue
		}
		if !known[place] && !slices.Contains(strings.Fields(s.ours), key) {
			t.Errorf("%s: FRR's `%s` has no %s", s.args, s.frr, place)
		}
	}
}

// TestShowUsesFRRsKeys compares what `hostagent show` prints with what FRR
// prints of the same.
func TestShowUsesFRRsKeys(t *testing.T) {
	s := newServer(t)
	s.start(t)
	s.awaitPaths(t, "10.9.9.9/32", 2)
	leaf := s.frr[0]
	await(t, func() error { return hasRoute(t.Context(), leaf, "10.0.1.1/32") })
	for _, test := range []shown{
		{"neighbors", "show bgp summary json", ".ipv4Unicast", ".peers.*.neighbor .peers.*.remoteRouterId .peers.*.held .peers.*.pfxAnnounced"},
		// The keys metric, locPrf, multipath, community and largeCommunity are checked by the test of the table that judges with FRR.
		{"routes", "show bgp ipv4 unicast json", "", ".routes.*.uplink .routes.*.nexthop .routes.*.reason " +
			".routes.*.metric .routes.*.locPrf .routes.*.multipath .routes.*.nexthops.interfaceName"},
		{"routes 10.9.9.9/32", "show bgp ipv4 unicast 10.0.1.1/32 json", "",
			".kernel .paths.metric .paths.locPrf .paths.multipath .paths.why .paths.nexthops.interfaceName .paths.peer.peerUptimeMsec"},
		{"routes 10.9.9.9/32", "show ip route 10.0.1.1/32 json", ".*",
			".kernel.source .kernel.nexthops.scope .kernel.nexthops.used"},
	} {
		out, err := s.ns.Run(t.Context(), s.bin, strings.Fields("show "+test.args+" -o json --socket "+s.socket)...)
		if err != nil {
			t.Fatalf("%s: %v: %s", test.args, err, out)
		}
		theirs, err := leaf.Vtysh(t.Context(), test.frr)
		if err != nil {
			t.Fatal(err)
		}
		test.compare(t, out, theirs)
		if t.Failed() {
			t.Logf("ours: %s\nFRR's: %s", out, theirs)
		}
	}
	s.showByHand(t)
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// showByHand asks as a person does, and mistypes.
func (s *server) showByHand(t *testing.T) {
	t.Helper()
	show := func(args ...string) string {
		out, err := s.ns.Run(t.Context(), s.bin, append([]string{"show", "--socket", s.socket}, args...)...)
		return fmt.Sprintf("%s %v", out, err)
	}
	for _, of := range []string{"10.9.9.9/32", "10.9.9.9"} {
		got := show("routes", of)
		for _, want := range []string{
			"BGP routing table entry for 10.9.9.9/32\nPaths: (2 available, best #", "  65001\n", "  65002\n", "best (Neighbor IP)",
			"Kernel: installed, proto 199, metric 20, src 10.0.1.1, via fe80::", " dev eth0", " dev eth1", " <nil>",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("show routes %s has no %q: %s", of, want, got)
			}
		}
		t.Logf("%s", got)
	}
	if got := show("routes", "c0d1::9"); !strings.Contains(got, "entry for c0d1::9/128") {
		t.Errorf("show routes c0d1::9: %s", got)
	}
	for _, test := range []struct{ args, want string }{
		{"routes 10.7.7.7", "hostagent: no route to 10.7.7.7: no leaf announces one that is accepted"},
		{"routes nonsense", `hostagent: "nonsense" is not allowed: a prefix such as`},
		{"routes 10.9.9.9 --ipv6", "hostagent: --ipv4, --ipv6 and --uplink are for the whole table"},
		{"routes --uplink eth7", `hostagent: "eth7" is not an uplink: there are eth0, eth1`},
		{"routes -o xml", `hostagent: output "xml" is not allowed: text or json`},
	} {
		if got := show(strings.Fields(test.args)...); !strings.Contains(got, test.want) || !strings.Contains(got, "exit status 1") {
			t.Errorf("show %s: %s, want %s", test.args, got, test.want)
		}
	}
}
