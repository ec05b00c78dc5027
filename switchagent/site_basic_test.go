package switchagent

import (
	"testing"

	sim "lastmile/lab/junos"
)

// TestEveryReleaseAndDatabase: whatever the release's habits are, who is new has a stanza after one
// commit and who is gone has none after another.
func TestEveryReleaseAndDatabase(t *testing.T) {
	t.Parallel()
	for _, profile := range sim.Profiles() {
		for _, kind := range kinds {
			t.Run(profile.Name+" "+string(kind), func(t *testing.T) {
				s := newSite(t, profile.Name, func(c *Config) { c.Database = kind })
				s.plug(1)
				s.plug(2)
				s.start()
				s.await("1 2")
				s.wantChanges(1)
				s.rest()
				s.unplug(1)
				s.await("2")
				s.wantChanges(2)
				s.rest()
			})
		}
	}
}
