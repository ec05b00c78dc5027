package bgp_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"lastmile/hostagent/bgp"
	"lastmile/lab/frr"
	"lastmile/lab/netns"
)

// beginnings is what lets a session come up, by what the leaf has to say of us. Each ends the session,
// does that, and says when it has begun to do it.
var beginnings = map[string]struct {
	neighbor string
	begin    func(*testing.B, *speaker, *netns.NS, *frr.Router) time.Time
}{
	"unnumbered leaf hears us": {"swp1 " + unnumbered, func(b *testing.B, s *speaker, host *netns.NS, _ *frr.Router) time.Time {
		s.delete(leaf0)
		pause(b, 3*time.Second) // for the leaf to take us back
		from := time.Now()
		s.add(leaf0)
		advertise(b, host, "eth0")
		return from
	}},
	"leaf gets the stanza": {static, func(b *testing.B, s *speaker, _ *netns.NS, r *frr.Router) time.Time {
		command(b, r, "configure terminal", "router bgp 65001", "no neighbor fe80::a")
		pause(b, 2*time.Second)
		from := time.Now()
		command(b, r, "configure terminal", "router bgp 65001", "neighbor fe80::a remote-as 64512",
			"neighbor fe80::a interface swp1", "neighbor fe80::a capability extended-nexthop",
			"address-family ipv4 unicast", "neighbor fe80::a activate")
		return from
	}},
	"leaf resets the session": {static, func(b *testing.B, s *speaker, _ *netns.NS, r *frr.Router) time.Time {
		from := time.Now()
		command(b, r, "clear bgp *")
		return from
	}},
}

// BenchmarkBringUp measures how long a session with FRR takes to come up:
//
//	go test -run '^$' -bench BringUp -benchtime 20x ./hostagent/bgp
func BenchmarkBringUp(b *testing.B) {
	for name, bench := range beginnings {
		b.Run(name, func(b *testing.B) {
			host, leaf := newNS(b, "server"), newNS(b, "leaf")
			connect(b, plug{host, "eth0"}, plug{leaf, "swp1"})
			router := startLeaf(b, leaf, 65001, bench.neighbor)
			s := startSpeaker(b, host, serverConfig())
			s.add(leaf0)
			advertise(b, host, "eth0")
			s.awaitState(leaf0, bgp.Established)
			var took []time.Duration
			for b.Loop() {
				pause(b, 2*time.Second) // a session that falls at once is not hurried
				from := bench.begin(b, s, host, router)
				took = append(took, s.awaitState(leaf0, bgp.Established).Since.Sub(from))
			}
			report(b, took)
		})
	}
}

func command(b *testing.B, r *frr.Router, lines ...string) {
	b.Helper()
	if out, err := r.Vtysh(b.Context(), lines...); err != nil {
		b.Fatalf("%v: %v: %s", lines, err, out)
	}
}

// pause waits for as long as least, and up to a second more, so that nothing is
// measured in step with anybody's timer.
func pause(b *testing.B, least time.Duration) {
	b.Helper()
	select {
	case <-time.After(least + rand.N(time.Second)):
	case <-b.Context().Done():
	}
}

func report(b *testing.B, took []time.Duration) {
	b.Helper()
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(ms(took[0]), "min-ms")
	b.ReportMetric(ms(took[len(took)/2]), "median-ms")
	b.ReportMetric(ms(took[len(took)-1]), "max-ms")
}
