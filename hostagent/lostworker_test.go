package hostagent

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/hostagent/bfd"
	"lastmile/hostagent/bgp"
)

var bfdFault = []string{"lost fe80::1%eth0", "reset fe80::1%eth0: BFD down", lostRoute}

// found is what a worker tells of a session when the connection to it is there
// again.
func (w *world) found(leaf string, discriminator uint32, state bfd.State, failures uint64, last bfd.Change) {
	n := newsOf(leaf, last)
	n.Changed, n.Status.State, n.Discriminator, n.Failures = false, state, discriminator, failures
	if failures > 0 {
		n.FailedAt = time.Now()
	}
	w.onBFD(w.ctx, n)
	w.learn(w.ctx)
}

// absent is BFD that the leaf may have been configured out of. One that is strict
// waits for it.
var absent = map[bool][]string{false: nil, true: {lostRoute}}

// dead is a leaf that has failed, strict or not.
var dead = map[bool][]string{false: bfdFault, true: bfdFault}

// whileAway is what may be found when a connection to a worker that was lost is
// there again, and what follows, with strict rules too. What BFD has said holds
// until it says something else: a worker that dies is no evidence, and the next
// one is given time.
var whileAway = map[string]struct {
	event func(w *world)
	want  map[bool][]string // nil: nothing
}{
	"the session is down": {func(w *world) { w.found(leaf1, 7, bfd.Down, 1, failure(bfd.Expired)) }, dead},
	"it is on its way up again": {func(w *world) {
		w.found(leaf1, 7, bfd.Init, 1, bfd.Change{From: bfd.Down, To: bfd.Init})
	}, dead},
	"it is up again": {func(w *world) {
		w.found(leaf1, 7, bfd.Up, 1, bfd.Change{From: bfd.Init, To: bfd.Up})
	}, dead},
	"it was lost twice": {func(w *world) {
		w.workerDies(leaf1, leaf2)
		w.found(leaf1, 7, bfd.Down, 1, failure(bfd.Expired))
	}, dead},
	"no other worker follows": {func(*world) { time.Sleep(time.Hour) }, nil},
	"it was up all the time":  {func(w *world) { w.found(leaf1, 7, bfd.Up, 0, bfd.Change{From: bfd.Init, To: bfd.Up}) }, nil},
	"another worker does not hear it": {func(w *world) {
		w.found(leaf1, 8, bfd.Down, 0, bfd.Change{})
		time.Sleep(reviveWithin)
		w.learn(w.ctx)
	}, absent},
	"nor does the third": {func(w *world) {
		w.found(leaf1, 8, bfd.Down, 0, bfd.Change{})
		time.Sleep(reviveWithin - time.Second)
		w.workerDies(leaf1)
		w.found(leaf1, 9, bfd.Down, 0, bfd.Change{})
		time.Sleep(time.Second)
		w.learn(w.ctx)
	}, absent},
	"another worker hears both in time": {func(w *world) {
		w.found(leaf1, 8, bfd.Down, 0, bfd.Change{})
		w.found(leaf2, 9, bfd.Down, 0, bfd.Change{})
		time.Sleep(reviveWithin - time.Second)
		w.found(leaf1, 8, bfd.Up, 0, bfd.Change{From: bfd.Init, To: bfd.Up})
		w.found(leaf2, 9, bfd.Up, 0, bfd.Change{From: bfd.Init, To: bfd.Up})
		time.Sleep(time.Hour)
		w.learn(w.ctx)
	}, nil},
	"another worker hears it late, and it fails then": {func(w *world) {
		w.found(leaf1, 8, bfd.Down, 0, bfd.Change{})
		time.Sleep(time.Hour)
		w.found(leaf1, 8, bfd.Up, 0, bfd.Change{From: bfd.Init, To: bfd.Up})
		w.found(leaf1, 8, bfd.Down, 1, failure(bfd.Expired))
	}, dead},
}

// TestLeafFailsWhileTheWorkerIsAway: the connection to the worker was lost, and
// the leaf failed before it was there again. What the worker that took the place
// of one that died does not hear has not failed: its session was never up (RFC
// 5882 section 3.2), and BGP hears the leaf.
func TestLeafFailsWhileTheWorkerIsAway(t *testing.T) {
	for name, test := range whileAway {
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
					w.expect(t, test.want[strict]...)
					time.Sleep(2 * awaitBFDFor)
					w.repair(w.ctx)
					w.learn(w.ctx)
					w.expect(t) // it stays so until BGP is up again
					w.expectDetector(t, map[bool]string{true: byBFD}[len(test.want[strict]) == len(bfdFault)])
				})
			})
		}
	}
}

// A leaf whose session is down for the same worker, for no reason that is known, is
// held back: it spoke BFD.
func TestDownWhileTheWorkerIsAway(t *testing.T) {
	for _, strict := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := bothLeaves(t)
			w.bfdUp(leaf1)
			w.bfdUp(leaf2)
			w.cfg.BFD = []BFDRule{{Strict: strict}}
			w.workerDies(leaf1, leaf2)
			w.found(leaf1, 7, bfd.Down, 0, bfd.Change{})
			w.expect(t, lostRoute)
		})
	}
}

// The leaf's administrator may end BFD meanwhile: a worker that lived on saw it.
func TestLeafIsDisabledWhileTheWorkerIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		w.bfdUp(leaf1)
		w.workerDies(leaf1)
		w.found(leaf1, 7, bfd.Down, 0, bfd.Change{From: bfd.Up, To: bfd.Down, Cause: bfd.PeerAdminDown})
		time.Sleep(2 * awaitBFDFor)
		w.repair(w.ctx)
		w.learn(w.ctx)
		w.expect(t)
		w.expectDetector(t, "")
	})
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
		time.Sleep(2 * reviveWithin)
		w.learn(w.ctx)
		w.expectDetector(t, "")
		w.expect(t, "discover eth0")
	})
}
