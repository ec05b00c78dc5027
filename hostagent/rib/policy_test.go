package rib_test

import (
	"net/netip"
	"slices"
	"testing"

	"lastmile/hostagent/rib"
)

// A policyTest is a path to a prefix, and what becomes of it under a policy.
type policyTest struct {
	name   string
	policy []rib.Rule
	prefix netip.Prefix
	path   rib.Path
	accept bool
	pref   uint32
}

func (tt policyTest) test(t *testing.T) {
	table := rib.New(rib.Config{AS: 64512, Import: tt.policy})
	table.Update(leaf1, announce(tt.prefix, tt.path), nil)
	e, found := table.Lookup(tt.prefix)
	if found != tt.accept || found && e.Paths[0].Path.LocalPref != tt.pref {
		t.Errorf("accepted %v: %+v", found, e.Paths)
	}
	if p := table.Peers()[0]; (p.Rejected == 0) != tt.accept || p.Looped != 0 {
		t.Errorf("%+v", p)
	}
}

var (
	host, net24 = netip.MustParsePrefix("10.0.2.2/32"), netip.MustParsePrefix("10.0.2.0/24")
	host6       = netip.MustParsePrefix("c0d1::1/128")
	all4, all6  = netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")
	any4        = rib.Range{Prefix: all4, Max: 32}
	low, high   = uint32(50), uint32(200)
)

func TestImportByPrefixAndLink(t *testing.T) {
	defaults := rib.Rule{Prefixes: []rib.Range{{Prefix: all4}, {Prefix: all6}}}
	short := path(1)
	for _, tt := range []policyTest{
		{"none accepts all", nil, host, short, true, 100},
		{"default only, IPv4", []rib.Rule{defaults}, all4, short, true, 100},
		{"default only, IPv6", []rib.Rule{defaults}, all6, short, true, 100},
		{"default only, another", []rib.Rule{defaults}, host, short, false, 0},
		{"default only, another IPv6", []rib.Rule{defaults}, host6, short, false, 0},
		{"range, inside", []rib.Rule{{Prefixes: []rib.Range{{net24, 25, 32}}}}, host, short, true, 100},
		{"range, too short", []rib.Rule{{Prefixes: []rib.Range{{net24, 25, 32}}}}, net24, short, false, 0},
		{"range, too long", []rib.Rule{{Prefixes: []rib.Range{{net24, 24, 31}}}}, host, short, false, 0},
		{"range, shorter than its prefix", []rib.Rule{{Prefixes: []rib.Range{{host, 0, 32}}}}, net24, short, false, 0},
		{"range of the other family", []rib.Rule{{Prefixes: []rib.Range{any4}}}, host6, short, false, 0},
		{"first that matches", []rib.Rule{{Prefixes: []rib.Range{any4}, LocalPref: &low}, {LocalPref: &high}}, host, short, true, 50},
		{"second that matches", []rib.Rule{{Prefixes: []rib.Range{any4}, LocalPref: &low}, {LocalPref: &high}}, host6, short, true, 200},
		{"reject", []rib.Rule{{Prefixes: []rib.Range{any4}, Reject: true}, {}}, host, short, false, 0},
		{"link", []rib.Rule{{Links: []string{"eth1", "eth0"}, LocalPref: &low}}, host, short, true, 50},
		{"link by pattern", []rib.Rule{{Links: []string{"e*0"}, LocalPref: &low}}, host, short, true, 50},
		{"another link", []rib.Rule{{Links: []string{"eth1"}, LocalPref: &low}}, host, short, false, 0},
		{"at most /24, inside", []rib.Rule{{Prefixes: []rib.Range{{Prefix: all4, Max: 24}}}}, net24, short, true, 100},
		{"at most /24, longer", []rib.Rule{{Prefixes: []rib.Range{{Prefix: all4, Max: 24}}}}, host, short, false, 0},
	} {
		t.Run(tt.name, tt.test)
	}
}

func TestImportByAttributes(t *testing.T) {
	long, tagged := path(1, 2, 3), path(1)
	tagged.Communities, tagged.LargeCommunities = []uint32{5, 6}, [][3]uint32{{7, 8, 9}}
	local := path(1)
	local.Communities = []uint32{0xffffff01}
	leaving := path(1)
	leaving.Communities = []uint32{5, rib.GracefulShutdown}
	for _, tt := range []policyTest{
		{"none accepts all", nil, host, long, true, 100},
		{"longest path", []rib.Rule{{MaxLength: 3}}, host, long, true, 100},
		{"too long a path", []rib.Rule{{MaxLength: 2}}, host, long, false, 0},
		{"community", []rib.Rule{{Communities: tags("0:9", "0:6"), LocalPref: &high}, {}}, host, tagged, true, 200},
		{"not the community", []rib.Rule{{Communities: tags("0:9"), LocalPref: &high}, {}}, host, tagged, true, 100},
		{"all of one entry", []rib.Rule{{Communities: tags("0:9", "0:5 7:8:9 0:6"), LocalPref: &high}, {}}, host, tagged, true, 200},
		{"not all of any entry", []rib.Rule{{Communities: tags("0:5 0:9", "0:6 7:8:8"), LocalPref: &high}, {}}, host, tagged, true, 100},
		{"large community", []rib.Rule{{Communities: tags("7:8:9"), Reject: true}, {}}, host, tagged, false, 0},
		{"a community by name", []rib.Rule{{Communities: tags("no-export"), Reject: true}, {}}, host, local, false, 0},
		{"graceful shutdown", nil, host, leaving, true, 0},
		{"graceful shutdown before the policy's preference", []rib.Rule{{LocalPref: &high}}, host, leaving, true, 0},
		{"graceful shutdown of what is rejected", []rib.Rule{{Reject: true}}, host, leaving, false, 0},
	} {
		t.Run(tt.name, tt.test)
	}
}

// TestRejectedTakesThePlaceOfAccepted: what a leaf said before does not hold any more.
func TestRejectedTakesThePlaceOfAccepted(t *testing.T) {
	table := rib.New(rib.Config{AS: 64512, Import: []rib.Rule{{MaxLength: 1}}})
	check(t, "accepted", to(prefix, leaf1), table.Update(leaf1, announce(prefix, path(1)), nil))
	check(t, "rejected", to(prefix), table.Update(leaf1, announce(prefix, path(1, 2)), nil))
}

func TestAlwaysCompareMED(t *testing.T) {
	low, high := path(1), path(2)
	low.MED, high.MED = 10, 20
	for always, want := range map[bool][]netip.Addr{false: {leaf1, leaf2}, true: {leaf1}} {
		table := rib.New(rib.Config{AS: 64512, AlwaysCompareMED: always})
		table.Update(leaf2, announce(prefix, high), nil)
		changes := table.Update(leaf1, announce(prefix, low), nil)
		if got := slices.Collect(changes.All()); !slices.Equal(got[0].NextHops, want) {
			t.Errorf("always %v: %v, want %v", always, got, want)
		}
	}
}

func TestRangeText(t *testing.T) {
	const form = "a prefix is wanted, such as 10.0.0.0/8, and after it le or ge with a length, such as 10.0.0.0/8 ge 24 le 32"
	tests := []struct {
		text     string
		min, max int
		problem  string
	}{
		{"10.0.0.0/8", 8, 8, ""},
		{" 10.0.0.0/8  le 32 ", 8, 32, ""},
		{"10.0.0.0/8 ge 24", 24, 32, ""},
		{"10.0.0.0/8 ge 24 le 28", 24, 28, ""},
		{"c0d1::/32 ge 64", 64, 128, ""},
		{"0.0.0.0/0", 0, 0, ""},
		{"", 0, 0, form},
		{"10.0.0.0/8 le", 0, 0, form},
		{"10.0.0.0", 0, 0, `"10.0.0.0" is not a prefix, such as 10.0.0.0/8`},
		{"10.0.0.1/8", 0, 0, "bits are set behind the prefix 10.0.0.1/8; 10.0.0.0/8?"},
		{"10.0.0.0/8 le 33", 0, 0, `"33" is not a length from 8 to 32`},
		{"10.0.0.0/8 le 7", 0, 0, `"7" is not a length from 8 to 32`},
		{"10.0.0.0/8 ge 24 le 23", 0, 0, `"23" is not a length from 24 to 32`},
		{"10.0.0.0/8 ge x", 0, 0, `"x" is not a length from 8 to 32`},
		{"10.0.0.0/8 le 24 ge 9", 0, 0, `"le" is not allowed here: ge LENGTH, le LENGTH or ge LENGTH le LENGTH`},
		{"10.0.0.0/8 ge 9 ge 10", 0, 0, `"ge" is not allowed here: ge LENGTH, le LENGTH or ge LENGTH le LENGTH`},
		{"10.0.0.0/8 eq 9", 0, 0, `"eq" is not allowed here: ge LENGTH, le LENGTH or ge LENGTH le LENGTH`},
	}
	for _, tt := range tests {
		var r rib.Range
		problem := ""
		if err := r.UnmarshalText([]byte(tt.text)); err != nil {
			problem = err.Error()
		}
		if problem != tt.problem || r.Min != tt.min || r.Max != tt.max {
			t.Errorf("%q: %+v, %q; want %q", tt.text, r, problem, tt.problem)
		}
	}
}

func FuzzRangeText(f *testing.F) {
	f.Add("10.0.0.0/8 ge 24 le 28")
	f.Add("::/0 le 128")
	f.Fuzz(func(t *testing.T, text string) {
		var r rib.Range
		if r.UnmarshalText([]byte(text)) != nil {
			return
		}
		inside := netip.PrefixFrom(r.Prefix.Addr(), r.Min)
		if r.Min > r.Max || r.Max > r.Prefix.Addr().BitLen() || !r.Contains(inside) {
			t.Errorf("%q is %+v", text, r)
		}
	})
}
