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
