package hostagent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"lastmile/hostagent/bgp"
	"lastmile/hostagent/kernel"
	"lastmile/hostagent/nd"
)

// world stands for the kernel and the leaves: it writes down every order that
// the agent gives, a line each.
type world struct {
	*Agent
	ctx    context.Context
	group  *errgroup.Group
	state  kernel.State
	broken bool // the kernel refuses routes

	mu          sync.Mutex
	orders      []string
	discovering map[string]int // by link, the runs of router discovery that have not ended
}

func newWorld(t *testing.T, uplinks ...string) *world {
	ctx, cancel := context.WithCancel(t.Context())
	group, ctx := errgroup.WithContext(ctx)
	cfg := DefaultConfig()
	cfg.AS, cfg.Uplinks, cfg.RouterID = 64512, uplinks, netip.MustParseAddr("10.0.1.1")
	w := &world{ctx: ctx, group: group, state: kernel.State{Links: map[string]kernel.Link{}}, discovering: map[string]int{}}
	w.Agent = New(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	w.fib, w.bgp = w, w
	w.sysctls = func(string) ([]string, error) { return nil, nil }
	w.discover = func(ctx context.Context, link string, _ chan<- nd.Heard) error {
		w.order("discover %s", link)
		w.count(link, +1)
		<-ctx.Done()
		w.count(link, -1)
		return nil
	}
	t.Cleanup(func() { cancel(); group.Wait() })
	return w
}

func (w *world) order(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.orders = append(w.orders, strings.TrimRight(fmt.Sprintf(format, args...), " "))
}

func (w *world) count(link string, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.discovering[link] += n; w.discovering[link] == 0 {
		delete(w.discovering, link)
	}
}

// expectDiscovery compares the links on which router discovery runs, once each.
func (w *world) expectDiscovery(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	counts := map[string]int{}
	for _, link := range want {
		counts[link] = 1
	}
	if diff := cmp.Diff(counts, w.discovering); diff != "" {
		t.Errorf("router discovery by link (-want +got):\n%s", diff)
	}
}

// expect compares the orders since the last call.
func (w *world) expect(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(want, w.orders); diff != "" {
		t.Errorf("orders (-want +got):\n%s", diff)
	}
	w.orders = nil
}

func (w *world) Apply(routes []kernel.Route) error {
	if w.broken {
		return errors.New("no buffer space available")
	}
	for _, r := range routes {
		w.order("route %s via %s", r.Prefix, strings.Trim(fmt.Sprint(r.NextHops), "[]"))
	}
	return nil
}

func (w *world) SetSource(v4, v6 netip.Addr) error {
	w.order("source %s %s", v4, v6)
	return nil
}

func (w *world) LinkLost(name string) { w.order("lost %s", name) }
func (w *world) Len() int             { return 0 }
func (w *world) AddPeer(_ context.Context, peer netip.Addr) error {
	w.order("peer +%s", peer)
	return nil
}
func (w *world) DeletePeer(_ context.Context, peer netip.Addr) error {
	w.order("peer -%s", peer)
	return nil
}
func (w *world) Peers(context.Context) ([]bgp.Peer, error) { return nil, nil }
func (w *world) Announce(_ context.Context, prefixes []netip.Prefix) error {
	w.order("announce %s", strings.Trim(fmt.Sprint(prefixes), "[]"))
	return nil
}

// The events of the outside world.

func (w *world) link(name string, up bool, losses uint64) {
	l := kernel.Link{Name: name, Index: 2, Up: up, Losses: losses}
	l.LinkLocal = netip.MustParseAddr("fe80::a").WithZone(name)
	w.state.Links[name] = l
	w.onKernel(w.ctx, w.group, w.state)
	synctest.Wait()
}

func (w *world) unplug(name string) {
	delete(w.state.Links, name)
	w.onKernel(w.ctx, w.group, w.state)
}

func (w *world) addresses(prefixes ...string) {
	w.state.Loopback = nil
	for _, p := range prefixes {
		w.state.Loopback = append(w.state.Loopback, netip.MustParsePrefix(p))
	}
	w.onKernel(w.ctx, w.group, w.state)
}

func (w *world) hear(leaf string) {
	a := netip.MustParseAddr(leaf)
	w.onHeard(w.ctx, nd.Heard{Link: a.Zone(), Router: a, At: time.Now()})
}

func (w *world) session(leaf string, s bgp.State) {
	w.onBGP(w.ctx, bgp.PeerState{Peer: netip.MustParseAddr(leaf), State: s, Since: time.Now()})
}

func (w *world) announces(leaf string, as uint32, prefixes ...string) {
	u := bgp.Update{Peer: netip.MustParseAddr(leaf)}
	for _, p := range prefixes {
		u.Announced = append(u.Announced, bgp.Route{
			Prefix:     netip.MustParsePrefix(p),
			Attributes: &bgp.Attributes{ASPath: []uint32{as}, Length: 1, LocalPref: 100},
		})
	}
	w.onBGP(w.ctx, u)
}

const leaf1, leaf2, other = "fe80::1%eth0", "fe80::2%eth1", "fe80::bad%eth0"

// bothLeaves brings a server up with a route over both its uplinks.
func bothLeaves(t *testing.T) *world {
	w := newWorld(t, "eth*")
	w.link("eth0", true, 0)
	w.link("eth1", true, 0)
	for i, leaf := range []string{leaf1, leaf2} {
		w.hear(leaf)
		w.session(leaf, bgp.Established)
		w.announces(leaf, uint32(65001+i), "10.0.2.2/32")
	}
	w.expect(t,
		"discover eth0", "discover eth1",
		"peer +fe80::1%eth0", "route 10.0.2.2/32 via fe80::1%eth0",
		"peer +fe80::2%eth1", "route 10.0.2.2/32 via fe80::1%eth0 fe80::2%eth1",
	)
	return w
}

func TestLossOfALink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		w.link("eth0", false, 1)
		w.expect(t, "lost eth0", "route 10.0.2.2/32 via fe80::2%eth1", "peer -fe80::1%eth0")
		w.expectDiscovery(t, "eth1")
		w.session(leaf1, bgp.Idle) // what BGP had to say of the old session
		w.announces(leaf1, 65001, "10.0.9.9/32")
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
		w.expect(t, "route 10.0.2.2/32 via fe80::2%eth1")
		w.session(leaf2, bgp.Idle)
		w.expect(t, "route 10.0.2.2/32 via")
		w.announces(leaf1, 65001, "10.0.2.2/32") // late news of a session that is gone
		w.expect(t)
	})
}

func TestNewsThatChangeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		w.onKernel(w.ctx, w.group, w.state)
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
		w.expect(t, "route 10.0.2.2/32 via fe80::2%eth1", "peer -fe80::1%eth0", "peer +fe80::bad%eth0")
		w.hear(leaf1)
		w.expect(t) // it has just been given its chance
		time.Sleep(leafTrial)
		w.hear(leaf1)
		w.expect(t, "peer -fe80::bad%eth0", "peer +fe80::1%eth0")
	})
}

func TestAddressesOnLoopback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "eth*")
		w.addresses("10.0.1.1/32", "c0d1::1/128")
		w.expect(t, "announce 10.0.1.1/32 c0d1::1/128", "source 10.0.1.1 c0d1::1")
		w.addresses("10.0.1.1/32", "192.168.0.250/32", "c0d1::1/128")
		w.expect(t, "announce 10.0.1.1/32 192.168.0.250/32 c0d1::1/128")
		w.addresses("c0d1::1/128")
		w.expect(t, "announce c0d1::1/128", "source invalid IP c0d1::1")
	})
}

func TestAnnouncedPrefixesAreNotRouted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		w.addresses("10.0.1.1/32", "10.0.2.2/32") // an anycast address that the other server has too
		w.expect(t, "announce 10.0.1.1/32 10.0.2.2/32", "route 10.0.2.2/32 via", "source 10.0.1.1 invalid IP")
		w.addresses("10.0.1.1/32")
		w.expect(t, "announce 10.0.1.1/32", "route 10.0.2.2/32 via fe80::1%eth0 fe80::2%eth1")
	})
}

func TestRefusedRoutesAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		w.broken = true
		w.session(leaf1, bgp.Idle)
		w.repair(w.ctx)
		w.expect(t)
		w.broken = false
		w.repair(w.ctx)
		w.expect(t, "route 10.0.2.2/32 via fe80::2%eth1")
		w.repair(w.ctx)
		w.expect(t)
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
		w.onKernel(w.ctx, w.group, w.state)
		expect("no uplink has a session: ens1: interface does not exist")
		w.link("ens1", false, 0)
		w.link("eth0", true, 0)
		expect("no uplink has a session: ens1: no carrier; eth0: no leaf heard")
		w.hear(leaf1)
		w.session(leaf1, bgp.Active)
		expect("no uplink has a session: ens1: no carrier; eth0: Active")
		w.session(leaf1, bgp.Established)
		expect("")
	})
}
