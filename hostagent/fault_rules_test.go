package hostagent

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/hostagent/bfd"
	"lastmile/hostagent/bfd/worker"
	"lastmile/hostagent/bgp"
)

const lostRoute = "route 10.0.2.2/32 via fe80::2%eth1"

// TestFaultRules says what follows from what is noticed of leaf1, while both
// leaves are in use and speak BFD.
func TestFaultRules(t *testing.T) {
	for name, test := range map[string]struct {
		event    func(w *world)
		want     []string
		detector string // empty: no fault
	}{
		"BFD expires":                               {func(w *world) { w.bfdDown(leaf1, bfd.Expired) }, bfdFault, byBFD},
		"the leaf says that it is down":             {func(w *world) { w.bfdDown(leaf1, bfd.PeerDown) }, bfdFault, byBFD},
		"the leaf is disabled by its administrator": {func(w *world) { w.bfdDown(leaf1, bfd.PeerAdminDown) }, nil, ""},
		"the worker dies": {
			func(w *world) { w.workerDies(leaf1) }, nil, ""},
		"the worker dies, and another one begins": {
			func(w *world) {
				w.workerDies(leaf1, leaf2)
				w.found(leaf1, 8, bfd.Down, 0, bfd.Change{})
				w.found(leaf2, 9, bfd.Down, 0, bfd.Change{})
			}, nil, ""},
		"BFD fails and is up again before we look": {
			func(w *world) {
				n := newsOf(leaf1, bfd.Change{From: bfd.Init, To: bfd.Up, Cause: bfd.Handshake})
				n.Failures, n.FailedAt = 1, time.Now()
				w.onBFD(w.ctx, n)
			},
			bfdFault, byBFD},
		"carrier": {func(w *world) { w.link("eth0", false, 1) },
			[]string{"lost eth0", lostRoute, "peer -fe80::1%eth0"}, byCarrier},
		"hold timer": {func(w *world) { w.session(leaf1, bgp.Idle) },
			[]string{"lost fe80::1%eth0", lostRoute, "discover eth0"}, byBGP},
		"no answer to neighbour discovery while BFD is up": {func(w *world) { w.unreachable(leaf1) }, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := bothLeaves(t)
				w.bfdUp(leaf1)
				w.bfdUp(leaf2)
				test.event(w)
				w.admit()
				w.expect(t, test.want...)
				w.expectDetector(t, test.detector)
			})
		})
	}
}

// workerDies is what is told of its sessions then.
func (w *world) workerDies(leaves ...string) {
	for _, leaf := range leaves {
		w.onBFD(w.ctx, worker.News{Session: worker.Session{Peer: netip.MustParseAddr(leaf)}})
		w.admit()
	}
}

// expectDetector compares which detectors have noticed faults on eth0.
func (w *world) expectDetector(t *testing.T, want string) {
	t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, f := range families {
		for _, m := range f.Metric {
			if f.GetName() == "hostagent_faults_total" && m.Counter.GetValue() > 0 {
				got += m.Label[0].GetValue()
			}
		}
	}
	if got != want {
		t.Errorf("faults noticed by %q, want %q", got, want)
	}
}

func (w *world) unreachable(leaves ...string) {
	w.state.Unreachable = nil
	for _, leaf := range leaves {
		w.state.Unreachable = append(w.state.Unreachable, netip.MustParseAddr(leaf))
	}
	w.onKernel(w.ctx, w.state)
	w.admit()
}

func TestUnreachableNeighbourIsHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		w.announces(leaf1, 65001, "10.0.3.3/32") // which only this leaf has
		w.expect(t, "route 10.0.3.3/32 via fe80::1%eth0")
		w.unreachable(leaf1)
		w.expect(t, "lost fe80::1%eth0", lostRoute)
		w.expectDetector(t, byNeighbour)
		w.unreachable()
		w.expect(t, "route 10.0.2.2/32 via fe80::1%eth0 fe80::2%eth1")
	})
}

// What other detectors say of the same death is no news.
func TestFirstDetectorWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		w.bfdUp(leaf1)
		w.bfdDown(leaf1, bfd.Expired)
		w.session(leaf1, bgp.Idle)
		w.link("eth0", false, 1)
		w.expectDetector(t, byBFD)
		w.expectCount(t, "faults_total", 1)
	})
}

func TestReturn(t *testing.T) {
	for name, test := range map[string]struct {
		spoke bool // BFD before
		steps []func(w *world)
		want  [][]string
	}{
		"End-of-RIB": {false, []func(*world){func(w *world) { w.endOfRIB(leaf1) }}, [][]string{joined}},
		"the delay": {false, []func(*world){func(w *world) { time.Sleep(w.cfg.ReturnDelay); w.admit() }},
			[][]string{joined}},
		"End-of-RIB, then BFD": {true, []func(*world){func(w *world) { w.endOfRIB(leaf1) }, func(w *world) { w.bfdUp(leaf1) }},
			[][]string{nil, joined}},
		"BFD, then End-of-RIB": {true, []func(*world){func(w *world) { w.bfdUp(leaf1) }, func(w *world) { w.endOfRIB(leaf1) }},
			[][]string{nil, joined}},
		"its administrator has disabled BFD": {true, []func(*world){
			func(w *world) { w.endOfRIB(leaf1) },
			func(w *world) { w.bfdNews(leaf1, bfd.Change{From: bfd.Init, To: bfd.Down, Cause: bfd.PeerAdminDown}) }},
			[][]string{nil, joined}},
		"its administrator has disabled BFD that was down": {true, []func(*world){
			func(w *world) { w.endOfRIB(leaf1) },
			func(w *world) {
				n := newsOf(leaf1, failure(bfd.Expired))
				n.Changed, n.Remote.State = false, bfd.AdminDown
				w.onBFD(w.ctx, n)
				w.admit()
			}},
			[][]string{nil, joined}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := bothLeaves(t)
				if test.spoke {
					w.bfdUp(leaf1)
					w.bfdDown(leaf1, bfd.Expired)
				}
				w.session(leaf1, bgp.Idle)
				w.session(leaf1, bgp.Established)
				synctest.Wait()
				w.orders = nil
				w.announces(leaf1, 65001, "10.0.2.2/32")
				w.expect(t) // the other leaf has it
				w.announces(leaf1, 65001, "10.0.3.3/32")
				w.expect(t, "route 10.0.3.3/32 via fe80::1%eth0") // which no other has
				for i, step := range test.steps {
					step(w)
					w.expect(t, test.want[i]...)
				}
			})
		})
	}
}

var joined = []string{"route 10.0.2.2/32 via fe80::1%eth0 fe80::2%eth1"}

func TestStrictWaitsForBFD(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "eth0")
		w.cfg.BFD = []BFDRule{{Strict: true}}
		w.link("eth0", true, 0)
		w.hear(leaf1)
		w.session(leaf1, bgp.Established)
		w.orders = nil
		w.announces(leaf1, 65001, "10.0.2.2/32")
		w.endOfRIB(leaf1)
		if w.expectNothingInstalled(t); w.unhealthy() == "" {
			t.Error("a server without a leaf that counts is healthy")
		}
		w.bfdUp(leaf1)
		if _, ok := w.installed[netip.MustParsePrefix("10.0.2.2/32")]; !ok || w.unhealthy() != "" {
			t.Errorf("not used with BFD up: %q", w.unhealthy())
		}
	})
}

func (w *world) expectNothingInstalled(t *testing.T) {
	t.Helper()
	if len(w.installed) > 0 {
		t.Errorf("installed: %v", w.installed)
	}
}

// A leaf that has died while no hostagent ran leaves the routes of the earlier
// run before anything else is heard of it.
func TestDeadLeafIsNotInherited(t *testing.T) {
	for name, test := range map[string]struct {
		change bfd.Change
		want   []string
	}{
		"it has failed":             {bfd.Change{From: bfd.Up, To: bfd.Down, Cause: bfd.Expired}, []string{"lost fe80::1%eth0"}},
		"it is administratively so": {bfd.Change{From: bfd.Up, To: bfd.Down, Cause: bfd.PeerAdminDown}, nil},
		"it is up":                  {bfd.Change{From: bfd.Init, To: bfd.Up, Cause: bfd.Handshake}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := restarted(t, leaf1, leaf2)
				n := newsOf(leaf1, test.change)
				n.Changed = false
				w.onBFD(w.ctx, n)
				w.expect(t, test.want...)
			})
		})
	}
}
