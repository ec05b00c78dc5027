package bgp_test

import (
	"testing"
	"time"

	packet "github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"lastmile/hostagent/bgp"
)

// TestNewConnectionWaitsForTheEndOfTheOld: a leaf that meets our next connection before it has read why the session ended takes
// it for broken, and keeps our routes as those of a server that restarts. So there is none before the leaf has closed the old
// one, or has had its time.
func TestNewConnectionWaitsForTheEndOfTheOld(t *testing.T) {
	for name, closes := range map[string]bool{"closed": true, "left open": false} {
		t.Run(name, func(t *testing.T) {
			s, _, leaf := newPort(t)
			l := leaf.listen()
			s.add(leaf0)
			w := leaf.accept(l)
			if err := w.establish(hello(65001, "10.255.255.1")); err != nil {
				t.Fatal(err)
			}
			s.awaitState(leaf0, bgp.Established)
			began := time.Now()
			s.order(request{Reset: &leaf0})
			if _, err := w.expectEventually(packet.BGP_MSG_NOTIFICATION); err != nil {
				t.Fatal(err)
			}
			least := bgp.Farewell
			if closes {
				least = bgp.Farewell / 2
				time.Sleep(time.Until(began.Add(least)))
				w.Close()
			}
			if err := leaf.accept(l).establish(hello(65001, "10.255.255.1")); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took < least {
				t.Errorf("the next connection came %v after the reset, and the leaf had not closed the old one", took)
			}
			s.awaitState(leaf0, bgp.Established)
		})
	}
}
