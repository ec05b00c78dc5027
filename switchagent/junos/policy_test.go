package junos

import (
	"encoding/xml"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func prefixes(all ...string) (list []netip.Prefix) {
	for _, p := range all {
		list = append(list, netip.MustParsePrefix(p))
	}
	return list
}

// bms1 is a stanza with everything.
func bms1() Stanza {
	secret, err := NewSecret("hush")
	if err != nil {
		panic(err)
	}
	return Stanza{
		Group: "servers", Peer: addr("fe80::1%ge-0/0/1.0"), Description: "lastmile: bms1", PeerAS: 4200000017, Limit: 100, Secret: secret,
		Import: Accept([]uint32{4200000017, 64512, 64513}, prefixes("10.0.0.1/32", "2001:db8::1/128", "10.9.9.9/32"), true),
	}
}

// TestPolicyCommands is the whole configuration of one server, as an operator would type it.
func TestPolicyCommands(t *testing.T) {
	s := bms1()
	name := s.PolicyName()
	if want := "lastmile-ge-0-0-1-0-"; !strings.HasPrefix(name, want) || len(name) != len(want)+16 {
		t.Errorf("policy name %q", name)
	}
	in := "policy-options policy-statement " + name
	n := "protocols bgp group servers neighbor fe80::1"
	want := []string{
		"delete policy-options as-path " + name,
		"set policy-options as-path " + name + ` "4200000017+ (64512|64513)*"`,
		"delete " + in,
		"set " + in + " term inet from as-path " + name,
		"set " + in + " term inet from next-hop fe80::1",
		"set " + in + " term inet from route-filter 10.0.0.1/32 exact",
		"set " + in + " term inet from route-filter 10.9.9.9/32 exact",
		"set " + in + " term inet then accept",
		"set " + in + " term inet6 from as-path " + name,
		"set " + in + " term inet6 from next-hop fe80::1",
		"set " + in + " term inet6 from route-filter 2001:db8::1/128 exact",
		"set " + in + " term inet6 then accept",
		"set " + in + " then reject",
		"set " + n + ` description "lastmile: bms1"`,
		"set " + n + " local-interface ge-0/0/1.0",
		"set " + n + " authentication-key ***",
		"set " + n + " peer-as 4200000017",
		"set " + n + " import " + name,
		"set " + n + " family inet unicast extended-nexthop",
		"set " + n + " family inet unicast prefix-limit maximum 100",
		"set " + n + " family inet unicast prefix-limit teardown 80",
		"set " + n + " family inet unicast prefix-limit teardown idle-timeout 5",
		"set " + n + " family inet6 unicast prefix-limit maximum 100",
		"set " + n + " family inet6 unicast prefix-limit teardown 80",
		"set " + n + " family inet6 unicast prefix-limit teardown idle-timeout 5",
	}
	if diff := cmp.Diff(want, typed(Change{Add: []Stanza{s}})); diff != "" {
		t.Errorf("added (-want +got):\n%s", diff)
	}
}

// TestPolicyGoes: with the server its policy goes, and its neighbour first; a server in quarantine keeps one
// that rejects all.
func TestPolicyGoes(t *testing.T) {
	s := bms1()
	name := s.PolicyName()
	in := "policy-options policy-statement " + name
	want := []string{
		"delete protocols bgp group servers neighbor fe80::1", "delete policy-options as-path " + name, "delete " + in,
	}
	if diff := cmp.Diff(want, typed(Change{Remove: []Stanza{s}})); diff != "" {
		t.Errorf("removed (-want +got):\n%s", diff)
	}
	to := s
	to.Import = RejectAll
	want = []string{"delete policy-options as-path " + name, "delete " + in, "set " + in + " then reject"}
	if diff := cmp.Diff(want, typed(Change{Edit: []Edit{{s, to}}})); diff != "" {
		t.Errorf("quarantined (-want +got):\n%s", diff)
	}
	for _, c := range (Change{Edit: []Edit{{s, to}}}).Commands() {
		if !c.KeepsSession() {
			t.Errorf("%q ends the session", c)
		}
	}
}

func typed(change Change) (all []string) {
	for _, c := range change.Commands() {
		all = append(all, c.String())
	}
	return all
}

// TestPolicyIsInOneLoad: before its neighbour, and gone with it.
func TestPolicyIsInOneLoad(t *testing.T) {
	s := bms1()
	for _, how := range []Load{LoadMerge, LoadReplace, LoadUpdate} {
		added, err := Change{Add: []Stanza{s}}.load(how, true)
		if err != nil {
			t.Fatal(err)
		}
		policy, use := strings.Index(added, "<term><name>inet</name>"), strings.Index(added, "<import>"+s.PolicyName())
		if policy < 0 || use < policy {
			t.Errorf("%s: the policy at %d, its use at %d: %s", how, policy, use, added)
		}
		removed, err := Change{Remove: []Stanza{s}, From: []Stanza{s}}.load(how, true)
		gone := `<policy-statement delete="delete"><name>` + s.PolicyName() + `</name></policy-statement>`
		if err != nil || !strings.Contains(removed, gone) || !strings.Contains(removed, strings.ReplaceAll(gone, "policy-statement", "as-path")) {
			t.Errorf("%s: the policy stays: %s (%v)", how, removed, err)
		}
	}
}

// read is the stanzas of a configuration that was loaded into an empty database.
func read(t testing.TB, load string) []Stanza {
	t.Helper()
	var body struct {
		Config bgpConfiguration `xml:"configuration"`
	}
	if err := xml.Unmarshal([]byte(load), &body); err != nil {
		t.Fatalf("%v: %s", err, load)
	}
	var into bgpRead
	body.Config.read(&into)
	return into.stanzas
}

// TestForeignHandsInAPolicy: whatever somebody has put beside what the agent has written is seen.
func TestForeignHandsInAPolicy(t *testing.T) {
	s := bms1()
	load, err := Change{Add: []Stanza{s}}.load(LoadReplace, false)
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, load); len(got) != 1 || !got[0].Same(s) {
		t.Fatalf("read %+v, want %+v", got, s)
	}
	for name, change := range map[string][2]string{
		"a longer match":         {"<exact></exact>", "<orlonger/>"},
		"a term more":            {"<then><reject></reject></then>", "<term><name>all</name><then><accept/></then></term><then><reject/></then>"},
		"no rejection":           {"<then><reject></reject></then>", ""},
		"rejection deactivated":  {"<then><reject>", `<then inactive="inactive"><reject>`},
		"a prefix more":          {"<route-filter>", "<route-filter><address>0.0.0.0/0</address><orlonger/></route-filter><route-filter>"},
		"another path":           {"4200000017+ ", ".* "},
		"no path":                {"<from><as-path>" + s.PolicyName() + "</as-path>", "<from>"},
		"another policy first":   {"<import>", "<import>any</import><import>"},
		"no policy used":         {"<import>" + s.PolicyName() + "</import>", ""},
		"limit without teardown": {"<teardown>", "<x/><teardown>"},
		"one limit raised":       {"<maximum>100<", "<maximum>1000000<"},
		"a family more":          {"<family>", "<family><evpn/>"},
		"another AS":             {"<peer-as>4200000017<", "<peer-as>1<"},
		"another key":            {">hush<", ">shout<"},
		"policies deactivated":   {"<policy-options>", `<policy-options inactive="inactive">`},
	} {
		changed := strings.Replace(load, change[0], change[1], 1)
		if changed == load {
			t.Errorf("%s: nothing to change in %s", name, load)
		}
		got := read(t, changed)[0]
		if got.Same(s) {
			t.Errorf("%s: not seen", name)
			continue
		}
		for _, how := range []Load{LoadMerge, LoadReplace} {
			change := Change{Edit: []Edit{{got, s}}, From: []Stanza{got}}
			if edit, err := change.load(how, true); err != nil || len(change.Commands()) == 0 {
				t.Errorf("%s: is not mended by %s: %v %s", name, how, err, edit)
			}
		}
	}
	hidden := read(t, strings.Replace(load, ">hush<", ">/* SECRET-DATA */<", 1))[0]
	if !hidden.Same(s) {
		t.Error("a key that may not be seen is taken for another")
	}
	if _, err := (Change{Edit: []Edit{{s, hidden}}}).load(LoadReplace, false); err == nil {
		t.Error("a key that was not seen is written")
	}
}

// pick is one of a list, half of which is nonsense.
func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

func randomStanza(r *rand.Rand) Stanza {
	address := pick(r, "fe80::1", "fe80::5054:ff:fe00:101", "febf::1", "2001:db8::1", "169.254.0.1", "::", "ff02::1")
	s := Stanza{
		Group:       pick(r, "servers", "a-b.c", "", "two words", "x;", "<g>", strings.Repeat("g", 65)),
		Peer:        netip.MustParseAddr(address),
		Description: pick(r, "", "lastmile: bms1", `"quoted" & <b>`, "tab\t", "ü", strings.Repeat("x", 255), strings.Repeat("x", 256)),
		PeerAS:      pick[uint32](r, 0, 1, 64512, 4200000017, 23456, 65535, 4294967295),
		Limit:       pick(r, uint32(0), 1, 100, 4294967295),
	}
	if s.Peer.Is6() {
		s.Peer = s.Peer.WithZone(pick(r, "ge-0/0/1.0", "et-0/0/1:3.100", "irb.2", "", "ge-0/0/1", "x y.0", strings.Repeat("a", 80)+".0"))
	}
	if r.IntN(3) == 0 {
		s.Key = pick(r, s.Peer.WithZone("").String(), s.Peer.String(), "fe80::2", "nonsense")
	}
	if r.IntN(2) == 0 {
		s.Secret = Secret{key: pick(r, "k", "Hush-4711!", "<&>", "a b", strings.Repeat("k", 80), strings.Repeat("k", 81))}
	}
	var announced []netip.Prefix
	for range r.IntN(4) {
		announced = append(announced, netip.MustParsePrefix(pick(r, "10.0.0.1/32", "10.1.0.0/16", "2001:db8::1/128", "0.0.0.0/0", "10.0.0.1/8",
			"::/0", "127.0.0.1/32", "fe80::/64", "ff00::/8", "224.0.0.0/4", "0.1.0.0/16", "::ffff:1.2.3.4/128")))
	}
	as := []uint32{pick[uint32](r, s.PeerAS, 64512), 64513, 64514}[:1+r.IntN(3)]
	s.Import = pick(r, Import{}, RejectAll, Accept(as, announced, r.IntN(2) == 0), Import{prefixes: "10.0.0.1/32"}, Import{own: true, path: `1+"`, prefixes: "10.0.0.1/32"},
		Import{own: true, path: "99999999999+", prefixes: "10.0.0.1/32"}, Import{own: true, path: "64512+"}, Import{own: true, prefixes: "x", path: "1+"})
	return s
}

// TestNothingInvalidIsRendered renders a great many stanzas, most of them bad in some way. What is
// refused is refused whole. What is not is judged here by rules of the test's own, and reads back as
// what it was.
func TestNothingInvalidIsRendered(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const cases = 200_000
	good := 0
	for range cases {
		s := randomStanza(r)
		load, err := Change{Add: []Stanza{s}}.load(pick(r, LoadReplace, LoadUpdate), true)
		if err != nil {
			continue
		}
		good++
		if why := invalid(s); why != "" {
			t.Fatalf("rendered, although %s: %+v\n%s", why, s, load)
		}
		if got := read(t, load); len(got) != 1 || !got[0].Same(s) || got[0].Secret != s.Secret {
			t.Fatalf("reads back as %+v\nwas %+v\n%s", got, s, load)
		}
	}
	if good < cases/1000 || good > cases/2 {
		t.Errorf("%d of %d are good: this proves little", good, cases)
	}
}

// invalid says what Junos, with a commit check, would not take, or what is dangerous.
func invalid(s Stanza) string {
	switch zone := s.Peer.Zone(); {
	case !strings.HasPrefix(s.Peer.String(), "fe80:") && !strings.HasPrefix(s.Peer.String(), "febf:"):
		return "the peer is not link-local"
	case zone != "ge-0/0/1.0" && zone != "et-0/0/1:3.100" && zone != "irb.2":
		return "the interface is none"
	case s.Group != "servers" && s.Group != "a-b.c":
		return "the group is none"
	case len(s.Description) > 255 || strings.ContainsAny(s.Description, "\tü"):
		return "the description is too long, or not printable"
	case s.PeerAS == 23456 || s.PeerAS == 65535 || s.PeerAS == 4294967295:
		return "the AS is reserved"
	case len(s.Secret.key) > 80 || strings.ContainsAny(s.Secret.key, " <&>"):
		return "the key is bad"
	case s.Key == "fe80::2" || s.Key == "nonsense":
		return "the key is another peer's"
	}
	for _, p := range strings.Fields(s.Import.prefixes) {
		switch p {
		case "10.0.0.1/32", "10.1.0.0/16", "2001:db8::1/128":
		default:
			return "the prefix " + p + " is none that a server may announce"
		}
	}
	var as int
	if _, err := fmt.Sscanf(s.Import.path, "%d+", &as); s.Import.path != "" && (err != nil || as == 0 || as > 1<<32-1 || strings.Contains(s.Import.path, `"`)) {
		return "the path is none"
	}
	return ""
}

func FuzzReadConfiguration(f *testing.F) {
	load, err := Change{Add: []Stanza{bms1()}}.load(LoadReplace, false)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(load)
	f.Fuzz(func(t *testing.T, text string) {
		var body struct {
			Config bgpConfiguration `xml:"configuration"`
		}
		if xml.Unmarshal([]byte(text), &body) != nil {
			return
		}
		var into bgpRead
		body.Config.read(&into)
		for _, s := range into.stanzas {
			if !s.Same(s) {
				t.Errorf("%+v is not itself", s)
			}
			Change{Edit: []Edit{{s, bms1()}}, Remove: []Stanza{s}}.Commands()
		}
	})
}
