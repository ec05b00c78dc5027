package hostagent

import (
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"lastmile/hostagent/bfd"
	"lastmile/hostagent/bfd/worker"
	"lastmile/hostagent/bgp"
	"lastmile/hostagent/kernel"
	"lastmile/hostagent/rib"
)

// batched is a world whose FIB looks for faults after every so many routes, as
// the real one does. At a route of the test's choice something happens.
type batched struct {
	*world
	until int // this route
	event func()
}

const batchOfRoutes = 10

func (b *batched) Apply(routes iter.Seq[kernel.Route]) error {
	n := 0
	return b.world.Apply(func(yield func(kernel.Route) bool) {
		for r := range routes {
			if !yield(r) {
				return
			}
			if b.until--; b.until == 0 {
				b.event()
			}
			if n++; n%batchOfRoutes == 0 {
				b.meanwhile()
			}
		}
	})
}

// aFault is news of leaf1's death, and what follows from it when the table is
// done, before the routes that change by it.
type aFault struct {
	event func(w *world)
	after []string
}

// faults are told by these channels.
func faults(bfds chan<- worker.News, links chan<- kernel.State) map[string]aFault {
	tell := func(change func(*kernel.State, *kernel.Link)) func(*world) {
		return func(w *world) {
			state := w.state
			state.Links = maps.Clone(state.Links)
			l := state.Links["eth0"]
			change(&state, &l)
			state.Links["eth0"] = l
			links <- state
		}
	}
	return map[string]aFault{
		byBFD:                         {func(*world) { bfds <- newsOf(leaf1, failure(bfd.Expired)) }, []string{"reset fe80::1%eth0: BFD down"}},
		byCarrier:                     {tell(func(_ *kernel.State, l *kernel.Link) { l.Up, l.Losses = false, 1 }), []string{"lost eth0"}},
		byCarrier + ", which is back": {tell(func(_ *kernel.State, l *kernel.Link) { l.Losses = 1 }), []string{"lost eth0"}},
		byNeighbour:                   {tell(func(s *kernel.State, _ *kernel.Link) { s.Unreachable = []netip.Addr{netip.MustParseAddr(leaf1)} }), nil},
	}
}

// TestFaultInTheMidstOfATable: the dead leaf is out of the groups after at most
// a batch of routes, BGP hears of it when the table is done, and the routes of
// what only this leaf has go last.
func TestFaultInTheMidstOfATable(t *testing.T) {
	for name := range faults(nil, nil) {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { testFaultInTheMidst(t, name) }) })
	}
}

func testFaultInTheMidst(t *testing.T, name string) {
	const table, at = 100, 33
	bfds, links := make(chan worker.News, 1), make(chan kernel.State, 1)
	fault := faults(bfds, links)[name]
	w := &batched{world: bothLeaves(t)}
	w.Agent.fib, w.from = w, sources{bfd: bfds, links: links}
	if name != byNeighbour {
		w.bfdUp(leaf1)
	}
	w.announces(leaf1, 65001, "10.0.3.3/32") // which only this leaf has
	u := bgp.Update{Peer: netip.MustParseAddr(leaf2)}
	for i := range table {
		w.announces(leaf1, 65001, busyPrefix(i).String())
		u.Announced = append(u.Announced, bgp.Route{Prefix: busyPrefix(i), Attributes: &bgp.Attributes{ASPath: []uint32{65002}, Length: 1, LocalPref: 100}})
	}
	synctest.Wait()
	w.orders = nil
	w.until, w.event = at, func() { fault.event(w.world) }
	w.onBGP(w.ctx, u)
	w.learn(w.ctx)
	synctest.Wait()

	lost := slices.Index(w.orders, "lost "+leaf1)
	if lost < at || lost > at+batchOfRoutes {
		t.Fatalf("out of the groups at %d, the fault was at route %d:\n%s", lost, at, strings.Join(w.orders, "\n"))
	}
	rest := w.orders[table+1:]
	if len(rest) < len(fault.after) || !slices.Equal(rest[:len(fault.after)], fault.after) {
		t.Errorf("after the table (want %q):\n%s", fault.after, strings.Join(rest, "\n"))
	}
	w.expectWithoutLeaf1(t, table)
}

// expectWithoutLeaf1 compares what is installed: the table over leaf2 alone.
func (w *world) expectWithoutLeaf1(t *testing.T, table int) {
	t.Helper()
	for i := range table {
		if got := w.installed[busyPrefix(i)].NextHops; fmt.Sprint(got) != "["+leaf2+"]" {
			t.Fatalf("%s is over %v", busyPrefix(i), got)
		}
	}
	only := w.installed[netip.MustParsePrefix("10.0.3.3/32")].NextHops
	if w.uplinks["eth0"].fault == byNeighbour {
		if len(only) != 1 { // it is used for what only it has
			t.Errorf("what only the leaf has: %v", only)
		}
	} else if len(only) > 0 {
		t.Errorf("what only the dead leaf has is still over %v", only)
	}
	w.expectCount(t, "faults_total", 1)
}

// TestFaultsAtAnyTime: whatever happens, and whatever fails in the midst of it,
// in the end the kernel has what the table says. FAULT_SEED repeats a run.
func TestFaultsAtAnyTime(t *testing.T) {
	for name, plain := range map[string]bool{"objects": false, "multipath routes": true} {
		t.Run(name, func(t *testing.T) {
			seed := rand.Uint64()
			if text := os.Getenv("FAULT_SEED"); text != "" {
				var err error
				if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
					t.Fatal(err)
				}
			}
			t.Logf("FAULT_SEED=%d", seed)
			w := &weather{busy: newBusy(t, kernel.Options{NoObjects: plain}), random: rand.New(rand.NewPCG(seed, 0))}
			w.from = w.news
			for range 300 {
				w.turn(t)
			}
			if w.inTheMidst == 0 {
				t.Error("nothing failed in the midst of anything")
			}
			t.Logf("%d faults in the midst of something", w.inTheMidst)
		})
	}
}

// weather is random events, and others in the midst of what follows from them.
type weather struct {
	*busy
	random     *rand.Rand
	inTheMidst int
}

const weatherTable = 2500 // routes

func (w *weather) turn(t *testing.T) {
	t.Helper()
	i := w.random.IntN(len(busyLeaves))
	leaf := busyLeaves[i]
	u := w.uplinks[leaf[strings.Index(leaf, "%")+1:]]
	w.look = w.storm
	switch n := w.random.IntN(10); {
	case !u.leaf.IsValid():
		w.hear(leaf)
	case !u.established():
		w.session(leaf, bgp.Established)
		w.tells(i, 0, w.random.IntN(weatherTable))
		w.onBGP(w.ctx, bgp.Update{Peer: u.leaf, EndOfRIB: true})
	case n < 3:
		first := w.random.IntN(weatherTable)
		w.tells(i, first, first+w.random.IntN(weatherTable-first))
	case n == 3:
		var all []netip.Prefix
		for i := range w.random.IntN(weatherTable) {
			all = append(all, busyPrefix(i))
		}
		w.onBGP(w.ctx, bgp.Update{Peer: u.leaf, Withdrawn: all})
	case n == 4:
		w.session(leaf, bgp.Idle)
	case n == 5:
		w.restarts(leaf)
	case n == 6:
		w.loopback = []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("10.0.0.%d/32", 1+w.random.IntN(3)))}
		w.cfg.RouterID = w.loopback[0].Addr()
		w.adoptLoopback(w.ctx)
	case n == 7:
		w.Agent.onBFD(w.ctx, w.someBFD(leaf))
	case n == 8:
		w.Agent.onKernel(w.ctx, w.someLinks())
	default:
		w.audit()
		w.endAudit()
	}
	w.learn(w.ctx)
	w.look = func() {}
	w.expectTable(t)
}

// storm makes something fail at some looks for faults.
func (w *weather) storm() {
	if w.random.IntN(10) > 0 {
		return
	}
	w.inTheMidst++
	select {
	case w.bfds <- w.someBFD(busyLeaves[w.random.IntN(len(busyLeaves))]):
	default:
	}
	if w.random.IntN(2) == 0 {
		select {
		case w.link <- w.someLinks():
		default:
		}
	}
}

func (w *weather) someBFD(leaf string) worker.News {
	if w.random.IntN(2) == 0 {
		return newsOf(leaf, bfd.Change{From: bfd.Init, To: bfd.Up, Cause: bfd.Handshake})
	}
	return newsOf(leaf, failure(bfd.Expired))
}

// someLinks is a new state: leaves that do not answer, and a link that was down.
func (w *weather) someLinks() kernel.State {
	w.state.Links, w.state.Unreachable = maps.Clone(w.state.Links), nil
	for _, leaf := range busyLeaves {
		if w.random.IntN(4) == 0 {
			w.state.Unreachable = append(w.state.Unreachable, netip.MustParseAddr(leaf))
		}
	}
	if w.random.IntN(3) == 0 {
		name := fmt.Sprint("eth", w.random.IntN(len(busyLeaves)))
		l := w.state.Links[name]
		l.Losses++
		w.state.Links[name] = l
	}
	return w.state
}

// expectTable compares the kernel with the table.
func (w *weather) expectTable(t *testing.T) {
	t.Helper()
	want, got := map[netip.Prefix][]netip.Addr{}, map[netip.Prefix][]netip.Addr{}
	for r := range w.Agent.rib.Routes().All() {
		want[r.Prefix] = r.NextHops
	}
	for _, r := range w.fib.Routes() {
		got[r.Prefix] = r.NextHops
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Fatalf("what is believed of the kernel (-table +kernel):\n%.2000s", diff)
	}
	for {
		done, changed, err := w.fib.AuditPart()
		if changed || err != nil {
			t.Fatalf("the kernel is not as believed: %v, %v", changed, err)
		}
		if done {
			break
		}
	}
	for _, u := range w.uplinks {
		if u.fault != "" && u.fault != byNeighbour && slices.ContainsFunc(w.Agent.rib.Peers(), func(p rib.Peer) bool { return p.Addr == u.leaf && p.Prefixes > 0 }) {
			t.Fatalf("the table has routes of %s, which is dead by %s", u.leaf, u.fault)
		}
	}
}
