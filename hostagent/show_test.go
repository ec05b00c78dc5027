package hostagent

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"lastmile/hostagent/bgp"
)

// What a try before the session came to stands beside no session that is there.
func TestNeighborLine(t *testing.T) {
	const failed, ended = "no answer on TCP port 179", "hold timer expired"
	peer := func(state bgp.State, reset string, announced uint64) bgp.Peer {
		return bgp.Peer{
			PeerState: bgp.PeerState{Peer: netip.MustParseAddr("fe80::1%eth0"), State: state, Since: time.Now().Add(-time.Minute), Reason: failed},
			LastReset: reset, PrefixesReceived: announced,
		}
	}
	for name, test := range map[string]struct {
		peer     bgp.Peer
		accepted int
		want     string // end of the line
	}{
		"first session":     {peer(bgp.Established, "", 15), 15, "1m0s  15        Established"},
		"second session":    {peer(bgp.Established, ended, 15), 15, "1m0s  15        Established (last reset: " + ended + ")"},
		"no session":        {peer(bgp.Active, ended, 0), 0, "-   0         Active (" + failed + ")"},
		"some are rejected": {peer(bgp.Established, "", 15), 10, "1m0s  10 of 15  Established"},
		"kept in a restart": {peer(bgp.Active, ended, 0), 7, "-   7         Active (" + failed + ")"},
	} {
		t.Run(name, func(t *testing.T) {
			var n Neighbor
			n.addSession(test.peer, test.accepted)
			var out strings.Builder
			if err := (Neighbors{Peers: map[string]Neighbor{"eth0": n}}).WriteText(&out); err != nil {
				t.Fatal(err)
			}
			if line := strings.TrimSpace(out.String()); !strings.HasSuffix(line, test.want) {
				t.Errorf("%q, want it to end with %q", line, test.want)
			}
		})
	}
}
