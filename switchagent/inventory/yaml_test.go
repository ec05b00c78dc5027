package inventory

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestExamples: the documented files are good, and say the same.
func TestExamples(t *testing.T) {
	var read []*Inventory
	for _, name := range []string{"inventory.csv", "inventory.yaml"} {
		text, err := os.ReadFile("../../docs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		inv, err := Parse(name, text, noDefault)
		if err != nil {
			t.Fatal(err)
		}
		read = append(read, inv)
	}
	options := cmp.Options{cmpopts.IgnoreFields(Entry{}, "Line"), cmpopts.EquateComparable(netip.Prefix{}), cmpopts.EquateEmpty()}
	if diff := cmp.Diff(read[0].Entries(), read[1].Entries(), options); diff != "" {
		t.Errorf("(-csv +yaml):\n%s", diff)
	}
	if e, _ := read[1].Port("ge-0/0/3.0"); e.Line != 15 {
		t.Errorf("it is on line %d", e.Line)
	}
}

func TestYAMLRefuses(t *testing.T) {
	const one = "- port: ge-0/0/1.0\n  server: bms1\n  as: 64512\n"
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", "", "f.yaml: no port is listed"},
		{"a comment", "# none\n", "f.yaml: no port is listed"},
		{"an empty list", "[]\n", "f.yaml: no port is listed"},
		{"a mapping", "ge-0/0/1.0:\n  server: bms1\n", ": a list of ports is wanted"},
		{"a table", "port,server,as\n", "f.yaml:1:1: a list of ports is wanted"},
		{"broken", "- port: [a\n", "f.yaml:1:"},
		{"two documents", one + "---\n" + one, ": a second YAML document"},
		{"an item of another kind", one + "- ge-0/0/2.0\n", "f.yaml:4:3: a mapping is wanted; allowed keys: port, server"},
		{"unknown key", one + "  asn: 1\n", `f.yaml:4:3: "asn" is no key; allowed: port`},
		{"key twice", one + "  as: 2\n", "f.yaml:4:3: "},
		{"no server", "- port: ge-0/0/1.0\n  as: 64512\n", `f.yaml:1:3: server: "" is not allowed`},
		{"no AS", "- port: ge-0/0/1.0\n  server: a\n  as:\n", "f.yaml:3:3: as: it is missing"},
		{"bad AS of a list", "- port: ge-0/0/1.0\n  server: a\n  as: [64512, 0x10, 64512]\n", "f.yaml:3:15: as: \"0x10\" is not allowed; 1 to 4294967294 is wanted\nf.yaml:3:21: as: 64512 is there twice"},
		{"two servers", "- port: ge-0/0/1.0\n  server: [a, b]\n  as: 1\n", "f.yaml:2:11: server: one value is wanted, not 2"},
		{"prefixes in one word", one + "  prefixes: 10.0.0.1/32 10.0.0.2/32\n", `f.yaml:4:13: prefixes: "10.0.0.1/32 10.0.0.2/32" is no prefix`},
		{"list in a list", one + "  prefixes: [[10.0.0.1/32]]\n", "f.yaml:4:14: prefixes: a value or a list of values is wanted"},
		{"mapping for a value", one + "  mac: {a: b}\n", "mac: a value or a list of values is wanted"},
		{"alias", "- &a\n  port: ge-0/0/1.0\n  server: a\n  as: 1\n- *a\n", "f.yaml:1:3: a mapping is wanted"},
		{"port twice", one + one, `f.yaml:4:9: port: "ge-0/0/1.0" is on line 1 already`},
		{"default route", one + "  shared: [0.0.0.0/0]\n", "f.yaml:4:12: shared: no default route"},
		{"another's prefix", one + "  prefixes: 10.0.0.1/32\n" + strings.NewReplacer("0/1.0", "0/2.0", "bms1", "bms2").Replace(one) + "  prefixes: [10.0.0.1/32]\n",
			"f.yaml:5: 10.0.0.1/32 of bms2 is that, which bms1 has on line 1"},
		{"deep brackets", strings.Repeat("[\n", 1e6), "nested deeper"},
		{"deep items", strings.Repeat("- ", 1e6), "nested deeper"},
	} {
		inv, err := Parse("f.yaml", []byte(tt.text), noDefault)
		if err == nil || inv != nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v\nwant %s", tt.name, err, tt.want)
		}
	}
}

// TestYAMLIsBounded, as the table is.
func TestYAMLIsBounded(t *testing.T) {
	var text strings.Builder
	for i := range maxEntries + 1 {
		fmt.Fprintf(&text, "- {port: ge-0/0/%d.0, server: bms, as: 64512}\n", i)
	}
	if _, err := Parse("f.yml", []byte(text.String()), noDefault); err == nil || !strings.Contains(err.Error(), "f.yml:10001: more than 10000 ports") {
		t.Errorf("too many ports: %v", err)
	}
	many := "- port: ge-0/0/1.0\n  server: a\n  as: 1\n  mac: [" + strings.Repeat("a, ", maxWords) + "a]\n"
	if _, err := Parse("f.yaml", []byte(many), noDefault); err == nil || !strings.Contains(err.Error(), "1025 of them; 1024 are allowed") {
		t.Errorf("too many values: %v", err)
	}
	if _, err := Parse("f.yaml", []byte(strings.Repeat("- {}\n", 1000)), noDefault); err == nil || strings.Count(err.Error(), "\n") > maxErrors {
		t.Errorf("a thousand errors: %v", err)
	}
}

func FuzzParseYAML(f *testing.F) {
	f.Add("- port: ge-0/0/1.0\n  server: a\n  as: [1, 2]\n")
	f.Add("- &a {port: [x], as: *a}\n---\n")
	f.Add("- ? [a]\n  : |\n   b\n- !!binary x\n- <<: {}\n")
	f.Fuzz(func(t *testing.T, text string) {
		inv, err := Parse("f.yaml", []byte(text), noDefault)
		if (err == nil) != (inv != nil) {
			t.Errorf("%v and %v", inv, err)
		}
		for _, e := range inv.Entries() {
			if found, ok := inv.Port(e.Port); !ok || found.Line != e.Line || len(e.AS) == 0 {
				t.Errorf("%+v is not found, or is not whole", e)
			}
		}
	})
}
