package hostagent

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/hostagent/bgp"
)

const withoutLeaf1 = "route 10.0.2.2/32 via fe80::2%eth1"

// restarts is what may become of leaf1, whose session has ended and whose routes are kept.
var restarts = map[string]struct {
	then func(*testing.T, *world)
	want []string
	kept float64 // routes, in the end
}{
	"it says them all again": {func(_ *testing.T, w *world) {
		w.onBGP(w.ctx, bgp.PeerState{Peer: netip.MustParseAddr(leaf1), State: bgp.Established, Kept: true})
		w.announces(leaf1, 65001, "10.0.2.2/32")
		w.onBGP(w.ctx, bgp.Update{Peer: netip.MustParseAddr(leaf1), EndOfRIB: true})
	}, nil, 0},
	"it says nothing again": {func(t *testing.T, w *world) {
		w.onBGP(w.ctx, bgp.PeerState{Peer: netip.MustParseAddr(leaf1), State: bgp.Established, Kept: true})
		w.expect(t)
		w.onBGP(w.ctx, bgp.Update{Peer: netip.MustParseAddr(leaf1), EndOfRIB: true})
	}, []string{withoutLeaf1}, 0},
	"it has not forwarded": {func(_ *testing.T, w *world) {
		w.onBGP(w.ctx, bgp.PeerState{Peer: netip.MustParseAddr(leaf1), State: bgp.Established})
	}, []string{withoutLeaf1}, 0},
	"it does not come back": {func(t *testing.T, w *world) {
		time.Sleep(59 * time.Second)
		w.repair(w.ctx)
		w.expect(t)
		time.Sleep(time.Second)
		w.repair(w.ctx)
		w.repair(w.ctx)
	}, []string{"lost fe80::1%eth0", withoutLeaf1}, 0},
	"it is unplugged": {func(_ *testing.T, w *world) { w.link("eth0", false, 1) },
		[]string{"lost eth0", withoutLeaf1, "peer -fe80::1%eth0"}, 0},
	"another router is heard": {func(_ *testing.T, w *world) {
		w.hear(other)
		time.Sleep(leafTrial)
		w.repair(w.ctx)
	}, nil, 1},
}

// A leaf that restarts stays in the routes, until it has said what is left of
// them, or its time is over, or its link is lost.
func TestLeafThatRestarts(t *testing.T) {
	for name, test := range restarts {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := bothLeaves(t)
				w.onBGP(w.ctx, bgp.PeerState{Peer: netip.MustParseAddr(leaf1), State: bgp.Idle, Stale: time.Minute})
				w.expect(t, "discover eth0")
				if got := w.gauges(t)["bgp_routes_kept eth0"]; got != 1 {
					t.Errorf("bgp_routes_kept is %v", got)
				}
				w.session(leaf1, bgp.Active)
				test.then(t, w)
				w.expect(t, test.want...)
				if got := w.gauges(t)["bgp_routes_kept eth0"]; got != test.kept {
					t.Errorf("in the end, bgp_routes_kept is %v, want %v", got, test.kept)
				}
			})
		})
	}
}
