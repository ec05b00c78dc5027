package switchagent

import (
	"strings"
	"testing"
)

// TestRefusalThatNamesOne: what is wrong with one neighbour, its policy or its port holds up no other, whatever else the
// leaf says of it.
func TestRefusalThatNamesOne(t *testing.T) {
	bad := stanza(peer(2, 2))
	for name, text := range map[string]string{
		"its path":   `[edit protocols bgp group servers neighbor fe80::2]: permission denied`,
		"its policy": `[edit policy-options policy-statement ` + bad.PolicyName() + `]: permission denied`,
		"its port":   `interface ge-0/0/2.0 is not configured`,
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, "", nil)
			for n := 1; n <= 3; n++ {
				s.plug(n)
			}
			s.inject(`error text="` + text + `" rpc=load-configuration count=1`)
			s.start()
			s.await("1 2 3")
			if !s.logged("neighbour quarantined") {
				t.Error("it is not said")
			}
			if first := s.changes()[0].Diff; !strings.Contains(first, "neighbor fe80::1 ") || !strings.Contains(first, "neighbor fe80::3 ") || strings.Contains(first, "neighbor fe80::2 ") {
				t.Errorf("not the two others at first:\n%s", first)
			}
		})
	}
}
