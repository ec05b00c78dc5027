package kernel_test

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"lastmile/hostagent/kernel"
)

func (b *bench) want(lines ...string) {
	b.t.Helper()
	if diff := cmp.Diff(lines, b.routes()); diff != "" {
		b.t.Fatalf("routes in the kernel (-want +got):\n%s", diff)
	}
}

func TestApplyBothFamilies(t *testing.T) { inBothModes(t, testApplyBothFamilies) }

func testApplyBothFamilies(t *testing.T, b *bench) {
	fib := b.open()
	b.apply(fib,
		via("0.0.0.0/0", leaf0, leaf1),
		via("10.0.2.2/32", leaf1, leaf0),
		via("::/0", leaf0, leaf1),
		via("c0d1::2/128", leaf1),
	)
	b.want(
		"10.0.2.2 via fe80::1%up0 fe80::2%up1",
		"c0d1::2 via fe80::2%up1",
		"default via fe80::1%up0 fe80::2%up1",
		"default via fe80::1%up0 fe80::2%up1",
	)
	if n := len(b.objects()); n != 4 && !b.options.NoObjects {
		t.Errorf("%d next-hop objects, want two next hops and a group for each of two sets", n)
	}
	// The whole route as the kernel's own lookup sees it.
	if got := string(b.ip("route get 10.0.2.2")); !strings.Contains(got, "via inet6 fe80::") {
		t.Errorf("route get 10.0.2.2: %s", got)
	}
	if diff := cmp.Diff("c0d1::2/128", fib.Routes()[3].Prefix.String()); diff != "" {
		t.Errorf("last route (-want +got):\n%s", diff)
	}
}

func TestApplyChangesAndRemoves(t *testing.T) { inBothModes(t, testApplyChangesAndRemoves) }

func testApplyChangesAndRemoves(t *testing.T, b *bench) {
	fib := b.open()
	steps := []struct {
		apply []kernel.Route
		want  []string
	}{
		{[]kernel.Route{via("10.0.2.2/32", leaf0)}, []string{"10.0.2.2 via fe80::1%up0"}},
		{[]kernel.Route{via("10.0.2.2/32", leaf1)}, []string{"10.0.2.2 via fe80::2%up1"}},
		{[]kernel.Route{via("10.0.2.2/32", leaf0, leaf1, leaf0), via("10.0.3.3/32", leaf0)},
			[]string{"10.0.2.2 via fe80::1%up0 fe80::2%up1", "10.0.3.3 via fe80::1%up0"}},
		{[]kernel.Route{via("10.0.2.2/32", leaf0), via("10.0.3.3/32", leaf1), via("10.0.2.2/32", leaf1)},
			[]string{"10.0.2.2 via fe80::2%up1", "10.0.3.3 via fe80::2%up1"}},
		{[]kernel.Route{via("10.0.2.2/32"), via("10.9.9.9/32")}, []string{"10.0.3.3 via fe80::2%up1"}},
		{[]kernel.Route{via("10.0.3.3/32")}, nil},
	}
	for i, step := range steps {
		b.apply(fib, step.apply...)
		if diff := cmp.Diff(step.want, b.routes()); diff != "" {
			t.Fatalf("step %d (-want +got):\n%s", i, diff)
		}
		sent := fib.Sent()
		b.apply(fib, step.apply...)
		if step.apply[0].Prefix != step.apply[len(step.apply)-1].Prefix && fib.Sent() != sent {
			t.Errorf("step %d sent %d messages the second time", i, fib.Sent()-sent)
		}
	}
	if left := b.objects(); len(left) != 0 {
		t.Errorf("objects without a route are left: %v", left)
	}
}

func TestApplyMovesWholeGroupsInOneMessage(t *testing.T) {
	inBothModes(t, testApplyMovesWholeGroupsInOneMessage)
}

func testApplyMovesWholeGroupsInOneMessage(t *testing.T, b *bench) {
	fib := b.open()
	both := hostRoutes(1000, leaf0, leaf1)
	b.apply(fib, both...)
	b.apply(fib, via("10.0.2.2/32", leaf1)) // a group of the set to come exists already
	sent := fib.Sent()
	b.apply(fib, hostRoutes(1000, leaf1)...)
	b.atMost(fib, sent, 3, "taking a leaf out of 1000 routes")
	for _, line := range b.routes() {
		if !strings.HasSuffix(line, " via fe80::2%up1") {
			t.Fatalf("left with %s", line)
		}
	}
	sent = fib.Sent()
	b.apply(fib, both...)
	b.atMost(fib, sent, 3, "bringing a leaf back to 1000 routes")
	if got := b.routes(); got[0] != "10.0.2.2 via fe80::2%up1" || got[1] != "20.0.0.0 via fe80::1%up0 fe80::2%up1" {
		t.Errorf("left with %v", got[:2])
	}
	// One by one, routes gather in the group that exists.
	b.apply(fib, hostRoutes(1000)...)
	one, two := hostRoutes(20, leaf0), hostRoutes(20, leaf0, leaf1)
	for i := range one {
		b.apply(fib, one[i])
		b.apply(fib, two[i])
	}
	if n := len(b.objects()); n != 4 && !b.options.NoObjects {
		t.Errorf("%d objects, want two next hops and a group for each of two sets", n)
	}
}

func TestCarrierLoss(t *testing.T) { inBothModes(t, testCarrierLoss) }

func testCarrierLoss(t *testing.T, b *bench) {
	fib := b.open()
	orders := []kernel.Route{via("10.0.2.2/32", leaf0, leaf1), via("c0d1::2/128", leaf0), via("::/0", leaf0, leaf1)}
	all := []string{"10.0.2.2 via fe80::1%up0 fe80::2%up1", "c0d1::2 via fe80::1%up0", "default via fe80::1%up0 fe80::2%up1"}
	b.apply(fib, orders...)
	b.want(all...)

	b.carrier(0, "down")
	b.pruned(2)
	fib.LinkLost("up0")
	sent := fib.Sent()
	b.apply(fib, via("10.0.2.2/32", leaf1), via("c0d1::2/128"), via("::/0", leaf1))
	b.want("10.0.2.2 via fe80::2%up1", "default via fe80::2%up1")
	b.atMost(fib, sent, 0, "for what the kernel had done already")

	b.carrier(1, "down")
	b.pruned(0)
	fib.LinkLost("up1")
	if got := fib.Routes(); len(got) != 0 {
		t.Errorf("still believed in the kernel: %v", got)
	}
	b.apply(fib, via("10.0.2.2/32"), via("::/0"))

	b.carrier(0, "up")
	b.carrier(1, "up")
	b.apply(fib, orders...)
	b.want(all...)
}

func TestLeafLost(t *testing.T) { inBothModes(t, testLeafLost) }

func testLeafLost(t *testing.T, b *bench) {
	fib := b.open()
	b.apply(fib, append(hostRoutes(1000, leaf0, leaf1), via("10.0.2.2/32", leaf0), via("10.0.3.3/32", leaf1))...)
	sent := fib.Sent()
	fib.LeafLost(leaf0)
	b.atMost(fib, sent, 1, "for one group")
	alone := []string{"10.0.2.2 via fe80::1%up0", "10.0.3.3 via fe80::2%up1", "20.0.0.0 via fe80::2%up1"}
	if diff := cmp.Diff(alone, b.routes()[:3]); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
	sent = fib.Sent()
	b.apply(fib, append(hostRoutes(1000, leaf1), via("10.0.2.2/32"))...)
	b.atMost(fib, sent, 4, "for what was so already") // the route, its group and its next hop
	fib.LossesKnown()
	b.apply(fib, hostRoutes(1000, leaf0, leaf1)...)
	if got := b.routes()[1]; got != "20.0.0.0 via fe80::1%up0 fe80::2%up1" {
		t.Errorf("back with both leaves: %s", got)
	}
}

func TestApplyWithoutNewsOfTheLoss(t *testing.T) {
	b := newBench(t)
	fib := b.open()
	b.apply(fib, via("10.0.2.2/32", leaf0, leaf1), via("10.0.3.3/32", leaf0))
	b.carrier(0, "down")
	b.eventually("up0 out of the groups", func() bool { return len(b.routes()) == 1 })
	b.carrier(0, "up")
	// Nobody called LinkLost: the group of leaf0 alone is gone, and so is the next hop.
	b.apply(fib, via("10.0.4.4/32", leaf0), via("10.0.5.5/32", leaf0, leaf1))
	b.want("10.0.2.2 via fe80::2%up1", "10.0.4.4 via fe80::1%up0", "10.0.5.5 via fe80::1%up0 fe80::2%up1")
	// What was lost is known now, too.
	b.apply(fib, via("10.0.2.2/32", leaf0, leaf1), via("10.0.3.3/32", leaf0))
	b.want("10.0.2.2 via fe80::1%up0 fe80::2%up1", "10.0.3.3 via fe80::1%up0", "10.0.4.4 via fe80::1%up0",
		"10.0.5.5 via fe80::1%up0 fe80::2%up1")
}

func TestRemoveWhatIsGone(t *testing.T) { inBothModes(t, testRemoveWhatIsGone) }

func testRemoveWhatIsGone(t *testing.T, b *bench) {
	fib := b.open()
	b.apply(fib, via("10.0.2.2/32", leaf0), via("10.0.3.3/32", leaf1), via("10.0.4.4/32", leaf1))
	b.ip("route del 10.0.4.4/32")
	b.apply(fib, via("10.0.4.4/32"))
	b.ip("link del up0")
	b.eventually("route gone with the link", func() bool { return len(b.routes()) == 1 })
	b.apply(fib, via("10.0.2.2/32"))
	b.want("10.0.3.3 via fe80::2%up1")
	if got := fib.Routes(); len(got) != 1 {
		t.Errorf("believed in the kernel: %v", got)
	}
}

func TestApplyToLinkThatIsDown(t *testing.T) { inBothModes(t, testApplyToLinkThatIsDown) }

func testApplyToLinkThatIsDown(t *testing.T, b *bench) {
	fib := b.open()
	b.apply(fib, via("10.0.3.3/32", leaf1))
	b.carrier(0, "down")
	err := fib.Apply(slices.Values([]kernel.Route{via("10.0.2.2/32", leaf0, leaf1), via("10.0.3.3/32", leaf0)}))
	if got := failed(err); len(got) != 2 || !errors.Is(err, unix.ENETDOWN) {
		t.Errorf("failed: %v", err)
	}
	if words := "is down: Carrier for nexthop device is down"; !b.options.NoObjects && !strings.Contains(err.Error(), words) {
		t.Errorf("the kernel's own words are missing: %v", err)
	}
	b.want("10.0.2.2 via fe80::2%up1")
}

func TestErrorsStayWithTheirPrefix(t *testing.T) { inBothModes(t, testErrorsStayWithTheirPrefix) }

func testErrorsStayWithTheirPrefix(t *testing.T, b *bench) {
	fib := b.open()
	// Refused by the kernel in the middle of batches, refused by us, and good ones around.
	want := map[string]string{
		"20.0.0.50/32":   "another program's route has metric 20: file exists",
		"20.0.0.130/32":  "another program's route has metric 20: file exists",
		"10.0.5.0/24":    "next hop fe80::1 is not an IPv6 link-local address with a zone: invalid argument",
		"10.0.6.0/24":    "finding the link of next hop fe80::1%none: Link not found",
		"10.0.7.0/24":    "next hop 192.0.2.1 is not an IPv6 link-local address with a zone: invalid argument",
		"10.0.8.1/24":    "not a prefix without host bits: invalid argument",
		"invalid Prefix": "not a prefix without host bits: invalid argument",
	}
	b.ip("route add 20.0.0.50/32 dev up0 metric 20")
	b.ip("route add 20.0.0.130/32 dev up0 metric 20")
	err := fib.Apply(slices.Values(append(hostRoutes(200, leaf0, leaf1),
		via("10.0.5.0/24", netip.MustParseAddr("fe80::1")),
		via("10.0.6.0/24", netip.MustParseAddr("fe80::1%none")),
		via("10.0.7.0/24", netip.MustParseAddr("192.0.2.1")),
		kernel.Route{Prefix: netip.MustParsePrefix("10.0.8.1/24"), NextHops: []netip.Addr{leaf0}},
		kernel.Route{NextHops: []netip.Addr{leaf0}},
	)))
	got := make(map[string]string)
	for prefix, err := range failed(err) {
		got[prefix] = err.Error()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
	if n := len(b.list("-4")); n != 198 || len(fib.Routes()) != 198 {
		t.Errorf("%d routes in the kernel and %d believed there, want 198", n, len(fib.Routes()))
	}
}

// failed returns the errors by prefix.
func failed(err error) map[string]error {
	found := make(map[string]error)
	if err == nil {
		return found
	}
	for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
		var r *kernel.RouteError
		if errors.As(e, &r) {
			found[r.Prefix.String()] = r.Err
		}
	}
	return found
}

func TestForeignRoutesStay(t *testing.T) { inBothModes(t, testForeignRoutesStay) }

func testForeignRoutesStay(t *testing.T, b *bench) {
	foreign := []string{
		"route add 10.0.2.2/32 dev up0 metric 20 proto static",
		"-6 route add c0d1::2/128 dev up0 metric 20 proto static",
		"route add 10.0.3.3/32 dev up0 proto static",
		"nexthop add id 7 via fe80::9 dev up0",
		"nexthop add id 1819082752 via fe80::a dev up0", // the first number we would take
		"route add 10.0.4.4/32 nhid 7",
	}
	for _, line := range foreign {
		b.ip(line)
	}
	show := func() string {
		return string(b.ip("route show proto static")) + string(b.ip("-6 route show proto static")) +
			string(b.ip("route show 10.0.4.4")) + string(b.ip("nexthop show id 7")) + string(b.ip("nexthop show id 1819082752"))
	}
	before := show()
	fib := b.open()
	orders := []kernel.Route{
		via("10.0.2.2/32", leaf0), via("c0d1::2/128", leaf0), via("10.0.3.3/32", leaf0), via("10.0.4.4/32", leaf1),
	}
	err := fib.Apply(slices.Values(orders))
	got := failed(err)
	if len(got) != 2 || got["10.0.2.2/32"] == nil || got["c0d1::2/128"] == nil || !errors.Is(err, unix.EEXIST) {
		t.Errorf("failed: %v", err)
	}
	b.want("10.0.3.3 via fe80::1%up0", "10.0.4.4 via fe80::2%up1")
	if got := string(b.ip("route get 10.0.3.3")); strings.Contains(got, "fe80::") {
		t.Errorf("the operator's route without a metric does not win: %s", got)
	}
	b.apply(fib, via("10.0.2.2/32"), via("c0d1::2/128"), via("10.0.3.3/32"), via("10.0.4.4/32"))
	b.want()
	if diff := cmp.Diff(before, show()); diff != "" {
		t.Errorf("foreign routes (-before +after):\n%s", diff)
	}
	// Once the other one is gone, ours goes in.
	b.ip("route del 10.0.2.2/32 metric 20")
	b.apply(fib, orders[0])
	b.want("10.0.2.2 via fe80::1%up0")
}

func TestSource(t *testing.T) { inBothModes(t, testSource) }

func testSource(t *testing.T, b *bench) {
	fib := b.open()
	orders := []kernel.Route{via("10.0.2.2/32", leaf0), via("c0d1::2/128", leaf0)}
	b.apply(fib, orders...)
	v4, v6 := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("c0d1::1")
	if err := fib.SetSource(v4, v6); err != nil {
		t.Fatal(err)
	}
	b.apply(fib, via("::/0", leaf1))
	want := []string{
		"10.0.2.2 src 10.0.0.1 via fe80::1%up0",
		"c0d1::2 src c0d1::1 via fe80::1%up0",
		"default src c0d1::1 via fe80::2%up1",
	}
	b.want(want...)
	sent := fib.Sent()
	if err := fib.SetSource(v4, v6); err != nil || fib.Sent() != sent {
		t.Errorf("the same again: %d messages, %v", fib.Sent()-sent, err)
	}

	// An address that is not there yet is an error for each route, and taken at the next try.
	other := netip.MustParseAddr("10.0.0.9")
	if err := fib.SetSource(other, v6); len(failed(err)) != 1 {
		t.Errorf("source that is not an address of the host: %v", err)
	}
	b.ip("address add 10.0.0.9/32 dev lo")
	b.ip("address del 10.0.0.1/32 dev lo") // the kernel removes the IPv4 routes that have it
	if err := fib.SetSource(other, v6); err != nil {
		t.Error(err)
	}
	want[0] = "10.0.2.2 src 10.0.0.9 via fe80::1%up0"
	b.want(want...)
	if err := fib.SetSource(netip.Addr{}, netip.Addr{}); err != nil {
		t.Error(err)
	}
	b.want("10.0.2.2 via fe80::1%up0", "c0d1::2 via fe80::1%up0", "default via fe80::2%up1")
	if err := fib.SetSource(v6, v4); err == nil {
		t.Error("families exchanged, no error")
	}
}

func TestTenThousandRoutes(t *testing.T) { inBothModes(t, testTenThousandRoutes) }

func testTenThousandRoutes(t *testing.T, b *bench) {
	fib := b.open()
	b.apply(fib, hostRoutes(10_000, leaf0, leaf1)...)
	if n := len(b.list("-4")); n != 10_000 {
		t.Errorf("%d routes in the kernel", n)
	}
	if n := len(fib.Routes()); n != 10_000 {
		t.Errorf("%d routes believed in the kernel", n)
	}
	b.apply(fib, hostRoutes(10_000)...)
	b.want()
}

// hostRoutes returns n routes 20.0.0.0/32, 20.0.0.1/32, ...
func hostRoutes(n int, hops ...netip.Addr) []kernel.Route {
	routes := make([]kernel.Route, n)
	for i := range routes {
		var raw [4]byte
		binary.BigEndian.PutUint32(raw[:], 20<<24+uint32(i))
		routes[i] = kernel.Route{Prefix: netip.PrefixFrom(netip.AddrFrom4(raw), 32), NextHops: hops}
	}
	return routes
}
