package kernel_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"lastmile/hostagent/kernel"
	"lastmile/lab/netns"
)

// bench is a server with the uplinks up0 and up1 to two leaves, in namespaces. What the tests see of the kernel, they see
// through iproute2.
type bench struct {
	t      testing.TB
	host   *netns.NS
	leaves [2]*netns.NS

	options  kernel.Options // of the FIB
	settings kernel.Sysctls
}

var (
	leaf0 = netip.MustParseAddr("fe80::1%up0")
	leaf1 = netip.MustParseAddr("fe80::2%up1")
)

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{t: t, host: netns.ForTest(t, "host")}
	for i := range b.leaves {
		b.leaves[i] = netns.ForTest(t, fmt.Sprintf("leaf%d", i))
		if err := netns.Veth(b.host, fmt.Sprintf("up%d", i), b.leaves[i], "port"); err != nil {
			t.Fatal(err)
		}
	}
	b.ip("address add 10.0.0.1/32 dev lo")
	b.ip("address add c0d1::1/128 dev lo")
	b.eventually("address of lo usable", func() bool { return len(b.ip("-6 address show dev lo tentative")) == 0 })
	return b
}

// inBothModes runs the test with next-hop objects and without.
func inBothModes(t *testing.T, test func(t *testing.T, b *bench)) {
	for name, plain := range map[string]bool{"objects": false, "multipath routes": true} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.options.NoObjects = plain
			test(t, b)
		})
	}
}

// atMost compares how many messages were sent, with the count before. Without objects it takes one a route.
func (b *bench) atMost(fib *kernel.FIB, before, most uint32, what string) {
	b.t.Helper()
	if n := fib.Sent() - before; n > most && !b.options.NoObjects {
		b.t.Errorf("%d messages, at most %d wanted: %s", n, most, what)
	}
}

// pruned waits until the kernel has as many routes, after a carrier loss. Without objects it keeps them all.
func (b *bench) pruned(to int) {
	b.t.Helper()
	if !b.options.NoObjects {
		b.eventually("routes pruned", func() bool { return len(b.routes()) == to })
	}
}

// run runs a command in the namespace and returns what it printed.
func (b *bench) run(ns *netns.NS, line string) []byte {
	b.t.Helper()
	words := strings.Fields(line)
	out, err := ns.Run(context.Background(), words[0], words[1:]...)
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

// ip runs iproute2 on the server.
func (b *bench) ip(line string) []byte {
	b.t.Helper()
	return b.run(b.host, "ip "+line)
}

// carrier takes the carrier of uplink i away or gives it back.
func (b *bench) carrier(i int, state string) {
	b.t.Helper()
	b.run(b.leaves[i], "ip link set port "+state)
}

func (b *bench) open() *kernel.FIB {
	b.t.Helper()
	fib, err := b.tryOpen()
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		if err := fib.Close(); err != nil {
			b.t.Error(err)
		}
	})
	return fib
}

func (b *bench) tryOpen() (fib *kernel.FIB, err error) {
	err = b.host.Do(func() error {
		fib, err = kernel.OpenFIB(slog.New(slog.DiscardHandler), b.options)
		return err
	})
	if err == nil {
		err = fib.Adopt()
	}
	return fib, err
}

func (b *bench) apply(fib *kernel.FIB, routes ...kernel.Route) {
	b.t.Helper()
	if err := fib.Apply(slices.Values(routes)); err != nil {
		b.t.Fatal(err)
	}
}

// object is a line of `ip -json nexthop`.
type object struct {
	ID      int    `json:"id"`
	Gateway string `json:"gateway"`
	Dev     string `json:"dev"`
	Group   []struct {
		ID int `json:"id"`
	} `json:"group"`
}

func (b *bench) objects() map[int]object {
	b.t.Helper()
	objects := make(map[int]object)
	for _, o := range decode[object](b, b.ip("-json nexthop show proto 199")) {
		objects[o.ID] = o
	}
	return objects
}

// route is a line of `ip -json route`.
type route struct {
	Dst     string `json:"dst"`
	NHID    int    `json:"nhid"`
	Metric  int    `json:"metric"`
	PrefSrc string `json:"prefsrc"`
	leg
	Legs []leg `json:"nexthops"`
}

// leg is a next hop of a route that uses no object.
type leg struct {
	Gateway string `json:"gateway"`
	Via     struct {
		Host string `json:"host"`
	} `json:"via"`
	Dev string `json:"dev"`
}

func (b *bench) list(family string) []route {
	b.t.Helper()
	return decode[route](b, b.ip("-json "+family+" route show proto 199"))
}

// routes returns our routes as "destination [src SOURCE] via a%dev b%dev", sorted.
func (b *bench) routes() []string {
	b.t.Helper()
	objects := b.objects()
	var lines []string
	for _, family := range []string{"-4", "-6"} {
		for _, r := range b.list(family) {
			line := r.Dst
			if r.Metric != kernel.Metric {
				line += fmt.Sprintf(" metric %d", r.Metric)
			}
			if r.PrefSrc != "" {
				line += " src " + r.PrefSrc
			}
			var hops []string
			for _, l := range append(r.Legs, r.leg) {
				if gateway := l.Gateway + l.Via.Host; gateway != "" && r.NHID == 0 {
					hops = append(hops, gateway+"%"+l.Dev)
				}
			}
			for _, member := range objects[r.NHID].Group {
				hops = append(hops, objects[member.ID].Gateway+"%"+objects[member.ID].Dev)
			}
			slices.Sort(hops)
			lines = append(lines, line+" via "+strings.Join(hops, " "))
		}
	}
	slices.Sort(lines)
	return lines
}

func decode[T any](b *bench, raw []byte) []T {
	b.t.Helper()
	if len(strings.TrimSpace(string(raw))) == 0 {
		return nil
	}
	var all []T
	if err := json.Unmarshal(raw, &all); err != nil {
		b.t.Fatalf("%v in %q", err, raw)
	}
	return all
}

// eventually waits until the kernel has done what it does on its own time.
func (b *bench) eventually(what string, done func() bool) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			b.t.Fatalf("still waiting: %s\n%s", what, b.ip("nexthop"))
		}
	}
}

func via(prefix string, hops ...netip.Addr) kernel.Route {
	return kernel.Route{Prefix: netip.MustParsePrefix(prefix), NextHops: hops}
}

// paced has look called after so many steps, as the agent does it.
func paced(most int, look func()) func(int) {
	steps := 0
	return func(n int) {
		if steps += n; steps >= most {
			steps = 0
			look()
		}
	}
}
