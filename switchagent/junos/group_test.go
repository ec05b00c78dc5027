package junos

import (
	"slices"
	"strings"
	"testing"
)

// TestLacks: what a group has is its own or inherited; families are inherited all or none; and what is deactivated, at any level of
// the way to it, is not there.
func TestLacks(t *testing.T) {
	const families = `<family><inet><unicast><extended-nexthop/><prefix-limit><maximum>16</maximum></prefix-limit></unicast></inet><inet6><unicast/></inet6></family>`
	const rest = `<import>servers</import><bfd-liveness-detection><minimum-interval>300</minimum-interval></bfd-liveness-detection>`
	off := func(text, element string) string {
		return strings.Replace(text, "<"+element, "<"+element+` inactive="inactive"`, 1)
	}
	rejecting := `<defaults><ebgp><no-policy><receive>reject-always</receive></no-policy></ebgp></defaults>`
	for _, tt := range []struct{ name, above, group, want string }{
		{"all", "", families + rest, ""},
		{"nothing", "", "", "extended-nexthop, inet6, import policy, prefix limit, BFD"},
		{"inherited", families + rest, "", ""},
		{"a family of its own", families + rest, `<family><inet6><unicast/></inet6></family>`, "extended-nexthop"},
		{"rejected without a policy", families + rejecting, "", "BFD"},
		{"a limit of what is accepted", strings.ReplaceAll(families, "prefix-limit", "accepted-prefix-limit") + rest, "", ""},
		{"deactivated policy", "", families + off(rest, "import"), "import policy"},
		{"one of two policies deactivated", "", families + off(rest, "import") + "<import>second</import>", ""},
		{"deactivated BFD", "", families + off(rest, "bfd-liveness-detection"), "BFD"},
		{"deactivated unicast", "", off(families, "unicast") + rest, "extended-nexthop, prefix limit"},
		{"deactivated inet", "", off(families, "inet") + rest, "extended-nexthop, prefix limit"},
		{"deactivated family", "", off(families, "family") + rest, "extended-nexthop, inet6, prefix limit"},
		{"deactivated rejection", families + off(rejecting, "receive"), "", "import policy, BFD"},
		{"deactivated defaults", families + off(rejecting, "defaults"), "", "import policy, BFD"},
	} {
		static, err := one(t, map[string]string{"get-configuration": "<configuration><protocols><bgp>" + tt.above +
			"<group><name>servers</name>" + tt.group + "</group></bgp></protocols></configuration>"}).Static(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		if tt.want != "" {
			want = strings.Split(tt.want, ", ")
		}
		lacks := static.Lacks("servers")
		if !slices.EqualFunc(lacks, want, func(l Lack, word string) bool { return strings.Contains(l.What, word) }) {
			t.Errorf("%s: %+v, want %s", tt.name, lacks, tt.want)
		}
		if lacks := static.Lacks("others"); lacks != nil {
			t.Errorf("%s: a group that is not there lacks %v", tt.name, lacks)
		}
	}
}

// TestDeactivatedPorts: neither router advertisements nor Junos' own discovery are on where a part of the way to them is
// deactivated, or where they are off.
func TestDeactivatedPorts(t *testing.T) {
	const advertisement = `<router-advertisement><interface><name>ge-0/0/1.0</name></interface></router-advertisement>`
	const discovery = `<dynamic-neighbor><name>d</name><peer-auto-discovery><interface><name>ge-0/0/1.0</name></interface></peer-auto-discovery></dynamic-neighbor>`
	whole := "<configuration><protocols>" + advertisement + "<bgp><group><name>auto</name>" + discovery + "</group></bgp></protocols></configuration>"
	for _, tt := range []struct {
		was, is               string
		advertises, discovers bool
	}{
		{"", "", true, true},
		{"<router-advertisement>", `<router-advertisement inactive="inactive">`, false, true},
		{"<router-advertisement><interface>", `<router-advertisement><interface inactive="inactive">`, false, true},
		{"</name></interface></router", "</name><passive-mode/></interface></router", false, true},
		{"</name></interface></router", `</name><passive-mode inactive="inactive"/></interface></router`, true, true},
		{"<dynamic-neighbor>", `<dynamic-neighbor inactive="inactive">`, true, false},
		{"<peer-auto-discovery>", `<peer-auto-discovery inactive="inactive">`, true, false},
		{"</name></interface></peer", "</name><disable/></interface></peer", true, false},
		{"<group>", `<group inactive="inactive">`, true, false},
		{"<bgp>", `<bgp inactive="inactive">`, true, false},
		{"<protocols>", `<protocols inactive="inactive">`, false, false},
	} {
		static, err := one(t, map[string]string{"get-configuration": strings.Replace(whole, tt.was, tt.is, 1)}).Static(t.Context())
		if err != nil || static.Advertises("ge-0/0/1.0") != tt.advertises || static.Discovers("ge-0/0/1.0") != tt.discovers {
			t.Errorf("%s: advertises %v, discovers %v, %v", tt.is, static.Advertises("ge-0/0/1.0"), static.Discovers("ge-0/0/1.0"), err)
		}
	}
}
