package junos

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	gonetconf "github.com/Juniper/go-netconf/netconf"

	"lastmile/switchagent/netconf"
)

// TestBlameOfOneStanza: a refusal of a stanza's own policy is about the stanza, and so is what we find ourselves.
func TestBlameOfOneStanza(t *testing.T) {
	good, bad := Stanza{Group: "servers", Peer: addr("fe80::2%ge-0/0/2.0")}, Stanza{Group: "servers", Peer: addr("fe80::1%bad")}
	for _, path := range []string{"[edit policy-options as-path %s]", "[edit policy-options policy-statement %s term inet from]"} {
		err := fmt.Errorf("load: %w", &netconf.ReplyError{Errors: []netconf.Error{{RPCError: gonetconf.RPCError{
			Severity: "error", Path: fmt.Sprintf(path, good.PolicyName()), Message: "invalid regular expression"}}}})
		blamed, general := Blame(err, []Stanza{bad, good})
		if general || len(blamed) != 1 || blamed[0] != good {
			t.Errorf("%s: %v, general %v", path, blamed, general)
		}
	}
	for name, change := range map[string]Change{
		"added": {Add: []Stanza{good, bad}}, "edited": {Add: []Stanza{good}, Edit: []Edit{{bad, bad}}},
	} {
		err := change.Validate()
		blamed, general := Blame(fmt.Errorf("commit: %w", err), change.Stanzas())
		if err == nil || general || len(blamed) != 1 || blamed[0] != bad || !strings.Contains(err.Error(), "no logical interface") {
			t.Errorf("%s: %v: %v, general %v", name, err, blamed, general)
		}
	}
}

// TestPolicyOfTwo: two stanzas of one peer have the same policy. It does not go with one of them.
func TestPolicyOfTwo(t *testing.T) {
	a := Stanza{Group: "servers", Peer: addr("fe80::1%ge-0/0/1.0"), Import: RejectAll}
	b, bare := a, a
	b.Key, bare.Import = "fe80::1%ge-0/0/1.0", Import{}
	alone := b
	alone.Import = Import{}
	for name, tt := range map[string]struct {
		change Change
		good   bool
	}{
		"both":                          {Change{Remove: []Stanza{a, b}, From: []Stanza{a, b}}, false},
		"one, with the policy of both":  {Change{Remove: []Stanza{b}, From: []Stanza{a, b}}, false},
		"one, without":                  {Change{Remove: []Stanza{alone}, From: []Stanza{a, b}}, true},
		"one, and the other is edited":  {Change{Remove: []Stanza{alone}, Edit: []Edit{{bare, a}}, From: []Stanza{bare, b}}, true},
		"policy that the other has too": {Change{Edit: []Edit{{a, bare}}, From: []Stanza{a, b}}, false},
		"the last":                      {Change{Remove: []Stanza{a}, From: []Stanza{a}}, true},
	} {
		if err := tt.change.Validate(); (err == nil) != tt.good {
			t.Errorf("%s: %v", name, err)
		} else if err != nil {
			if blamed, general := Blame(err, tt.change.Stanzas()); general || !slices.Contains(tt.change.Stanzas(), blamed[0]) {
				t.Errorf("%s: blamed %v, general %v", name, blamed, general)
			}
		}
	}
}

// TestBlameByPort: it counts only where nothing names a stanza, and not in another part of the configuration.
func TestBlameByPort(t *testing.T) {
	one, two, other := Stanza{Group: "servers", Peer: addr("fe80::2%ge-0/0/2.0")}, Stanza{Group: "servers", Peer: addr("fe80::22%ge-0/0/2.0")}, Stanza{Group: "servers", Peer: addr("fe80::3%ge-0/0/3.0")}
	at := func(path, message string) netconf.Error {
		return netconf.Error{RPCError: gonetconf.RPCError{Severity: "error", Path: path, Message: message}}
	}
	of := "[edit protocols bgp group servers neighbor fe80::2]"
	for _, tt := range []struct {
		name    string
		errors  []netconf.Error
		blamed  []Stanza
		general bool
	}{
		{"the port alone", []netconf.Error{at("", "interface ge-0/0/2.0 is not configured")}, []Stanza{one, two}, false},
		{"at the top", []netconf.Error{at("[edit]", "interface ge-0/0/2.0 is not configured")}, []Stanza{one, two}, false},
		{"in the group", []netconf.Error{at("[edit protocols bgp group servers]", "ge-0/0/2.0: no such interface")}, []Stanza{one, two}, false},
		{"one of its neighbours", []netconf.Error{at(of, "local-interface ge-0/0/2.0 does not match")}, []Stanza{one}, false},
		{"one of its policies", []netconf.Error{at("[edit policy-options policy-statement "+two.PolicyName()+"]", "of ge-0/0/2.0: bad")}, []Stanza{two}, false},
		{"a neighbour, and another's port", []netconf.Error{at(of, "bad"), at("", "interface ge-0/0/3.0 is not configured")}, []Stanza{one, other}, false},
		{"router advertisements", []netconf.Error{at("[edit protocols router-advertisement interface ge-0/0/2.0]", "bad")}, nil, true},
		{"class of service", []netconf.Error{at("[edit class-of-service interfaces ge-0/0/2.0]", "bad")}, nil, true},
		{"elsewhere, and a neighbour", []netconf.Error{at("[edit class-of-service interfaces ge-0/0/3.0]", "bad"), at(of, "bad")}, []Stanza{one}, false},
	} {
		blamed, general := Blame(&netconf.ReplyError{Errors: tt.errors}, []Stanza{one, two, other})
		if !slices.Equal(blamed, tt.blamed) || general != tt.general {
			t.Errorf("%s: %v, general %v", tt.name, blamed, general)
		}
	}
}
