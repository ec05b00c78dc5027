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
