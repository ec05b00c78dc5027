package switchagent

import (
	"strings"
	"testing"

	"lastmile/switchagent/junos"
)

// TestConfirmationHeard: the answer to a confirmation is lost, and by the next look a session has failed. The commit
// stands, and nobody is told that it does not.
func TestConfirmationHeard(t *testing.T) {
	s := newSite(t, "", func(c *Config) { c.Database = junos.Shared })
	s.plug(1)
	s.start()
	s.await("1")
	s.disturbs = true // by its server
	s.inject("reset-after nth=2")
	s.plug(2)
	s.eventually("it is confirmed", func() bool {
		history := s.device.History()
		return strings.HasPrefix(history[len(history)-1].Log, "lastmile: confirmed") && strings.Contains(s.device.Committed(), addressOf(2)+" ") && !s.onTrial()
	})
	s.world.SetSilent(portOf(1), addressOf(1), true)
	s.eventually("it is known", func() bool { return strings.Count(s.agents[0].log.String(), "neighbour added") == 2 })
	if s.logged("takes it back") || s.logged("not confirmed") {
		t.Error("a commit that stands is said to be taken back")
	}
	s.await("1 2")
}
