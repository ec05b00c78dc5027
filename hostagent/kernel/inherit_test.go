package kernel_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lastmile/hostagent/kernel"
)

var v4, v6 = netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("c0d1::1")

// run opens a FIB, gives the orders and dies as by a kill: all stays in the kernel.
func (b *bench) killedRun(orders ...kernel.Route) {
	b.t.Helper()
	fib := b.openSourced()
	b.apply(fib, orders...)
	if err := fib.Leave(); err != nil { // what the end of a process does: its sockets are closed
		b.t.Fatal(err)
	}
}

// openSourced opens a FIB as the agent does: with the address on lo as source.
func (b *bench) openSourced() *kernel.FIB {
	b.t.Helper()
	fib, err := b.tryOpen()
	if err != nil {
		b.t.Fatal(err)
	}
	if err := fib.SetSource(v4, v6); err != nil {
		b.t.Fatal(err)
	}
	return fib
}

// sweep ends the restart, and returns how many routes were removed.
func (b *bench) sweep(fib *kernel.FIB, routes ...kernel.Route) int {
	b.t.Helper()
	removed, err := fib.Sweep(slices.Values(routes))
	if err != nil {
		b.t.Fatal(err)
	}
	return removed
}

func (b *bench) close(fib *kernel.FIB) {
	b.t.Helper()
	if err := fib.Close(); err != nil {
		b.t.Error(err)
	}
}

// TestRestart kills a run and follows the next one: the leaves come back one by one, and nothing is written but what differs.
func TestRestart(t *testing.T) { inBothModes(t, testRestart) }

func testRestart(t *testing.T, b *bench) {
	orders := append(hostRoutes(1000, leaf0, leaf1), via("10.0.2.2/32", leaf0), via("10.0.3.3/32", leaf1), via("c0d1::2/128", leaf0, leaf1))
	b.killedRun(append(orders, via("10.0.4.4/32", leaf0, leaf1))...) // the last one is not announced any more
	before := b.routes()
	events := b.monitor()

	fib := b.openSourced()
	defer b.close(fib)
	if diff := cmp.Diff("[fe80::1%up0 fe80::2%up1]", fmt.Sprint(sorted(fib.Inherited()))); diff != "" {
		t.Errorf("inherited next hops (-want +got):\n%s", diff)
	}
	sent := fib.Sent()
	one := append(hostRoutes(1000, leaf0), via("10.0.2.2/32", leaf0), via("c0d1::2/128", leaf0)) // what one leaf tells
	b.apply(fib, one...)
	if diff := cmp.Diff(before, b.routes()); diff != "" {
		t.Errorf("routes with one leaf back (-want +got):\n%s", diff)
	}
	b.apply(fib, orders...)
	b.apply(fib, via("10.0.5.5/32", leaf0)) // the one thing that is new
	if n := fib.Sent() - sent; n > 3 {
		t.Errorf("%d messages, at most a new route with its group wanted", n)
	}
	removed := b.sweep(fib, append(orders, via("10.0.5.5/32", leaf0))...)
	if removed != 1 {
		t.Errorf("%d routes removed, want one", removed)
	}
	if n := fib.Sent() - sent; n > 10 {
		t.Errorf("%d messages for two routes that differ", n)
	}
	want := slices.DeleteFunc(before, func(line string) bool { return strings.HasPrefix(line, "10.0.4.4 ") })
	want = append(want, "10.0.5.5 src 10.0.0.1 via fe80::1%up0")
	slices.Sort(want)
	b.want(want...)
	events("10.0.4.4", "10.0.5.5", "group ", "nexthop ")
	if changed, err := fib.Audit(); changed || err != nil {
		t.Errorf("audit after the restart: %v, %v", changed, err)
	}
	if left := fib.Inherited(); left != nil {
		t.Errorf("inherited after the sweep: %v", left)
	}
}

// monitor follows what becomes of routes and groups. The function it returns fails for each one that was touched, and is not
// named.
func (b *bench) monitor() func(named ...string) {
	b.t.Helper()
	changes, err := watchRoutes(b.host)
	if err != nil {
		b.t.Fatal(err)
	}
	return func(named ...string) {
		b.t.Helper()
		seen, err := changes()
		if err != nil {
			b.t.Fatal(err)
		}
		for _, line := range seen {
			if strings.Contains(line, "proto kernel") {
				continue // not ours: on a slow machine, addresses are still becoming usable
			}
			if !strings.Contains(line, "192.0.2.") && !slices.ContainsFunc(named, func(name string) bool { return strings.Contains(line, name) }) {
				b.t.Errorf("touched: %s", line)
			}
		}
	}
}

func sorted(addresses []netip.Addr) []netip.Addr {
	slices.SortFunc(addresses, netip.Addr.Compare)
	return addresses
}

// TestRestartWithOneLeaf has only one of two leaves come back until the time is over.
func TestRestartWithOneLeaf(t *testing.T) { inBothModes(t, testRestartWithOneLeaf) }

func testRestartWithOneLeaf(t *testing.T, b *bench) {
	b.killedRun(append(hostRoutes(1000, leaf0, leaf1), via("10.0.2.2/32", leaf0), via("10.0.3.3/32", leaf1))...)
	fib := b.openSourced()
	defer b.close(fib)
	orders := append(hostRoutes(1000, leaf1), via("10.0.3.3/32", leaf1))
	b.apply(fib, orders...)
	sent := fib.Sent()
	if removed := b.sweep(fib, orders...); removed != 1 {
		t.Errorf("%d routes removed, want one", removed)
	}
	b.atMost(fib, sent, 6, "one group changed, and a route, its group and its next hop removed")
	got := b.routes()
	if len(got) != 1001 || got[0] != "10.0.3.3 src 10.0.0.1 via fe80::2%up1" || got[1] != "20.0.0.0 src 10.0.0.1 via fe80::2%up1" {
		t.Errorf("%d routes: %v", len(got), got[:2])
	}
}

// TestRestartWithAnotherLeaf has a leaf replaced while nobody looked.
func TestRestartWithAnotherLeaf(t *testing.T) { inBothModes(t, testRestartWithAnotherLeaf) }

func testRestartWithAnotherLeaf(t *testing.T, b *bench) {
	b.killedRun(append(hostRoutes(1000, leaf0, leaf1), via("10.0.2.2/32", leaf0))...)
	fib := b.openSourced()
	defer b.close(fib)
	another := netip.MustParseAddr("fe80::77%up0")
	sent := fib.Sent()
	fib.LeafLost(leaf0)
	b.atMost(fib, sent, 1, "the leaf out of the one group that has another")
	if got := b.routes(); got[0] != "10.0.2.2 src 10.0.0.1 via fe80::1%up0" || got[1] != "20.0.0.0 src 10.0.0.1 via fe80::2%up1" {
		t.Errorf("after the loss: %v", got[:2])
	}
	orders := append(hostRoutes(1000, another, leaf1), via("10.0.2.2/32", another))
	b.apply(fib, orders...)
	b.sweep(fib, orders...)
	if got := b.routes(); got[0] != "10.0.2.2 src 10.0.0.1 via fe80::77%up0" || got[1] != "20.0.0.0 src 10.0.0.1 via fe80::2%up1 fe80::77%up0" {
		t.Errorf("with the new leaf: %v", got[:2])
	}
	if n := len(b.objects()); !b.options.NoObjects && n != 4 {
		t.Errorf("%d objects, want two next hops and two groups", n)
	}
}

// TestRestartAfterALinkWentDown has a link lost while nobody looked.
func TestRestartAfterALinkWentDown(t *testing.T) { inBothModes(t, testRestartAfterALinkWentDown) }

func testRestartAfterALinkWentDown(t *testing.T, b *bench) {
	b.killedRun(append(hostRoutes(1000, leaf0, leaf1), via("10.0.2.2/32", leaf0))...)
	b.carrier(0, "down")
	b.pruned(1000)
	fib := b.openSourced()
	defer b.close(fib)
	if diff := cmp.Diff("[fe80::2%up1]", fmt.Sprint(fib.Inherited())); diff != "" {
		t.Errorf("inherited next hops (-want +got):\n%s", diff)
	}
	orders := hostRoutes(1000, leaf1)
	b.apply(fib, orders...)
	b.sweep(fib, orders...)
	if got := b.routes(); len(got) != 1000 || got[0] != "20.0.0.0 src 10.0.0.1 via fe80::2%up1" {
		t.Errorf("%d routes: %v", len(got), got[:1])
	}
}

// garbage is what other forms of us, and worse, have left.
var garbage = []string{
	"nexthop add id 11 via fe80::1 dev up0 proto 199",
	"nexthop add id 12 group 11 proto 199",
	"nexthop add id 13 via fe80::1 dev up0 proto 199", // a second one
	"nexthop add id 14 group 13 proto 199",
	"nexthop add id 15 via 10.0.0.7 dev up0 onlink proto 199",
	"nexthop add id 16 group 15 proto 199",
	"nexthop add id 17 group 11/13 proto 199",
	"nexthop add id 18 blackhole proto 199",
	"route add 10.0.2.2/32 nhid 12 proto 199 metric 20",
	"route add 10.0.3.3/32 dev up0 proto 199",
	"route add default dev up0 proto 199 metric 7",
	"route add 10.0.4.4/32 nhid 14 proto 199 metric 20",
	"route add 10.0.6.6/32 nhid 16 proto 199 metric 20",
	"route add 10.0.7.7/32 nhid 17 proto 199 metric 20",
	"route add 10.0.8.8/32 nhid 18 proto 199 metric 20",
	"route add blackhole 10.0.9.9/32 proto 199 metric 20",
	"route add 10.0.2.2/32 dev up0 proto 199 metric 7", // beside the good one
	"-6 route add c0d1::3/128 dev up0 proto 199",
	"-6 route add default dev up0 proto 199 metric 7",
	"-6 route add c0d1::5/128 nhid 12 proto 199",
}

// TestGarbageOfEarlierRuns: it goes, and what is not ours stays.
func TestGarbageOfEarlierRuns(t *testing.T) { inBothModes(t, testGarbageOfEarlierRuns) }

func testGarbageOfEarlierRuns(t *testing.T, b *bench) {
	for _, line := range garbage {
		b.ip(line)
	}
	foreign := []string{"nexthop add id 7 via fe80::9 dev up0", "route add 10.0.99.1/32 nhid 7", "-6 route add c0d1::99/128 dev up0 proto static"}
	for _, line := range foreign {
		b.ip(line)
	}
	fib := b.open()
	orders := []kernel.Route{
		via("10.0.2.2/32", leaf0), via("10.0.4.4/32", leaf0), via("10.0.6.6/32", leaf0), via("10.0.7.7/32", leaf0),
		via("10.0.8.8/32", leaf0), via("0.0.0.0/0", leaf0), via("::/0", leaf0),
	}
	b.apply(fib, orders...)
	b.sweep(fib, orders...)
	b.want(
		"10.0.2.2 via fe80::1%up0", "10.0.4.4 via fe80::1%up0", "10.0.6.6 via fe80::1%up0", "10.0.7.7 via fe80::1%up0",
		"10.0.8.8 via fe80::1%up0", "default via fe80::1%up0", "default via fe80::1%up0",
	)
	want := 2
	if b.options.NoObjects {
		want = 0
	}
	if left := b.objects(); len(left) != want {
		t.Errorf("objects left, want %d: %v", want, left)
	}
	if out := string(b.ip("route show 10.0.99.1")) + string(b.ip("-6 route show c0d1::99")); strings.Count(out, "\n") != 2 {
		t.Errorf("foreign routes: %s", out)
	}
	if changed, err := fib.Audit(); changed || err != nil {
		t.Errorf("audit: %v, %v", changed, err)
	}
}

// TestRestartInTheOtherMode goes from objects to routes that name their next hops, and back.
func TestRestartInTheOtherMode(t *testing.T) { inBothModes(t, testRestartInTheOtherMode) }

func testRestartInTheOtherMode(t *testing.T, b *bench) {
	orders := []kernel.Route{via("10.0.2.2/32", leaf0, leaf1), via("c0d1::2/128", leaf0, leaf1), via("::/0", leaf1)}
	b.killedRun(orders...)
	before := b.routes()
	b.options.NoObjects = !b.options.NoObjects
	fib := b.openSourced()
	defer b.close(fib)
	b.want(before...)
	b.apply(fib, orders...)
	b.sweep(fib, orders...)
	b.want(before...)
	if n := len(b.objects()); (n == 0) != b.options.NoObjects {
		t.Errorf("%d next-hop objects", n)
	}
}

// TestRestartWithAnotherSource has the address on lo changed while nobody looked.
func TestRestartWithAnotherSource(t *testing.T) { inBothModes(t, testRestartWithAnotherSource) }

func testRestartWithAnotherSource(t *testing.T, b *bench) {
	orders := []kernel.Route{via("10.0.2.2/32", leaf0, leaf1), via("c0d1::2/128", leaf0, leaf1)}
	b.killedRun(orders...)
	fib, err := b.tryOpen()
	if err != nil {
		t.Fatal(err)
	}
	defer b.close(fib)
	b.apply(fib, orders...) // and nobody has ordered a source
	b.want("10.0.2.2 via fe80::1%up0 fe80::2%up1", "c0d1::2 via fe80::1%up0 fe80::2%up1")
}

func TestCloseLeavesNothing(t *testing.T) { inBothModes(t, testCloseLeavesNothing) }

func testCloseLeavesNothing(t *testing.T, b *bench) {
	b.killedRun(via("10.0.2.2/32", leaf0), via("::/0", leaf0, leaf1))
	b.ip("route add 10.0.3.3/32 dev up0 proto 199")
	fib := b.openSourced()
	b.apply(fib, via("10.0.4.4/32", leaf1))
	b.close(fib)
	b.want()
	if left := b.objects(); len(left) != 0 {
		t.Errorf("objects left: %v", left)
	}
}
