package hostagent

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/hostagent/bfd"
	"lastmile/hostagent/bfd/worker"
	"lastmile/hostagent/bgp"
)

var bfdFault = []string{"lost fe80::1%eth0", "reset fe80::1%eth0: BFD down", lostRoute}

// found is what a worker tells of a session when the connection to it is there
// again.
func (w *world) found(leaf string, discriminator uint32, state bfd.State, failures uint64, last bfd.Change) {
	n := worker.News{Session: worker.Session{Peer: netip.MustParseAddr(leaf), Known: true, Claimed: true}}
	n.Status.State, n.Discriminator, n.Failures, n.Change = state, discriminator, failures, last
	w.onBFD(w.ctx, n)
	w.learn(w.ctx)
}

// TestLeafFailsWhileTheWorkerIsAway: the connection to the worker was lost, and
// the leaf failed before it was there again, or was not heard any more by the
// worker that took the place of one that died (RFC 5882 section 3.2: that is as
// if it had been told).
func TestLeafFailsWhileTheWorkerIsAway(t *testing.T) {
	for name, test := range map[string]struct {
		event func(w *world)
		want  []string
	}{
		"the session is down": {func(w *world) { w.found(leaf1, 7, bfd.Down, 1, failure(bfd.Expired)) }, bfdFault},
		"it is on its way up again": {func(w *world) {
			w.found(leaf1, 7, bfd.Init, 1, bfd.Change{From: bfd.Down, To: bfd.Init})
		}, bfdFault},
		"it is up again": {func(w *world) {
			w.found(leaf1, 7, bfd.Up, 1, bfd.Change{From: bfd.Init, To: bfd.Up})
		}, bfdFault},
		"it was lost twice": {func(w *world) {
			w.workerDies(leaf1, leaf2)
			w.found(leaf1, 7, bfd.Down, 1, failure(bfd.Expired))
		}, bfdFault},
		"it was up all the time": {func(w *world) { w.found(leaf1, 7, bfd.Up, 0, bfd.Change{From: bfd.Init, To: bfd.Up}) }, nil},
		"the leaf's administrator ended it": {func(w *world) {
			w.found(leaf1, 7, bfd.Down, 0, bfd.Change{From: bfd.Up, To: bfd.Down, Cause: bfd.PeerAdminDown})
		}, nil},
		"another worker does not hear it": {func(w *world) {
			w.found(leaf1, 8, bfd.Down, 0, bfd.Change{})
			time.Sleep(reviveWithin)
			w.learn(w.ctx)
		}, bfdFault},
		"nor does the third": {func(w *world) {
			w.found(leaf1, 8, bfd.Down, 0, bfd.Change{})
			time.Sleep(reviveWithin - time.Second)
			w.workerDies(leaf1)
			w.found(leaf1, 9, bfd.Down, 0, bfd.Change{})
			time.Sleep(time.Second)
			w.learn(w.ctx)
		}, bfdFault},
		"another worker hears it in time": {func(w *world) {
			w.found(leaf1, 8, bfd.Down, 0, bfd.Change{})
			time.Sleep(reviveWithin - time.Second)
			w.found(leaf1, 8, bfd.Up, 0, bfd.Change{From: bfd.Init, To: bfd.Up})
			time.Sleep(time.Hour)
			w.learn(w.ctx)
		}, nil},
	} {
		for _, strict := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, strict %v", name, strict), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := bothLeaves(t)
					w.bfdUp(leaf1)
					w.bfdUp(leaf2)
					w.cfg.BFD = []BFDRule{{Strict: strict}}
					w.workerDies(leaf1, leaf2)
					w.expect(t)
					test.event(w)
					if strict && test.want == nil && !w.uplinks["eth0"].bfd.up() {
						return // it is held back, and why is told elsewhere
					}
					w.expect(t, test.want...)
					time.Sleep(2 * awaitBFDFor)
					w.repair(w.ctx)
					w.learn(w.ctx)
					if w.expect(t); len(test.want) > 0 { // it stays out until BGP is up again
						w.expectDetector(t, byBFD)
					}
				})
			})
		}
	}
}

// A leaf that restarts its BGP forwards on. That its BFD restarts with it is no
// fault, with whatever worker.
func TestLeafRestartsWhileTheWorkerIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		w.bfdUp(leaf1)
		w.bfdUp(leaf2)
		w.workerDies(leaf1, leaf2)
		w.found(leaf1, 8, bfd.Down, 0, bfd.Change{})
		w.found(leaf2, 9, bfd.Up, 0, bfd.Change{From: bfd.Init, To: bfd.Up})
		w.onBGP(w.ctx, bgp.PeerState{Peer: netip.MustParseAddr(leaf1), State: bgp.Idle, Stale: time.Hour, Since: time.Now()})
		time.Sleep(2 * reviveWithin)
		w.learn(w.ctx)
		w.isBack(leaf1)
		w.learn(w.ctx)
		w.expectDetector(t, "")
		time.Sleep(reviveWithin)
		w.learn(w.ctx)
		w.expectDetector(t, byBFD)
	})
}
