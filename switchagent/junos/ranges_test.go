package junos

import (
	"strings"
	"testing"
)

// TestNativeDiscoveryByRange: Junos discovers neighbours on interface ranges too, and on such a port no stanza
// may stand beside what it finds.
func TestNativeDiscoveryByRange(t *testing.T) {
	const ranges = `<interfaces>` +
		`<interface-range><name>servers</name><member><name>ge-0/0/1</name></member><member><name>et-0/0/[3-17]</name></member><member><name>xe-*/0/[2,4]</name></member></interface-range>` +
		`<interface-range><name>span</name><member-range><name>ge-0/0/9</name><end-range>ge-0/0/11</end-range></member-range></interface-range>` +
		`<interface-range inactive="inactive"><name>off</name><member><name>ge-0/0/1</name></member></interface-range>` +
		`<interface-range><name>odd</name><member><name>ge-[</name></member></interface-range></interfaces>`
	for _, tt := range []struct{ name, covered, free string }{
		{"servers", "ge-0/0/1.0 et-0/0/3.0 et-0/0/17.0 xe-1/0/4.0", "ge-0/0/2.0 et-0/0/1.0 et-0/0/18.0"},
		{"servers.0", "ge-0/0/1.0", "ge-0/0/11.0"},
		{"span", "ge-0/0/9.0 ge-0/0/10.0 ge-0/0/11.0", "ge-0/0/1.0 ge-0/0/12.0 xe-0/0/10.0"},
		{"off", "", "ge-0/0/1.0"},
		{"odd", "ge-0/0/1.0", ""},
		{"unseen", "ge-0/0/1.0 et-0/0/1.0", ""}, // a range that this user may not see, or of a form not known
		{"ge-0/0/1", "ge-0/0/1.0", "ge-0/0/2.0"},
		{"ge-0/0/*.0", "ge-0/0/2.0", "et-0/0/2.0"},
		{"ae0.0", "ae0.0", "ae1.0"},
		{"irb.100", "irb.100", "irb.101"},
		{"all", "ge-0/0/1.0", ""},
	} {
		static, err := one(t, map[string]string{"get-configuration": "<configuration>" + ranges + `<protocols><bgp><group><name>auto</name>` +
			`<dynamic-neighbor><name>d</name><peer-auto-discovery><interface><name>` + tt.name + `</name></interface></peer-auto-discovery>` +
			`</dynamic-neighbor></group></bgp></protocols></configuration>`}).Static(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, ifl := range strings.Fields(tt.covered) {
			if !static.Discovers(ifl) {
				t.Errorf("%s: %s is not covered", tt.name, ifl)
			}
		}
		for _, ifl := range strings.Fields(tt.free) {
			if static.Discovers(ifl) {
				t.Errorf("%s: %s is covered", tt.name, ifl)
			}
		}
	}
}

// TestAdvertisesByRange: router advertisements may be on for a range as well; a range that is not known is no sign of
// them.
func TestAdvertisesByRange(t *testing.T) {
	static, err := one(t, map[string]string{"get-configuration": `<configuration><interfaces><interface-range><name>servers</name>` +
		`<member><name>ge-0/0/1</name></member></interface-range></interfaces><protocols><router-advertisement><interface><name>servers</name></interface>` +
		`<interface><name>unseen</name></interface></router-advertisement></protocols></configuration>`}).Static(t.Context())
	if err != nil || !static.Advertises("ge-0/0/1.0") || static.Advertises("ge-0/0/2.0") {
		t.Errorf("%v, %v, %v", static.Advertises("ge-0/0/1.0"), static.Advertises("ge-0/0/2.0"), err)
	}
}

func FuzzMatches(f *testing.F) {
	f.Add("et-0/0/[3-17]", "et-0/0/4")
	f.Add("xe-*/0/[2,4]x[", "xe-1/0/2x")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if got := matches(pattern, name); !got && pattern == name && !strings.ContainsAny(pattern, `*?[]\`) {
			t.Errorf("%q does not match itself", name)
		}
		between(pattern, name, name)
	})
}
