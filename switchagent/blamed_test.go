package switchagent

import (
	"strings"
	"testing"
	"time"
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

// TestRefusalThatNamesOneOfAPort: the other neighbour on the port has its stanza.
func TestRefusalThatNamesOneOfAPort(t *testing.T) {
	s := newSite(t, "", nil)
	s.plug(1)
	s.plug(2)
	s.plugAt("ge-0/0/2.0", "fe80::22")
	s.tune = func(a *Agent) { a.planner.quarantine.first = time.Hour }
	s.inject(`error text="[edit protocols bgp group servers neighbor fe80::2 local-interface]: interface ge-0/0/2.0 does not match" rpc=load-configuration count=1`)
	s.start()
	s.eventually("the others", func() bool { return len(s.about("neighbor fe80::22 ")) > 0 && s.stanzas() == "1" })
}
