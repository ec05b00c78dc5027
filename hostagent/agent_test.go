package hostagent

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/hostagent/bgp"
	"lastmile/hostagent/kernel"
)

func TestLossOfALink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		w.link("eth0", false, 1)
		w.expect(t, "lost eth0", "route 10.0.2.2/32 via fe80::2%eth1", "peer -fe80::1%eth0")
		w.expectDiscovery(t, "eth1")
		w.session(leaf1, bgp.Idle) // what BGP had to say of the old session
		w.announces(leaf1, 65001, "10.0.9.9/32")
		w.hear(leaf1) // as said before the loss
		w.expect(t)
		w.link("eth0", true, 1)
		w.hear(leaf1)
		w.expect(t, "discover eth0", "peer +fe80::1%eth0")
	})
}

func TestLossTooQuickToBeSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		w.link("eth0", true, 1)
		w.expect(t, "lost eth0", "route 10.0.2.2/32 via fe80::2%eth1", "peer -fe80::1%eth0", "discover eth0")
		w.expectDiscovery(t, "eth0", "eth1")
	})
}

func TestLinkIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		w.unplug("eth1")
		w.expect(t, "lost eth1", "route 10.0.2.2/32 via fe80::1%eth0", "peer -fe80::2%eth1")
		w.expectDiscovery(t, "eth0")
		if _, ok := w.uplinks["eth1"]; ok {
			t.Error("the agent still knows eth1")
		}
	})
}

func TestLossOfASession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		w.session(leaf1, bgp.Idle)
		w.expect(t, "lost fe80::1%eth0", "route 10.0.2.2/32 via fe80::2%eth1", "discover eth0")
		w.session(leaf2, bgp.Idle)
		w.expect(t, "lost fe80::2%eth1", "route 10.0.2.2/32 via", "discover eth1")
		w.announces(leaf1, 65001, "10.0.2.2/32") // late news of a session that is gone
		w.expect(t)
	})
}

func TestLeafInGracefulShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		w.onBGP(w.ctx, bgp.Update{Peer: netip.MustParseAddr(leaf1), Announced: []bgp.Route{{
			Prefix: netip.MustParsePrefix("10.0.2.2/32"),
			Attributes: &bgp.Attributes{
				ASPath: []uint32{65001}, Length: 1, LocalPref: 100, Communities: []uint32{0xffff0000},
			},
		}}})
		w.expect(t, "route 10.0.2.2/32 via fe80::2%eth1")
	})
}

func TestNewsThatChangeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		w.onKernel(w.ctx, w.state)
		w.hear(leaf1)
		w.session(leaf1, bgp.Established)
		w.announces(leaf1, 65001, "10.0.2.2/32")
		w.repair(w.ctx)
		w.expect(t)
	})
}

func TestAnotherRouterOnTheLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		time.Sleep(time.Minute)
		w.hear(other)
		w.expect(t) // a working session is never given up for it
		w.session(leaf1, bgp.Idle)
		w.expect(t, "lost fe80::1%eth0", "route 10.0.2.2/32 via fe80::2%eth1", "peer -fe80::1%eth0", "peer +fe80::bad%eth0", "discover eth0")
		w.hear(leaf1)
		w.expect(t) // it has just been given its chance
		time.Sleep(leafTrial)
		w.hear(leaf1)
		w.expect(t, "peer -fe80::bad%eth0", "peer +fe80::1%eth0")
	})
}

func TestFirstRouterComesBackByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		time.Sleep(time.Minute)
		w.hear(other)
		w.session(leaf1, bgp.Idle)
		w.expect(t, "lost fe80::1%eth0", "route 10.0.2.2/32 via fe80::2%eth1", "peer -fe80::1%eth0", "peer +fe80::bad%eth0", "discover eth0")
		w.repair(w.ctx)
		w.expect(t)
		time.Sleep(leafTrial)
		w.repair(w.ctx) // minutes may pass until leaf1 advertises again
		w.expect(t, "peer -fe80::bad%eth0", "peer +fe80::1%eth0")
		w.session(leaf1, bgp.Established)
		time.Sleep(time.Minute)
		w.session(leaf1, bgp.Idle) // and the other one has been silent since
		w.repair(w.ctx)
		w.expect(t, "lost fe80::1%eth0", "discover eth0")
	})
}

func TestManyInventedRouters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		for i := range 1000 {
			w.hear(fmt.Sprintf("fe80::bad:%x%%eth0", i))
		}
		w.expect(t)
		if n := strings.Count(w.log.String(), "fe80::bad"); n != 1 {
			t.Errorf("%d lines", n)
		}
		w.expectCount(t, "nd_other_router_advertisements_total", 1000)
	})
}

func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "eth*", "ens1")
		expect := func(want string) {
			t.Helper()
			w.report()
			if err := w.Health(); want == "" && err != nil || want != "" && (err == nil || err.Error() != want) {
				t.Errorf("health: %v, want %q", err, want)
			}
		}
		w.onKernel(w.ctx, w.state)
		expect("no uplink has a session: ens1: interface does not exist")
		w.link("ens1", false, 0)
		w.link("eth0", true, 0)
		expect("no uplink has a session: ens1: down or no carrier; eth0: no leaf heard")
		w.hear(leaf1)
		w.session(leaf1, bgp.Active)
		expect("no uplink has a session: ens1: down or no carrier; eth0: Active")
		w.session(leaf1, bgp.Established)
		expect("")
	})
}

// The watcher and BGP close their news on their way out, at every stop and
// before they can say what went wrong.
func TestNewsThatEndAreNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "eth*")
		links, news := make(chan kernel.State), make(chan bgp.News)
		close(links)
		close(news)
		ctx, cancel := context.WithCancel(w.ctx)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			w.loop(ctx, sources{links: links, bgp: news})
		}()
		synctest.Wait()
		select {
		case <-ended:
			t.Error("the loop ended before its context")
		default:
		}
		cancel()
		<-ended
		if _, ok := w.awaitRouterID(ctx, links); ok {
			t.Error("a router ID from nowhere")
		}
	})
}

func TestMissingUplinkIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "eth0", "ens1")
		w.link("eth0", true, 0)
		w.link("eth0", false, 1)
		w.addresses("10.0.1.1/32")
		if n := strings.Count(w.log.String(), "ens1"); n != 1 {
			t.Errorf("ens1 stands in %d lines:\n%s", n, w.log.String())
		}
	})
}
