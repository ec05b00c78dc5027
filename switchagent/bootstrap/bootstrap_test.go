package bootstrap_test

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lastmile/switchagent/bootstrap"
)

var update = flag.Bool("update", false, "write the golden files anew")

// wanted is the options of a leaf with two ports for servers that are all in one AS.
func wanted() bootstrap.Options {
	return bootstrap.Options{
		User: "switchagent", PublicKey: "ssh-ed25519 AAAA... switchagent@leaf1", Group: "servers", Instance: "lastmile",
		Ports: []string{"ge-0/0/1.0", "ge-0/0/2.0"}, PeerAS: 64512, Prefixes: 16,
	}
}

// TestFromNothing: what a leaf that has none of it is to be given, in testdata: to be read by eyes, and to be
// seen in a diff.
func TestFromNothing(t *testing.T) {
	for name, change := range map[string]func(*bootstrap.Options){
		"ephemeral":    func(*bootstrap.Options) {},
		"shared":       func(o *bootstrap.Options) { o.Instance = "" },
		"inventory":    func(o *bootstrap.Options) { o.PeerAS, o.OwnAS = 0, true },
		"own-login":    func(o *bootstrap.Options) { o.User, o.PublicKey = "", "" },
		"without-key":  func(o *bootstrap.Options) { o.PublicKey = "" },
		"ecdsa":        func(o *bootstrap.Options) { o.PublicKey = "ecdsa-sha2-nistp256 AAAA..." },
		"without-port": func(o *bootstrap.Options) { o.Ports = nil },
	} {
		t.Run(name, func(t *testing.T) {
			o := wanted()
			change(&o)
			d, err := bootstrap.Compare(o, nil)
			if err != nil || len(d.Other) > 0 {
				t.Fatalf("%+v, %v", d.Other, err)
			}
			golden(t, name+".set", strings.Join(d.Missing, "\n")+"\n")
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

const group = "set protocols bgp group servers "

// without is what is missing on a leaf that lacks some lines, changed by what it has in their place.
func without(t *testing.T, gone func(line string) bool, instead ...string) bootstrap.Difference {
	t.Helper()
	all, err := bootstrap.Compare(wanted(), nil)
	if err != nil {
		t.Fatal(err)
	}
	have := append(slices.DeleteFunc(all.Missing, gone), instead...)
	d, err := bootstrap.Compare(wanted(), have)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestWhatIsThereIsLeftAlone: a statement with another value, or deactivated, is shown and never overwritten;
// lists take a further value.
func TestWhatIsThereIsLeftAlone(t *testing.T) {
	class := "set system login class lastmile-agent "
	for name, test := range map[string]struct {
		gone, is string // the line that would be set, and what is there in its place
		missing  bool   // whether it is set beside that
	}{
		"all":                       {},
		"not there":                 {gone: group + "type external", missing: true},
		"another value":             {gone: group + "type external", is: group + "type internal"},
		"another AS":                {gone: group + "peer-as 64512", is: group + "peer-as 64999"},
		"another limit":             {gone: group + "family inet unicast prefix-limit maximum 16", is: group + "family inet unicast prefix-limit maximum 160"},
		"another teardown":          {gone: group + "family inet unicast prefix-limit teardown 80", is: group + "family inet unicast prefix-limit teardown 8"},
		"no teardown, but its time": {gone: group + "family inet unicast prefix-limit teardown 80", missing: true},
		"another policy":            {gone: group + "import lastmile-reject", is: group + "import all"},
		"deactivated":               {gone: group + "type external", is: "deactivate protocols bgp group servers type"},
		"deactivated above":         {gone: "set system services netconf ssh", is: "deactivate system services netconf"},
		"a list with another":       {gone: class + "permissions view", is: class + "permissions interface", missing: true},
		"another class":             {gone: "set system login user switchagent class lastmile-agent", is: "set system login user switchagent class super-user"},
		"another port's family":     {gone: "set interfaces ge-0/0/1 unit 0 family inet", is: "set interfaces ge-0/0/11 unit 0 family inet", missing: true},
		"a longer name":             {gone: group + "multipath multiple-as", is: "set protocols bgp group servers2 multipath multiple-as", missing: true},
	} {
		t.Run(name, func(t *testing.T) {
			d := without(t, func(line string) bool { return test.gone != "" && strings.HasPrefix(line+" ", test.gone+" ") }, test.is)
			if missing := slices.Contains(d.Missing, test.gone); missing != test.missing || !missing && len(d.Missing) > 0 {
				t.Errorf("missing %q", d.Missing)
			}
			var want []bootstrap.Other
			if test.gone != "" && !test.missing {
				want = []bootstrap.Other{{Is: test.is, Wanted: test.gone}}
			}
			if diff := cmp.Diff(want, d.Other); diff != "" {
				t.Errorf("left alone (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSwitchedPort: a port that is in a VLAN is not taken out of it.
func TestSwitchedPort(t *testing.T) {
	const vlan = "set interfaces ge-0/0/1 unit 0 family ethernet-switching vlan members v1"
	d := without(t, func(line string) bool { return strings.HasPrefix(line, "set interfaces ge-0/0/1 ") }, vlan)
	want := bootstrap.Difference{Other: []bootstrap.Other{{Is: vlan, Wanted: "set interfaces ge-0/0/1 unit 0 family inet6"}}}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestQuotationMarks: Junos shows a word as it likes, with them or without.
func TestQuotationMarks(t *testing.T) {
	const quoted = `set system login class lastmile-agent deny-commands-regexps "clear .*"`
	d := without(t, func(line string) bool { return line == quoted }, strings.ReplaceAll(quoted, `"`, ""))
	if len(d.Missing)+len(d.Other) > 0 {
		t.Errorf("%+v", d)
	}
}

// TestWhichAS: the servers' AS is known from somewhere, or it is an error.
func TestWhichAS(t *testing.T) {
	for _, test := range []struct {
		own   bool
		lines []string
		known bool
	}{
		{false, nil, false},
		{false, []string{"set protocols bgp group leaves peer-as 64512"}, false},
		{false, []string{group + "peer-as 64512"}, true},
		{false, []string{"set protocols bgp peer-as 64512"}, true},
		{true, nil, true},
	} {
		o := wanted()
		o.PeerAS, o.OwnAS = 0, test.own
		_, err := bootstrap.Compare(o, test.lines)
		if known := err == nil; known != test.known || !known && !strings.Contains(err.Error(), "group servers has no peer-as") {
			t.Errorf("%v %q: %v", test.own, test.lines, err)
		}
	}
}

// TestHostileOptions: no option becomes more than the statement that is meant.
func TestHostileOptions(t *testing.T) {
	for want, change := range map[string]func(*bootstrap.Options){
		`user "a b"`:                        func(o *bootstrap.Options) { o.User = "a b" },
		`user "a\nset system"`:              func(o *bootstrap.Options) { o.User = "a\nset system" },
		`group "x; delete"`:                 func(o *bootstrap.Options) { o.Group = "x; delete" },
		`instance "{}"`:                     func(o *bootstrap.Options) { o.Instance = "{}" },
		`port "ge-0/0/1"`:                   func(o *bootstrap.Options) { o.Ports = []string{"ge-0/0/1"} },
		`port "ge-0/0/1.x"`:                 func(o *bootstrap.Options) { o.Ports = []string{"ge-0/0/1.x"} },
		`port ".0"`:                         func(o *bootstrap.Options) { o.Ports = []string{".0"} },
		`port "ge-0/0/1.0 disable"`:         func(o *bootstrap.Options) { o.Ports = []string{"ge-0/0/1.0 disable"} },
		`port "ge-0/0/1.0.0"`:               func(o *bootstrap.Options) { o.Ports = []string{"ge-0/0/1.0.0"} },
		`public key "ssh-ed25519"`:          func(o *bootstrap.Options) { o.PublicKey = "ssh-ed25519" },
		`public key "ssh-rsa A\"`:           func(o *bootstrap.Options) { o.PublicKey = `ssh-rsa A" x` },
		`public key "ssh-rsa A\nset system`: func(o *bootstrap.Options) { o.PublicKey = "ssh-rsa A\nset system" },
	} {
		o := wanted()
		change(&o)
		if d, err := bootstrap.Compare(o, nil); err == nil || !strings.Contains(err.Error(), want) || len(d.Missing) > 0 {
			t.Errorf("want %s: %v, %q", want, err, d.Missing)
		}
	}
}

// FuzzCompare: once what is missing was committed, nothing is missing, and what was left alone still is.
func FuzzCompare(f *testing.F) {
	f.Add("set protocols bgp group servers type internal\ndeactivate interfaces ge-0/0/1\n")
	f.Add("set interfaces ge-0/0/1 unit 0 family ethernet-switching\nset system login user switchagent class x")
	f.Add("set protocols bgp group servers family inet unicast prefix-limit teardown idle-timeout 5\nset set\ndeactivate \n")
	f.Fuzz(func(t *testing.T, text string) {
		lines := strings.Split(text, "\n")
		first, err := bootstrap.Compare(wanted(), lines)
		if err != nil {
			t.Fatal(err)
		}
		again, err := bootstrap.Compare(wanted(), append(lines, first.Missing...))
		if err != nil || len(again.Missing) > 0 {
			t.Errorf("again: %q, %v", again.Missing, err)
		}
		if diff := cmp.Diff(first.Other, again.Other); diff != "" {
			t.Errorf("left alone, then and now:\n%s", diff)
		}
	})
}
