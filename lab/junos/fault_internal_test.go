package junos

import (
	"strings"
	"testing"
)

func TestParseFault(t *testing.T) {
	for text, want := range map[string]string{
		"drop": "drop",
		"drop rpc=get-ipv6-nd-information nth=2 count=3 after=100":   "drop rpc=get-ipv6-nd-information nth=2 count=3 after=100",
		`refuse  text="neighbor fe80::2"   count=all `:               `refuse count=all text="neighbor fe80::2"`,
		"refuse text=fe80::2":                                        `refuse text="fe80::2"`,
		"slow delay=30s":                                             "slow",
		"slow delay=1m30s chance=0.25 user=admin":                    "slow delay=1m30s chance=0.25",
		"clock delay=-2h":                                            "clock delay=-2h0m0s",
		"writer user=eve text=\"set system host-name x\\nset snmp\"": `writer user=eve text="set system host-name x\nset snmp"`,
		"reset-after rpc=commit-configuration|commit count=1 nth=1":  "reset-after",
	} {
		f, err := ParseFault(text)
		if err != nil || f.String() != want {
			t.Errorf("%s: %q (%v), want %q", text, f, err, want)
		}
	}
	for text, want := range map[string]string{
		"":                    "is unknown: candidate, clock, dirty",
		"burn":                `fault "burn" is unknown`,
		"drop x=1":            `key "x" is unknown`,
		"drop rpc":            "is not KEY=VALUE",
		"drop nth=0x":         "nth=",
		"drop nth=-1":         "1 or more",
		"drop after=-1":       "0 or more bytes",
		"drop chance=2":       "0 to 1",
		"drop chance=NaN":     "0 to 1",
		"stall delay=-1s":     "0 or more",
		"stall delay=soon":    "delay=",
		"refuse":              "text is missing",
		`drop text="unclosed`: "missing closing quote",
		`drop rpc="a b"`:      "single words",
	} {
		if _, err := ParseFault(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// FuzzParseFault: what is read is written, and read again as the same.
func FuzzParseFault(f *testing.F) {
	for kind := range faultDefaults {
		f.Add(string(kind) + " nth=2 count=all delay=1s text=\"a b\"")
	}
	f.Add(`refuse text="\x00\"" chance=0.5`)
	f.Fuzz(func(t *testing.T, text string) {
		one, err := ParseFault(text)
		if err != nil {
			return
		}
		two, err := ParseFault(one.String())
		if err != nil || one != two {
			t.Errorf("%q: read %+v, wrote %q, read %+v (%v)", text, one, one, two, err)
		}
	})
}

func TestConflicts(t *testing.T) {
	base := parse(t, "set system host-name a\nset system domain-name d\nset protocols bgp group g neighbor 192.0.2.1 peer-as 1\n")
	for name, test := range map[string]struct{ theirs, mine, want string }{
		"nothing of mine":     {"set system host-name b", "", ""},
		"elsewhere":           {"set system host-name b", "set system domain-name x", ""},
		"the same statement":  {"set system host-name b", "set system host-name c", "system host-name"},
		"the same change":     {"set system host-name b", "set system host-name b", ""},
		"both add":            {"set system time-zone b", "set system time-zone c", "system time-zone"},
		"deleted and changed": {"delete protocols bgp group g neighbor 192.0.2.1", "set protocols bgp group g neighbor 192.0.2.1 hold-time 9", "protocols bgp group g neighbor 192.0.2.1"},
		"both in one list":    {"set protocols bgp group g neighbor 192.0.2.2 peer-as 1", "set protocols bgp group g neighbor 192.0.2.3 peer-as 1", ""},
		"changed and deleted": {"set system domain-name x", "delete system domain-name", "system domain-name"},
	} {
		tree := func(lines string) *node {
			n := base.clone()
			n.mergeSetLines(lines)
			return n
		}
		got := strings.Join(conflicts(base, tree(test.theirs), tree(test.mine), ""), ",")
		if got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
