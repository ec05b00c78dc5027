package junos

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// parse makes a tree of set lines.
func parse(t testing.TB, lines string) *node {
	t.Helper()
	tree := newTree(newSchema(release{24, 4, 1}))
	if missing, errs := tree.mergeSetLines(lines); len(errs) > 0 || len(missing) > 0 {
		t.Fatalf("%v, missing %v", errs, missing)
	}
	return tree
}

const sample = `set system services netconf ssh
set system login user lab authentication ssh-ed25519 "ssh-ed25519 AAAA lab@host"
set interfaces ge-0/0/1 unit 0 family inet6
set interfaces irb unit 2 family inet address 192.168.101.254/24
set routing-options autonomous-system 65001
set routing-options autonomous-system loops 3
set protocols bgp group servers type external
set protocols bgp group servers import in
set protocols bgp group servers import also
set protocols bgp group servers multipath multiple-as
set protocols bgp group servers family inet unicast extended-nexthop
set protocols bgp group servers family inet unicast prefix-limit maximum 10
set protocols bgp group servers family inet unicast prefix-limit teardown 80
set protocols bgp group servers family inet unicast prefix-limit teardown idle-timeout 5
set protocols bgp group servers neighbor fe80::1 local-interface ge-0/0/1.0
deactivate protocols bgp group servers neighbor fe80::1
set policy-options prefix-list lo 10.0.0.0/8
set policy-options policy-statement in term a from protocol bgp
set policy-options policy-statement in term a from route-filter 10.0.0.0/8 upto /32
set policy-options policy-statement in term a then community add blue
set policy-options policy-statement in term a then local-preference 200
set policy-options policy-statement in term a then next-hop self
set policy-options policy-statement in term a then accept
set policy-options community blue members 65001:1
`

// TestSpellings writes a configuration in each format and reads it back.
func TestSpellings(t *testing.T) {
	tree := parse(t, sample)
	again := func(name, lines string) {
		t.Helper()
		if diff := cmp.Diff(sample, lines); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	again("set", tree.setLines())

	w := &writer{}
	w.open("configuration")
	tree.writeStatements(w)
	w.close()
	request, err := parseXML(w.buf.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	fromXML := newTree(tree.def)
	if r := fromXML.mergeXML(request, opMerge); len(r.errs) > 0 {
		t.Fatalf("xml: %v\n%s", r.errs, w.buf.String())
	}
	again("xml", fromXML.setLines())
	expectParts(t, "xml", w.buf.String(), []string{
		"<group>\n<name>servers</name>", "<import>in</import>\n<import>also</import>",
		"<autonomous-system>\n<as-number>65001</as-number>\n<loops>3</loops>",
		`<neighbor inactive="inactive">` + "\n<name>fe80::1</name>",
		"<route-filter>\n<address>10.0.0.0/8</address>\n<upto>/32</upto>",
		"<community>\n<add/>\n<community-name>blue</community-name>",
		"<next-hop>\n<self/>", "<prefix-list-item>\n<name>10.0.0.0/8</name>",
		"<teardown>\n<limit-threshold>80</limit-threshold>\n<idle-timeout>\n<timeout>5</timeout>",
	})

	text := tree.text("")
	fromText := newTree(tree.def)
	if _, errs := fromText.mergeText(text); len(errs) > 0 {
		t.Fatalf("text: %v\n%s", errs, text)
	}
	again("text", fromText.setLines())
	expectParts(t, "text", text, []string{
		"autonomous-system 65001 loops 3;", "import [ in also ];", "teardown 80 idle-timeout 5;",
		"                inactive: neighbor fe80::1 {\n", "route-filter 10.0.0.0/8 {\n",
	})
}

// expectParts wants all parts in a spelling, whatever they are indented by.
func expectParts(t *testing.T, name, text string, parts []string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, strings.TrimLeft(part, " ")) {
			t.Errorf("%s lacks %q:\n%s", name, part, text)
		}
	}
}

func TestMerge(t *testing.T) {
	const base = "set protocols bgp group g peer-as 1\nset protocols bgp group g neighbor 10.0.0.1 peer-as 2\n"
	for name, test := range map[string]struct{ change, want, missing string }{
		"nothing twice":  {base, base, ""},
		"leaf":           {"set protocols bgp group g peer-as 3", "set protocols bgp group g peer-as 3\nset protocols bgp group g neighbor 10.0.0.1 peer-as 2\n", ""},
		"delete entry":   {"delete protocols bgp group g neighbor 10.0.0.1", "set protocols bgp group g peer-as 1\n", ""},
		"delete all":     {"delete protocols bgp", "", ""},
		"delete list":    {"delete protocols bgp group g neighbor", "set protocols bgp group g peer-as 1\n", ""},
		"not there":      {"delete protocols bgp group g neighbor 10.0.0.2", base, "neighbor 10.0.0.2"},
		"way not there":  {"delete protocols bgp group h neighbor 10.0.0.1", base, "group h"},
		"delete and set": {"delete protocols bgp group g\nset protocols bgp group g peer-as 9", "set protocols bgp group g peer-as 9\n", ""},
		"one of several": {"set protocols bgp group g import [ a b ]\ndelete protocols bgp group g import a", base + "set protocols bgp group g import b\n", ""},
		"reactivate":     {"deactivate protocols bgp group g\nactivate protocols bgp group g", base, ""},
	} {
		t.Run(name, func(t *testing.T) {
			tree := parse(t, base)
			missing, errs := tree.mergeSetLines(test.change)
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			if diff := cmp.Diff(test.want, tree.setLines()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got := strings.Join(missing, ","); got != test.missing {
				t.Errorf("missing %q, want %q", got, test.missing)
			}
		})
	}
}

func TestRefusedSetLines(t *testing.T) {
	for line, want := range map[string]string{
		"set protocols bgp grup g":                                                 "syntax error: grup",
		"set":                                                                      "syntax error: set",
		"remove protocols":                                                         "syntax error: remove",
		"set protocols bgp group":                                                  "missing argument: group",
		"set protocols bgp group g peer-as":                                        "missing argument: peer-as",
		"set protocols bgp group g ttl 2":                                          "invalid value '2': 2",
		"set protocols bgp group g hold-time 65536":                                "Value 65536 is not within range (0..65535): 65536",
		"set protocols bgp group g hold-time soon":                                 "Invalid numeric value: 'soon': soon",
		"set protocols bgp group g passive nonsense":                               "syntax error: nonsense",
		`set protocols bgp group g description "x`:                                 `missing closing quote: "x`,
		"set protocols bgp group g import [ a":                                     "syntax error: [",
		"set policy-options policy-statement p then community blue":                "syntax error: blue",
		"set protocols bgp group g authentication-key " + strings.Repeat("k", 127): "Must be a string of 126 characters or less: " + strings.Repeat("k", 127),
	} {
		tree := newTree(newSchema(release{24, 4, 1}))
		_, errs := tree.mergeSetLines(line)
		if len(errs) != 1 || errs[0].Error() != want {
			t.Errorf("%s: %v, want %s", line, errs, want)
		}
		if got := tree.setLines(); got != "" {
			t.Errorf("%s left %s", line, got)
		}
	}
}

func TestCompare(t *testing.T) {
	before := parse(t, "set protocols bgp group g peer-as 1\nset protocols bgp group g neighbor 10.0.0.1 description a\n")
	after := parse(t, "set protocols bgp group g peer-as 2\nset protocols bgp group g neighbor fe80::1 local-interface ge-0/0/1.0\n")
	want := `[edit protocols bgp group g]
-  peer-as 1;
-  neighbor 10.0.0.1 {
-      description a;
-  }
+  peer-as 2;
+  neighbor fe80::1 {
+      local-interface ge-0/0/1.0;
+  }
`
	if diff := cmp.Diff(want, compare(before, after)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := compare(after, after.clone()); got != "" {
		t.Errorf("no difference: %s", got)
	}
}

func FuzzSetLine(f *testing.F) {
	for line := range strings.Lines(sample) {
		f.Add(line)
	}
	f.Add(`set protocols bgp group "a b" description "q\"x"`)
	f.Add("delete protocols bgp group g import [ a b ]")
	f.Fuzz(func(t *testing.T, line string) {
		tree := newTree(newSchema(release{24, 4, 1}))
		if _, errs := tree.mergeSetLines(line); len(errs) > 0 {
			return
		}
		lines := tree.setLines()
		again := newTree(tree.def)
		if _, errs := again.mergeSetLines(lines); len(errs) > 0 {
			t.Fatalf("%q was written as %q, which is refused: %v", line, lines, errs)
		}
		if diff := cmp.Diff(lines, again.setLines()); diff != "" {
			t.Errorf("%q (-first +second):\n%s", line, diff)
		}
	})
}

func FuzzLoadXML(f *testing.F) {
	f.Add([]byte(`<configuration><protocols><bgp><group><name>g</name><neighbor delete="delete"><name>fe80::1</name></neighbor></group></bgp></protocols></configuration>`))
	f.Add([]byte(`<configuration><policy-options><policy-statement><name>p</name><then><community><add/><community-name>c</community-name></community></then></policy-statement></policy-options></configuration>`))
	f.Fuzz(func(t *testing.T, message []byte) {
		request, err := parseXML(message)
		if err != nil {
			return
		}
		tree := newTree(newSchema(release{24, 4, 1}))
		tree.mergeXML(request, opMerge)
		w := &writer{}
		w.open("configuration")
		tree.writeStatements(w)
		w.close()
		if _, err := parseXML(w.buf.Bytes()); err != nil {
			t.Errorf("wrote what is not XML: %v\n%s", err, w.buf.Bytes())
		}
		again := newTree(tree.def)
		if _, errs := again.mergeText(tree.text("")); len(errs) > 0 {
			t.Errorf("wrote text that is refused: %v\n%s", errs, tree.text(""))
		}
	})
}
