package hostagent

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/hostagent/bgp"
)

// restarted is a server whose earlier run had routes over the leaves.
func restarted(t *testing.T, hops ...string) *world {
	w := newWorld(t, "eth*")
	w.restart.over = false
	w.cfg.RestartWait = time.Minute
	for _, hop := range hops {
		w.inherited = append(w.inherited, netip.MustParseAddr(hop))
	}
	w.link("eth0", true, 0)
	w.link("eth1", true, 0)
	w.settle()
	w.expect(t, "discover eth0", "discover eth1")
	return w
}

func (w *world) comesBack(leaf string, as uint32) {
	w.hear(leaf)
	w.session(leaf, bgp.Established)
	w.announces(leaf, as, "10.0.2.2/32")
}

// endOfRIB is the marker of the leaf.
func (w *world) endOfRIB(leaf string) {
	w.onBGP(w.ctx, bgp.Update{Peer: netip.MustParseAddr(leaf), EndOfRIB: true})
	w.admit()
	w.settle()
}

const swept = "sweep"

func TestRestartEndsWithTheLastMarker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := restarted(t, leaf1, leaf2)
		w.comesBack(leaf1, 65001)
		w.endOfRIB(leaf1)
		w.comesBack(leaf2, 65002)
		w.settle()
		w.expect(t, "peer +fe80::1%eth0", "route 10.0.2.2/32 via fe80::1%eth0", "peer +fe80::2%eth1")
		w.endOfRIB(leaf2)
		w.expect(t, "route 10.0.2.2/32 via fe80::1%eth0 fe80::2%eth1", swept, "route 10.0.2.2/32 via fe80::1%eth0 fe80::2%eth1")
		w.endOfRIB(leaf2)
		w.expect(t) // once
	})
}

func TestRestartEndsWhenLeavesAreSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := restarted(t, leaf1)
		w.hear(leaf1)
		w.session(leaf1, bgp.Established)
		time.Sleep(2 * quietFor)
		w.settle()
		w.expect(t, "peer +fe80::1%eth0") // it has said nothing yet
		w.announces(leaf1, 65001, "10.0.2.2/32")
		time.Sleep(quietFor / 2)
		w.settle()
		w.expect(t, "route 10.0.2.2/32 via fe80::1%eth0")
		time.Sleep(quietFor)
		w.settle()
		w.expect(t, swept, "route 10.0.2.2/32 via fe80::1%eth0")
	})
}

func TestRestartWaitsNoLongerThanConfigured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := restarted(t, leaf1, leaf2)
		w.comesBack(leaf1, 65001)
		w.endOfRIB(leaf1)
		w.expect(t, "peer +fe80::1%eth0", "route 10.0.2.2/32 via fe80::1%eth0")
		time.Sleep(w.cfg.RestartWait)
		w.settle()
		w.expect(t, swept, "route 10.0.2.2/32 via fe80::1%eth0")
		if text := w.log.String(); !strings.Contains(text, "restart is over") || !strings.Contains(text, "not_heard=[eth1]") {
			t.Errorf("not told who is missing: %s", text)
		}
	})
}

func TestRestartWaitsForNoLinkThatIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := restarted(t, leaf1, leaf2, "fe80::3%eth7")
		w.comesBack(leaf1, 65001)
		w.link("eth1", false, 1)
		w.expect(t, "peer +fe80::1%eth0", "route 10.0.2.2/32 via fe80::1%eth0", "lost eth1")
		w.endOfRIB(leaf1)
		w.expect(t, swept, "route 10.0.2.2/32 via fe80::1%eth0")
	})
}

func TestRestartWithAnotherLeaf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := restarted(t, leaf1, leaf2)
		w.hear(other)
		w.settle()
		w.expect(t, "peer +fe80::bad%eth0") // heard, which anybody can be
		w.session(other, bgp.Established)
		w.expect(t, "lost fe80::1%eth0")
	})
}

func TestStartWithNothingInherited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "eth*")
		w.restart.over = false
		w.settle()
		w.expect(t, swept)
		w.settle()
		w.expect(t)
	})
}
