package hostagent_test

import (
	"strings"
	"testing"
)

// Without BFD a leaf that answers nobody while the carrier stays is found dead by
// the kernel's neighbour discovery, where traffic flows, and before the hold
// time is over. The kernel's patience is made shorter for that: FRR's hold time is.
func TestLeafThatDoesNotAnswer(t *testing.T) {
	s := newSwitched(t)
	for key, value := range map[string]string{
		"base_reachable_time_ms": "1000", "delay_first_probe_time": "1", "retrans_time_ms": "300",
	} {
		if err := s.ns.Sysctl("net.ipv6.neigh.eth0."+key, value); err != nil {
			t.Fatal(err)
		}
	}
	s.start(t, `uplinks: ["eth*"]`, "bfd: [{enabled: false}]")
	s.awaitLegs(t, "10.9.9.9", 2)
	s.probe(t).awaitMore(200)
	s.silence(t, 0, true)
	s.awaitFault(t, "neighbour")
	s.awaitLegs(t, "10.9.9.9", 1)
	s.awaitLogged(t, "bgp session ended")
	s.before(t, "detector=neighbour", "bgp session ended")
	s.silence(t, 0, false)
	s.awaitLegs(t, "10.9.9.9", 2)
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if n := strings.Count(s.log.String(), "leaf is dead"); n != 1 {
		t.Errorf("called dead %d times", n)
	}
}
