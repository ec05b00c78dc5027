package lab

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"lastmile/lab/blast"
	"lastmile/lab/netns"
)

// routeSteps is how daemons change routes, and over how many routes of the table each uplink leads then.
var routeSteps = []struct {
	command string
	want    [2]int
}{
	{"nexthop add id 1 via fe80::1 dev eth0", [2]int{}},
	{"nexthop add id 2 via fe80::2 dev eth1", [2]int{}},
	{"nexthop add id 3 group 1/2", [2]int{}},
	{"route add 20.0.0.0/32 nhid 3", [2]int{1, 1}},
	{"route add 20.0.0.1/32 nhid 2", [2]int{1, 2}},
	{"route add 20.0.0.2/32 nhid 1", [2]int{1, 2}}, // not the table's
	{"route add 20.0.0.0/31 nhid 1", [2]int{1, 2}},
	{"nexthop replace id 3 group 2", [2]int{0, 2}},
	{"nexthop replace id 3 group 1/2", [2]int{1, 2}},
	{"route replace 20.0.0.0/32 nhid 2", [2]int{0, 2}},
	{"route del 20.0.0.1/32", [2]int{0, 1}},
	{"route replace 20.0.0.0/32 nexthop via inet6 fe80::1 dev eth0 nexthop via inet6 fe80::2 dev eth1", [2]int{1, 1}},
	{"route add 20.0.0.1/32 via inet6 fe80::1 dev eth0", [2]int{2, 1}},
	{"route replace 20.0.0.1/32 nhid 3", [2]int{2, 2}},
	{"route replace 20.0.0.0/32 nhid 3", [2]int{2, 2}},
}

// twoUplinks is a host, what its uplinks lead to, and their indices.
func twoUplinks(t *testing.T) (ns, far *netns.NS, devices [2]int) {
	t.Helper()
	ns, far = netns.ForTest(t, "host"), netns.ForTest(t, "far")
	for i := range devices {
		link := fmt.Sprintf("eth%d", i)
		if err := netns.Veth(ns, link, far, link); err != nil {
			t.Fatal(err)
		}
		var err error
		if devices[i], err = linkIndex(ns, link); err != nil {
			t.Fatal(err)
		}
	}
	return ns, far, devices
}

// expectTimely wants each change to be no later than now, and no more than a minute after what caused it.
func expectTimely(t *testing.T, cause time.Time, since [2]time.Time) {
	t.Helper()
	for d, at := range since {
		if at.After(time.Now()) || at.After(cause) && at.Sub(cause) > time.Minute {
			t.Errorf("uplink %d changed at %v, after %v", d, at, cause)
		}
	}
}

// TestRouteWatch changes routes in every way in which daemons do, and looks at
// what the watch makes of it.
func TestRouteWatch(t *testing.T) {
	t.Parallel()
	ns, far, devices := twoUplinks(t)
	w, err := watchRoutes(ns, devices, blast.Table{Prefixes: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	expect := func(want [2]int) [2]time.Time {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		since, err := w.await(ctx, func(over [2]int) bool { return over == want })
		if err != nil {
			t.Fatalf("want %v: %v", want, err)
		}
		return since
	}
	for _, step := range routeSteps {
		before := time.Now()
		if _, err := ns.Run(t.Context(), "ip", strings.Fields(step.command)...); err != nil {
			t.Fatal(err)
		}
		expectTimely(t, before, expect(step.want))
		if t.Failed() {
			t.Fatal(step.command)
		}
	}
	// The kernel removes a next hop by itself, and says nothing.
	view, err := newKernelView(ns)
	if err != nil {
		t.Fatal(err)
	}
	defer view.close()
	polling, stop := context.WithCancel(t.Context())
	defer stop()
	polled := make(chan error, 1)
	go func() { polled <- w.poll(polling, view) }()
	at := time.Now()
	if err := far.SetDown("eth0"); err != nil {
		t.Fatal(err)
	}
	if since := expect([2]int{0, 2}); since[0].Before(at) {
		t.Errorf("the hop was gone %v before its link", at.Sub(since[0]))
	}
	stop()
	if err := <-polled; err != nil {
		t.Error(err)
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("there is not: %s", what)
		}
	}
}

// TestBridgePort: it loses packets and keeps both carriers, or takes one.
func TestBridgePort(t *testing.T) {
	t.Parallel()
	a, middle, b := netns.ForTest(t, "a"), netns.ForTest(t, "middle"), netns.ForTest(t, "b")
	port, err := bridgedCable(plug{a, "eth0"}, middle, plug{b, "swp0"})
	if err != nil {
		t.Fatal(err)
	}
	defer port.view.close()
	if err := errors.Join(a.AddAddress("eth0", "10.0.0.1/24"), b.AddAddress("swp0", "10.0.0.2/24")); err != nil {
		t.Fatal(err)
	}
	ping := func() bool {
		_, err := a.Run(t.Context(), "ping", "-c", "1", "-W", "1", "10.0.0.2")
		return err == nil
	}
	carrier := func(ns *netns.NS, name string) bool {
		t.Helper()
		out, err := ns.Run(t.Context(), "ip", "link", "show", name)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(out), "LOWER_UP")
	}
	do := func(_ time.Time, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "an answer", ping)
	do(port.forward(false))
	if ping() {
		t.Error("a port that does not forward does")
	}
	if !carrier(a, "eth0") || !carrier(b, "swp0") {
		t.Error("an end has lost its carrier")
	}
	do(port.forward(true))
	eventually(t, "an answer again", ping)
	do(port.power(false))
	eventually(t, "an end without carrier", func() bool { return !carrier(a, "eth0") })
	if !carrier(b, "swp0") {
		t.Error("the other end has lost its carrier")
	}
	do(port.power(true))
	eventually(t, "an answer at last", ping)
}

func TestBFDTimers(t *testing.T) {
	for text, want := range map[string]BFDTimers{
		"300x3": {300 * time.Millisecond, 3}, "10x255": {10 * time.Millisecond, 255}, "60000x2": {time.Minute, 2},
	} {
		if got, err := ParseBFDTimers(text); err != nil || got != want || got.String() != text {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "300", "x3", "9x3", "60001x3", "300x1", "300x256", "-10x3"} {
		if got, err := ParseBFDTimers(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// TestDropsAreCounted counts on paper.
func TestDropsAreCounted(t *testing.T) {
	before := []bfdSession{{Peer: bfdHostEnd(0), Up: true, Ups: 4}, {Peer: bfdHostEnd(1), Up: true, Ups: 1}, {Peer: bfdHostEnd(2), Up: true, Ups: 1}}
	after := []bfdSession{{Peer: bfdHostEnd(2), Up: true, Ups: 1}, {Peer: bfdHostEnd(1), Up: false, Ups: 1}, {Peer: bfdHostEnd(0), Up: false, Ups: 6}}
	var r DropsResult
	r.count(before, after)
	if r.Drops != 4 || r.Worst != 3 {
		t.Errorf("%+v, want 4 drops, 3 of one session", r)
	}
}
