package hostagent

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/netip"
	"slices"
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
	ctx   context.Context
	state kernel.State

	inherited []netip.Addr // next hops of an earlier run's routes
	installed map[netip.Prefix]kernel.Route

	broken  bool   // the kernel and BGP refuse orders
	damaged bool   // others have removed routes
	parts   int    // of the next audit, before the last one
	between func() // parts

	registry *prometheus.Registry
	prepared []string // the uplinks of each call for kernel parameters
	log      strings.Builder

	mu          sync.Mutex
	orders      []string
	discovering map[string]int // by link, the runs of router discovery that have not ended
}

func newWorld(t testing.TB, uplinks ...string) *world {
	ctx, cancel := context.WithCancel(t.Context())
	group, ctx := errgroup.WithContext(ctx)
	cfg := DefaultConfig()
	cfg.AS, cfg.Uplinks, cfg.RouterID = 64512, uplinks, netip.MustParseAddr("10.0.1.1")
	w := &world{ctx: ctx, state: kernel.State{Links: map[string]kernel.Link{}}, discovering: map[string]int{}, installed: map[netip.Prefix]kernel.Route{}}
	w.registry = prometheus.NewRegistry()
	w.Agent = New(cfg, slog.New(slog.NewTextHandler(&w.log, nil)), w.registry)
	w.group = group
	w.fib, w.auditor, w.heritage, w.bgp, w.sysctls, w.Agent.bfd = w, w, w, w, w, &fakeBFD{world: w}
	w.repairs.open = func() (hooks, error) { return newProgrammed(), nil }
	w.restart.over = true
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

func (w *world) Apply(routes iter.Seq[kernel.Route]) error {
	if w.broken {
		return errors.New("no buffer space available")
	}
	for r := range routes {
		w.installed[r.Prefix] = r
		if len(r.NextHops) == 0 {
			delete(w.installed, r.Prefix)
		}
		w.order("route %s via %s", r.Prefix, strings.Trim(fmt.Sprint(r.NextHops), "[]"))
	}
	return nil
}

func (w *world) SetSource(v4, v6 netip.Addr) error {
	if w.broken {
		return errors.New("cannot assign requested address")
	}
	w.order("source %s %s", v4, v6)
	return nil
}

func (w *world) AuditPart() (done, changed bool, err error) {
	if w.parts > 0 {
		w.parts--
		w.order("a part of an audit")
		if w.between != nil {
			w.between()
		}
		return false, false, nil
	}
	changed, w.damaged = w.damaged, false
	return true, changed, nil
}

// repair and onKernel are followed by all of the audit that they begin.
func (w *world) repair(ctx context.Context) {
	w.Agent.repair(ctx)
	w.endAudit()
}

func (w *world) onKernel(ctx context.Context, state kernel.State) {
	w.Agent.onKernel(ctx, state)
	w.endAudit()
}

func (w *world) endAudit() {
	for w.auditing {
		w.auditPart()
	}
}

func (w *world) Set(uplinks []string) ([]string, error) {
	slices.Sort(uplinks)
	w.prepared = append(w.prepared, strings.Join(uplinks, " "))
	return nil, nil
}

func (w *world) Restore() error { return nil }

func (w *world) Inherited() []netip.Addr { return w.inherited }

func (w *world) Sweep(routes iter.Seq[kernel.Route]) (int, error) {
	w.order("sweep")
	w.inherited = nil
	return 0, w.Apply(routes)
}

func (w *world) LinkLost(name string)     { w.order("lost %s", name) }
func (w *world) LeafLost(leaf netip.Addr) { w.order("lost %s", leaf) }
func (w *world) LossesKnown()             {}
func (w *world) Len() int                 { return 0 }
func (w *world) AddPeer(_ context.Context, peer netip.Addr, _ bgp.Options) error {
	w.order("peer +%s", peer)
	return nil
}
func (w *world) DeletePeer(_ context.Context, peer netip.Addr, _ bgp.Cease) error {
	w.order("peer -%s", peer)
	return nil
}
func (w *world) ResetPeer(_ context.Context, peer netip.Addr, why bgp.Cease) error {
	w.order("reset %s: %s", peer, why)
	return nil
}
func (w *world) Peers(context.Context) ([]bgp.Peer, error) { return nil, nil }
func (w *world) Announce(_ context.Context, prefixes []netip.Prefix) error {
	if w.broken {
		return errors.New("no memory")
	}
	w.order("announce %s", strings.Trim(fmt.Sprint(prefixes), "[]"))
	return nil
}

// The events of the outside world.

func (w *world) link(name string, up bool, losses uint64) {
	l := kernel.Link{Name: name, Index: 2, Up: up, Losses: losses}
	l.LinkLocal = netip.MustParseAddr("fe80::a").WithZone(name)
	w.state.Links[name] = l
	w.onKernel(w.ctx, w.state)
	synctest.Wait()
}

func (w *world) unplug(name string) {
	delete(w.state.Links, name)
	w.onKernel(w.ctx, w.state)
}

func (w *world) addresses(prefixes ...string) {
	w.state.Loopback = nil
	for _, p := range prefixes {
		w.state.Loopback = append(w.state.Loopback, netip.MustParsePrefix(p))
	}
	w.onKernel(w.ctx, w.state)
}

func (w *world) hear(leaf string) {
	a := netip.MustParseAddr(leaf)
	w.onHeard(w.ctx, nd.Heard{Link: a.Zone(), Router: a, At: time.Now()})
}

func (w *world) session(leaf string, s bgp.State) {
	w.onBGP(w.ctx, bgp.PeerState{Peer: netip.MustParseAddr(leaf), State: s, Since: time.Now()})
	w.admit()
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
	w.admit()
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
		w.endOfRIB(leaf)
	}
	w.expect(t,
		"discover eth0", "discover eth1",
		"peer +fe80::1%eth0", "route 10.0.2.2/32 via fe80::1%eth0",
		"peer +fe80::2%eth1", "route 10.0.2.2/32 via fe80::1%eth0 fe80::2%eth1",
	)
	return w
}

// gauges returns the agent's gauges of links, as /metrics has them.
func (w *world) gauges(t *testing.T) map[string]float64 {
	t.Helper()
	w.report()
	families, err := w.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			if m.Gauge != nil && len(m.Label) == 1 {
				name := strings.TrimPrefix(f.GetName(), "hostagent_") + " " + m.Label[0].GetValue()
				got[name] = m.Gauge.GetValue()
			}
		}
	}
	return got
}

// expectCount compares a counter, over all its labels.
func (w *world) expectCount(t *testing.T, name string, want float64) {
	t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := 0.0
	for _, f := range families {
		for _, m := range f.Metric {
			if f.GetName() == "hostagent_"+name {
				got += m.Counter.GetValue()
			}
		}
	}
	if got != want {
		t.Errorf("%s is %v, want %v", name, got, want)
	}
}
