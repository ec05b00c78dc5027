package bgp

import (
	"testing"
	"time"
)

// TestParted: a dial that waited for the peer to close what we have ended waits no longer, and what would have waited for longer
// anyway still does.
func TestParted(t *testing.T) {
	now := time.Now()
	for name, wait := range map[string]time.Duration{"soon": grace, "not before somebody has configured the peer": whileWrong} {
		t.Run(name, func(t *testing.T) {
			s, c := new(Speaker), new(connection)
			p := &peer{parting: c, partBy: now.Add(farewell), dialAt: now.Add(wait)}
			if wait < farewell {
				s.dial(p, p.dialAt)
				if got := p.dialAt.Sub(now); got != farewell {
					t.Errorf("puts the dial off by %v", got)
				}
			}
			s.parted(p, new(connection)) // of an older session
			if p.parting == nil {
				t.Error("takes the end of another connection for that of this one")
			}
			s.parted(p, c)
			if waits := p.dialAt.After(now.Add(farewell)); p.parting != nil || waits != (wait > farewell) {
				t.Errorf("dials %v from now", p.dialAt.Sub(now))
			}
		})
	}
}
