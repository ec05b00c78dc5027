package hostagent

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/hostagent/bfd"
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

// A session that was never known to be up is no reason to believe in it.
func TestStrictWithoutAWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "eth0")
		w.cfg.BFD = []BFDRule{{Strict: true}}
		w.link("eth0", true, 0)
		w.hear(leaf1)
		w.workerDies(leaf1)
		w.session(leaf1, bgp.Established)
		w.announces(leaf1, 65001, "10.0.2.2/32")
		w.endOfRIB(leaf1)
		w.expectNothingInstalled(t)
	})
}

// BFD has a say in a leaf that neighbour discovery holds back.
func TestBFDOfAnUnreachableLeaf(t *testing.T) {
	for name, test := range map[string]struct {
		events []func(w *world)
		want   []string
	}{
		"it comes up": {[]func(*world){func(w *world) { w.bfdUp(leaf1) }}, joined},
		"it was up and fails before we look": {[]func(*world){func(w *world) { w.bfdDown(leaf1, bfd.Expired) }},
			[]string{"lost fe80::1%eth0", "reset fe80::1%eth0: BFD down", "route 10.0.3.3/32 via"}},
		"it is disabled again": {[]func(*world){func(w *world) { w.bfdUp(leaf1) }, func(w *world) { w.bfdDown(leaf1, bfd.PeerAdminDown) }},
			append(slices.Clone(joined), "lost fe80::1%eth0", lostRoute)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := bothLeaves(t)
				w.announces(leaf1, 65001, "10.0.3.3/32")
				w.unreachable(leaf1)
				synctest.Wait()
				w.orders = nil
				for _, event := range test.events {
					event(w)
				}
				w.expect(t, test.want...)
			})
		})
	}
}

// A carrier that is lost at last is no second fault.
func TestCarrierOfAnUnreachableLeaf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		w.unreachable(leaf1)
		w.link("eth0", false, 1)
		w.expectDetector(t, byNeighbour)
		w.expectCount(t, "faults_total", 1)
	})
}

// A leaf that spoke BFD and comes back without it is not held back for ever.
func TestLeafComesBackWithoutBFD(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		w.bfdUp(leaf1)
		w.bfdDown(leaf1, bfd.Expired)
		w.session(leaf1, bgp.Idle)
		w.session(leaf1, bgp.Established)
		time.Sleep(time.Minute) // its table is large
		w.announces(leaf1, 65001, "10.0.2.2/32")
		w.endOfRIB(leaf1)
		synctest.Wait()
		w.orders = nil
		time.Sleep(awaitBFDFor - time.Second)
		w.admit()
		w.expect(t)
		time.Sleep(time.Second)
		w.admit()
		w.expect(t, joined...)
		time.Sleep(time.Minute)
		w.admit()
		w.expect(t)
		if n := strings.Count(w.log.String(), "come back without BFD"); n != 1 {
			t.Errorf("logged %d times", n)
		}
	})
}

// What a leaf waited for ends with its session, and is told anew.
func TestHeldBackIsToldAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		w.bfdUp(leaf1)
		w.bfdDown(leaf1, bfd.Expired)
		for range 2 {
			w.session(leaf1, bgp.Idle)
			w.session(leaf1, bgp.Established)
		}
		if n := strings.Count(w.log.String(), "leaf is held back"); n != 2 {
			t.Errorf("told %d times:\n%s", n, w.log.String())
		}
	})
}

// A leaf that does not come back from its restart is a fault like others.
func TestLeafDoesNotComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		w.restarts(leaf1)
		synctest.Wait()
		w.orders = nil
		time.Sleep(time.Minute)
		w.repair(w.ctx)
		w.expect(t, "lost fe80::1%eth0", lostRoute)
		w.expectDetector(t, byBGP)
	})
}
