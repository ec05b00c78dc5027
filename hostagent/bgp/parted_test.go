package bgp

import (
	"net/netip"
	"testing"
	"time"
)

// TestParted: a dial waits until the peer has closed what we have ended, or has had its time for that. What waits for longer
// anyway still does, and what has no reason gets none.
func TestParted(t *testing.T) {
	now := time.Now()
	for name, test := range map[string]struct{ wait, want time.Duration }{
		"soon": {grace, farewell},
		"not before somebody has configured the peer": {whileWrong, whileWrong},
	} {
		t.Run(name, func(t *testing.T) {
			s, c := new(Speaker), new(connection)
			p := &peer{parting: c, partBy: now.Add(farewell), dialAt: now.Add(test.wait)}
			s.parted(p, new(connection)) // of an older session
			if got := p.wake().Sub(now); got != test.want {
				t.Errorf("dials after %v while the peer has not closed it", got)
			}
			s.parted(p, c)
			if got := p.wake().Sub(now); got != test.wait {
				t.Errorf("dials after %v once the peer has closed it", got)
			}
		})
	}
	// Not either when the timer goes off for something else.
	p := &peer{parting: new(connection), partBy: now.Add(farewell), dialAt: now, hangUp: func() {}}
	(&Speaker{peers: map[netip.Addr]*peer{leaf: p}}).tick(now.Add(farewell / 2))
	if p.dialAt.IsZero() {
		t.Error("dials when something else is due")
	}
	if p := (&peer{parting: new(connection), partBy: now}); !p.wake().IsZero() {
		t.Error("dials without a reason to")
	}
}
