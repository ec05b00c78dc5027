package hostagent

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/hostagent/bgp"
)

// restarts ends the session with a leaf that forwards on.
func (w *world) restarts(leaf string) {
	w.onBGP(w.ctx, bgp.PeerState{Peer: netip.MustParseAddr(leaf), State: bgp.Idle, Stale: time.Minute, Since: time.Now()})
	w.admit()
}

// isBack gives a leaf that has forwarded on its session again.
func (w *world) isBack(leaf string) {
	w.onBGP(w.ctx, bgp.PeerState{Peer: netip.MustParseAddr(leaf), State: bgp.Established, Kept: true, Since: time.Now()})
	w.admit()
}

// A leaf that goes silent while it restarts is out of the routes of the table,
// not of the kernel's groups alone: else nothing would bring it back there.
func TestUnreachableWhileItRestarts(t *testing.T) {
	for name, back := range map[string]func(w *world){
		"answers, then has its session": func(w *world) { w.unreachable(); w.isBack(leaf1) },
		"has its session, then answers": func(w *world) { w.isBack(leaf1); w.unreachable() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := bothLeaves(t)
				w.restarts(leaf1)
				w.expect(t, "discover eth0")
				w.unreachable(leaf1)
				w.expect(t, "lost fe80::1%eth0", lostRoute)
				w.expectDetector(t, byNeighbour)
				back(w)
				w.announces(leaf1, 65001, "10.0.2.2/32")
				w.endOfRIB(leaf1)
				w.expect(t, joined...)
			})
		})
	}
}

func TestUnreachableWhileItRestartsGetsNoNewRoute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		w.announces(leaf1, 65001, "10.0.3.3/32")
		w.restarts(leaf1)
		w.unreachable(leaf1)
		synctest.Wait()
		w.orders = nil
		w.announces(leaf2, 65002, "10.0.3.3/32")
		w.expect(t, "route 10.0.3.3/32 via fe80::2%eth1")
	})
}

// Whatever else a leaf waited for when its session ended it waits for still.
func TestHeldBackWhileItRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		w.bfdUp(leaf1)
		w.session(leaf1, bgp.Idle)
		w.bfdDown(leaf1, 0)
		w.session(leaf1, bgp.Established)
		w.announces(leaf1, 65001, "10.0.2.2/32")
		w.endOfRIB(leaf1)
		synctest.Wait()
		w.orders = nil
		w.restarts(leaf1)
		w.expect(t, "discover eth0")
		w.unreachable(leaf1)
		w.unreachable()
		w.expect(t, "lost fe80::1%eth0")
	})
}
