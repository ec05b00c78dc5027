package switchagent

import (
	"strings"
	"testing"
)

// TestCandidateForInstance: a leaf that shows the shared candidate when the instance is asked for. In it is an
// operator's neighbour in our group, whom nobody hears of: none of it is ours, and a poll that saw it
// removes nothing, not of our own either.
func TestCandidateForInstance(t *testing.T) {
	for _, profile := range []string{"", "20.4R1", "24.4R1"} {
		t.Run(profile, func(t *testing.T) {
			s := newSite(t, profile, nil)
			s.plug(1)
			s.start()
			s.await("1")
			s.rest()
			s.inject("candidate count=all")
			s.plug(2)
			s.eventually("it is said", func() bool { return s.logged("answers with another configuration") })
			s.rest()
			if got := s.stanzas(); got != "1" {
				t.Errorf("stanzas of %s, want those of before", got)
			}
			s.device.ClearFaults()
			s.await("1 2")
		})
	}
}

// TestDeactivatedInstance: what is committed into a deactivated instance has no effect, and an agent that
// does so would do it for ever.
func TestDeactivatedInstance(t *testing.T) {
	s := newSite(t, "", nil)
	s.must(s.operator().CommitPrivate(t.Context(), "deactivate system configuration-database ephemeral instance lastmile"))
	s.plug(1)
	s.start()
	const mend = "activate system configuration-database ephemeral instance lastmile"
	s.eventually("the mend is named", func() bool { return s.logged(mend) })
	if len(s.changes()) > 0 || !strings.Contains(s.device.Committed(), "deactivate ") {
		t.Errorf("commits: %v\n%s", s.changes(), s.device.Committed())
	}
	s.must(s.operator().CommitPrivate(t.Context(), mend))
	s.await("1")
}

// TestNativeDiscoveryOnARange: a port that Junos itself discovers neighbours on gets no stanza, although only the
// range's name is in the statement.
func TestNativeDiscoveryOnARange(t *testing.T) {
	s := newSite(t, "24.4R1", nil)
	s.must(s.operator().CommitPrivate(t.Context(), "set interfaces interface-range servers member ge-0/0/1\n"+
		"set protocols bgp group auto dynamic-neighbor d peer-auto-discovery family inet6 ipv6-nd\n"+
		"set protocols bgp group auto dynamic-neighbor d peer-auto-discovery interface servers"))
	s.plug(1)
	s.plug(2)
	s.start()
	s.await("2")
	s.eventually("the reason is told", func() bool { return s.logged("native_discovery") })
	s.rest()
}
