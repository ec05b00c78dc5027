package junos

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var testNames = withLoopback(map[string]string{"ge-0/0/1": "ge-0-0-1", "ge-0/0/2": "ge-0-0-2", "irb.2": "irb2"})

// rendered is what FRR is sent when a configuration follows another.
func rendered(t *testing.T, before, after string) string {
	t.Helper()
	have, _ := render(parse(t, before).active(), testNames)
	want, complaints := render(parse(t, after).active(), testNames)
	for _, c := range complaints {
		t.Errorf("complaint: %s", c)
	}
	return strings.Join(batch(difference(have, want)), "\n") + "\n"
}

const leafBase = `set routing-options autonomous-system 65001
set routing-options router-id 10.255.255.1
set protocols bgp group servers peer-as 64512
set protocols bgp group servers advertise-peer-as
set protocols bgp group servers family inet unicast extended-nexthop
set protocols bgp group servers neighbor fe80::1 local-interface ge-0/0/1.0
`

func TestRender(t *testing.T) {
	want := `bgp as-path access-list LEARNED seq 5 permit [0-9]
route-map out:inet permit 1000
match as-path LEARNED
exit
bgp route-map delay-timer 1
router bgp 65001
router bgp 65001
no bgp ebgp-requires-policy
no bgp default ipv4-unicast
no bgp network import-check
coalesce-time 0
bgp router-id 10.255.255.1
neighbor fe80::1 remote-as 64512
neighbor fe80::1 interface ge-0-0-1
neighbor fe80::1 capability extended-nexthop
neighbor fe80::1 timers 30 90
neighbor fe80::1 timers connect 5
exit
router bgp 65001
address-family ipv4 unicast
maximum-paths 1
neighbor fe80::1 activate
neighbor fe80::1 route-map out:inet out
exit
exit
router bgp 65001
address-family ipv6 unicast
maximum-paths 1
exit
exit
`
	if diff := cmp.Diff(want, rendered(t, "", leafBase)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := rendered(t, leafBase, leafBase); got != "\n" {
		t.Errorf("no change, but: %s", got)
	}
}

// TestRenderChanges holds that a change touches what it concerns and no more.
func TestRenderChanges(t *testing.T) {
	const bgp, family, out = "router bgp 65001\n", "address-family ipv4 unicast\n", "exit\n"
	for name, test := range map[string]struct{ change, want string }{
		"description": {
			"set protocols bgp group servers neighbor fe80::1 description bms1",
			bgp + "neighbor fe80::1 description bms1\n" + out,
		},
		"another AS":   {"set protocols bgp group servers neighbor fe80::1 peer-as 64513", bgp + "neighbor fe80::1 remote-as 64513\n" + out},
		"another link": {"set protocols bgp group servers neighbor fe80::1 local-interface ge-0/0/2.0", bgp + "neighbor fe80::1 interface ge-0-0-2\n" + out},
		"gone":         {"delete protocols bgp group servers neighbor fe80::1\nset protocols bgp group servers neighbor 192.0.2.1 passive", bgp + "no neighbor fe80::1\n" + newPeer},
		"nothing left": {"delete protocols bgp", "no bgp route-map delay-timer\nno router bgp 65001\nno bgp as-path access-list LEARNED seq 5 permit [0-9]\nno route-map out:inet permit 1000\n"},
		"deactivated":  {"deactivate protocols bgp group servers neighbor fe80::1", bgp + "no neighbor fe80::1\n" + out + "no bgp as-path access-list LEARNED seq 5 permit [0-9]\nno route-map out:inet permit 1000\n"},
		"what only a session has": {
			"set protocols bgp group servers hold-time 9\nset protocols bgp group servers authentication-key k\nset protocols bgp group servers passive\nset protocols bgp group servers ttl 255",
			bgp + "neighbor fe80::1 timers 3 9\nneighbor fe80::1 password k\nneighbor fe80::1 passive\nneighbor fe80::1 ttl-security hops 1\n" + out,
		},
		"a limit": {
			"set protocols bgp group servers family inet unicast prefix-limit maximum 10\nset protocols bgp group servers family inet unicast prefix-limit teardown 80 idle-timeout 5",
			bgp + family + "neighbor fe80::1 maximum-prefix 10 80 restart 5 force\n" + out + out,
		},
		"loops":     {"set routing-options autonomous-system loops 2", bgp + family + "neighbor fe80::1 allowas-in 2\n" + out + out},
		"multipath": {"set protocols bgp group servers multipath multiple-as", bgp + family + "no maximum-paths 1\n" + out + out + bgp + "address-family ipv6 unicast\nno maximum-paths 1\n" + out + out + bgp + "bgp bestpath as-path multipath-relax\n" + out},
		"no id":     {"delete routing-options router-id", bgp + "no bgp router-id\n" + out},
		"bfd":       {"set protocols bgp group servers bfd-liveness-detection minimum-interval 1000", bgp + "neighbor fe80::1 bfd 3 1000 1000\n" + out},
		"advertisements": {
			"set protocols router-advertisement interface irb.2 max-advertisement-interval 30 default-lifetime 0",
			"interface irb2\nno ipv6 nd suppress-ra\nno ipv6 nd ra-lifetime\nipv6 nd ra-interval 30\nipv6 nd ra-lifetime 0\nexit\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			after := parse(t, leafBase)
			if missing, errs := after.mergeSetLines(test.change); len(errs) > 0 || len(missing) > 0 {
				t.Fatal(errs, missing)
			}
			if diff := cmp.Diff(test.want, rendered(t, leafBase, after.setLines())); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

const newPeer = `neighbor 192.0.2.1 remote-as 64512
neighbor 192.0.2.1 capability extended-nexthop
neighbor 192.0.2.1 timers 30 90
neighbor 192.0.2.1 timers connect 5
neighbor 192.0.2.1 passive
exit
router bgp 65001
address-family ipv4 unicast
neighbor 192.0.2.1 activate
neighbor 192.0.2.1 route-map out:inet out
exit
exit
`

const (
	policy = "set policy-options policy-statement p "
	use    = "set protocols bgp group servers export p\n"
)

// policies is statements of policies, and what FRR is told of them.
var policies = map[string]struct{ lines, want string }{
	"own addresses": {
		use + policy + "term a from protocol [ direct bgp ]\n" + policy + "term a from route-filter 10.0.0.0/8 upto /24\n" +
			policy + "term a from route-filter 192.0.2.1/32 exact\n" + policy + "term a then accept\n" + policy + "then reject\n",
		`ip prefix-list p:out:inet:1000 seq 5 permit 10.0.0.0/8 le 24
ip prefix-list p:out:inet:1000 seq 10 permit 192.0.2.1/32
route-map p:out:inet permit 1000
match tag 1
match ip address prefix-list p:out:inet:1000
exit
route-map p:out:inet permit 1001
match as-path LEARNED
match ip address prefix-list p:out:inet:1000
exit
route-map p:out:inet deny 1002
exit
`},
	"a list of the other family never matches": {
		use + "set policy-options prefix-list six 2001:db8::/32\n" + policy + "from prefix-list six\n" + policy + "then reject\n", "",
	},
	"lengths": {
		use + "set policy-options prefix-list l 10.0.0.0/8\n" + policy + "from prefix-list-filter l longer\n" +
			policy + "from route-filter 172.16.0.0/12 prefix-length-range /16-/24\n" + policy + "from route-filter 0.0.0.0/0 orlonger\n" + policy + "then accept\n",
		`ip prefix-list p:out:inet:1000 seq 5 permit 172.16.0.0/12 ge 16 le 24
ip prefix-list p:out:inet:1000 seq 10 permit 0.0.0.0/0 le 32
ip prefix-list p:out:inet:1000 seq 15 permit 10.0.0.0/8 ge 9 le 32
route-map p:out:inet permit 1000
match ip address prefix-list p:out:inet:1000
exit
`},
	"marks and goes on": {
		"set protocols bgp group servers export [ p q ]\nset policy-options policy-statement q then accept\n" +
			"set policy-options community c members 65001:1\n" + policy + "term a from community c\n" +
			policy + "term a then local-preference 200\n" + policy + "term a then as-path-prepend \"65001 65001\"\n" +
			policy + "term a then community delete c\n" + policy + "term b then next policy\n",
		`bgp community-list standard c seq 5 permit 65001:1
route-map p:q:out:inet permit 1000
match community c
set local-preference 200
set as-path prepend 65001 65001
set comm-list c delete
on-match next
exit
route-map p:q:out:inet permit 1001
on-match goto 2000
exit
route-map p:q:out:inet permit 2000
exit
`},
	"not to its own AS": {
		"delete protocols bgp group servers advertise-peer-as\n",
		`bgp as-path access-list AS-64512 seq 5 permit _64512_
route-map out:inet:not:64512 deny 1
match as-path AS-64512
exit
`},
}

func TestRenderPolicy(t *testing.T) {
	for name, test := range policies {
		t.Run(name, func(t *testing.T) {
			tree := parse(t, leafBase)
			if _, errs := tree.mergeSetLines(test.lines); len(errs) > 0 {
				t.Fatal(errs)
			}
			settings, complaints := render(tree, testNames)
			if len(complaints) > 0 {
				t.Error(complaints)
			}
			got := ""
			for _, s := range settings {
				ends := strings.Contains(s.key, "ORIGIN-") || strings.Contains(s.key, "LEARNED") || strings.Contains(s.text, "match as-path LEARNED\nexit")
				if s.policy && !ends {
					got += s.text + "\n"
				}
			}
			if name == "own addresses" && !slices.ContainsFunc(settings, func(s *setting) bool { return s.text == "redistribute connected route-map ORIGIN-direct" }) {
				t.Error("connected routes are not redistributed")
			}
			got = strings.TrimSuffix(got, "route-map p:q:out:inet permit 3000\nexit\n")
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestRenderComplains(t *testing.T) {
	tree := parse(t, leafBase+`set protocols bgp group servers neighbor fe80::2
set protocols bgp group servers neighbor fe80::3 local-interface xe-0/0/9.0
set protocols bgp group servers neighbor fe80::1%ge-0/0/2.0
set protocols bgp group servers neighbor fe80::4%ge-0/0/2.0
set protocols bgp group servers neighbor nobody
set protocols bgp group other neighbor 192.0.2.1
set protocols bgp group servers import nowhere
set protocols router-advertisement interface xe-0/0/9.0
`)
	settings, complaints := render(tree, testNames)
	want := []string{
		"router-advertisement: interface xe-0/0/9.0 does not exist",
		"bgp: neighbor nobody is not an address",
		"policy nowhere is not defined",
		"bgp: neighbor fe80::2 is link-local and has no local-interface",
		"bgp: neighbor fe80::3: interface xe-0/0/9.0 does not exist",
		"bgp: neighbor fe80::1 is configured twice",
		"bgp: neighbor 192.0.2.1 has no peer-as",
	}
	if diff := cmp.Diff(want, complaints); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !slices.ContainsFunc(settings, func(s *setting) bool { return s.text == "neighbor fe80::4 interface ge-0-0-2" }) {
		t.Error("an interface in the key is not used")
	}
}

// refuser is a router that refuses batches with a word in them.
type refuser struct {
	word    string
	batches [][]string
}

func (*refuser) Show(context.Context, string) ([]byte, error) { return nil, nil }

func (r *refuser) Configure(_ context.Context, lines []string) error {
	r.batches = append(r.batches, lines)
	if strings.Contains(strings.Join(lines, "\n"), r.word) {
		return errors.New("refused")
	}
	return nil
}

// TestOneRefusalDoesNotTakeTheRest: what was refused is tried again, the rest is
// applied once.
func TestOneRefusalDoesNotTakeTheRest(t *testing.T) {
	router := &refuser{word: "neighbor fe80::2 "}
	r := &routing{router: router}
	settings, _ := render(parse(t, leafBase+"set protocols bgp group servers neighbor fe80::2 local-interface ge-0/0/2.0\n"), testNames)
	if _, err := r.apply(t.Context(), settings); err == nil || !strings.Contains(err.Error(), "neighbor fe80::2: refused") {
		t.Errorf("error: %v", err)
	}
	router.word = "nothing"
	touched, err := r.apply(t.Context(), settings)
	if err != nil || !slices.Equal(touched, []string{"neighbor fe80::2"}) {
		t.Errorf("second time touched %v, %v", touched, err)
	}
	router.batches = nil
	if touched, err := r.apply(t.Context(), settings); len(touched) > 0 || err != nil || len(router.batches) > 0 {
		t.Errorf("third time touched %v, %v", touched, err)
	}
}

// A second neighbour, and the same with a description and a policy.
const (
	second    = leafBase + "set protocols bgp group servers neighbor fe80::2 local-interface ge-0/0/2.0\n"
	described = second + `set protocols bgp group servers neighbor fe80::2 description bms2
set protocols bgp group servers neighbor fe80::2 import p
set policy-options policy-statement p then reject
`
)

func settingsOf(t *testing.T, lines string) []*setting {
	t.Helper()
	s, _ := render(parse(t, lines), testNames)
	return s
}

// TestRefusedStatementsStayKnown: FRR keeps what it refuses to remove, and what
// it took of an object before it refused the rest; so both are known and go
// later. A policy that a refused line may refer to stays until then.
func TestRefusedStatementsStayKnown(t *testing.T) {
	const path = "router bgp 65001\n"
	const family = path + "address-family ipv4 unicast\n"
	for name, test := range map[string]struct{ have, want, refused, sent string }{
		"a line that goes": {
			described, second, "no neighbor fe80::2 route-map",
			family + "no neighbor fe80::2 route-map p:in:inet in\nexit\nexit\n" +
				"no route-map p:in:inet deny 1000\nno route-map p:in:inet permit 2000\n",
		},
		"a line that comes": {second, described, "neighbor fe80::2 description", path + "neighbor fe80::2 description bms2\nexit\n"},
		"a neighbour that goes": {
			second, leafBase, "no neighbor fe80::2", path + "no neighbor fe80::2\nexit\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			router := &refuser{word: "\x00"}
			r := &routing{router: router}
			if _, err := r.apply(t.Context(), settingsOf(t, test.have)); err != nil {
				t.Fatal(err)
			}
			router.word = test.refused
			if _, err := r.apply(t.Context(), settingsOf(t, test.want)); err == nil {
				t.Error("nothing was refused")
			}
			router.word, router.batches = "\x00", nil
			if _, err := r.apply(t.Context(), settingsOf(t, test.want)); err != nil {
				t.Fatal(err)
			}
			if len(router.batches) != 1 {
				t.Fatalf("sent %q, want one batch", router.batches)
			}
			if diff := cmp.Diff(test.sent, strings.Join(router.batches[0], "\n")+"\n"); diff != "" {
				t.Errorf("second time (-want +got):\n%s", diff)
			}
			if diff := difference(r.applied, settingsOf(t, test.want)); len(diff) > 0 {
				t.Errorf("left to do: %d steps", len(diff))
			}
		})
	}
}

// TestNeighbourOfWhichALineWasRefused: it is known, and goes.
func TestNeighbourOfWhichALineWasRefused(t *testing.T) {
	router := &refuser{word: "neighbor fe80::2 description"}
	r := &routing{router: router}
	if _, err := r.apply(t.Context(), settingsOf(t, described)); err == nil {
		t.Error("nothing was refused")
	}
	router.batches = nil
	if _, err := r.apply(t.Context(), settingsOf(t, leafBase)); err != nil || len(router.batches) != 1 || !slices.Contains(router.batches[0], "no neighbor fe80::2") {
		t.Errorf("sent %q, want the neighbour removed (%v)", router.batches, err)
	}
}

func TestMergedConfiguration(t *testing.T) {
	static := parse(t, "set system configuration-database ephemeral instance high\nset system configuration-database ephemeral instance low\n"+
		"set protocols bgp group g peer-as 1\nset protocols bgp group g import a\n")
	db := newDatabases(static.def, static, time.Now)
	db.setInstance("low", parse(t, "set protocols bgp group g peer-as 2\nset protocols bgp group g hold-time 9\n"))
	db.setInstance("high", parse(t, "set protocols bgp group g peer-as 3\nset protocols bgp group g import b\n"))
	db.setInstance("", parse(t, "set protocols bgp group g peer-as 4\nset protocols bgp group g description default\n"))
	db.setInstance("unknown", parse(t, "set protocols bgp group g peer-as 5\n"))
	g := db.merged().at("protocols", "bgp").entry("group", "g")
	if got := []string{g.leaf("peer-as"), g.leaf("hold-time"), g.leaf("description"), strings.Join(g.leaves("import"), " ")}; !slices.Equal(got, []string{"3", "9", "default", "a b"}) {
		t.Errorf("merged: %q", got)
	}
	if static.at("protocols", "bgp").entry("group", "g").leaf("peer-as") != "1" {
		t.Error("merging changed the static configuration")
	}
}
