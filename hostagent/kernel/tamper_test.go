package kernel_test

import (
	"testing"

	"lastmile/hostagent/kernel"
)

// TestWatchSeesTampering follows what others do to our routes and next hops, and nothing that we do or that is not ours.
func TestWatchSeesTampering(t *testing.T) {
	b := newBench(t)
	fib := b.open()
	w := watch(t, b.host)
	await(t, w, "first news", func(kernel.State) bool { return true })
	orders := []kernel.Route{via("10.0.2.2/32", leaf0, leaf1), via("c0d1::2/128", leaf0), via("::/0", leaf0, leaf1)}
	b.apply(fib, orders...)
	b.apply(fib, via("10.0.2.2/32", leaf1), via("c0d1::2/128"))
	fib.LeafLost(leaf0)
	fib.LossesKnown()
	b.apply(fib, orders...)
	b.ip("route add 10.0.9.9/32 dev up0")
	b.ip("route del 10.0.9.9/32 dev up0")
	b.ip("nexthop add id 7 via fe80::9 dev up0")
	b.ip("nexthop del id 7")
	b.ip("address add 10.7.0.1/32 dev lo") // of which there is news after all that was before
	s := await(t, w, "address", func(s kernel.State) bool { return len(s.Loopback) == 3 })
	if s.Tampered != 0 {
		t.Errorf("%d times seen, of our own orders and of what is not ours", s.Tampered)
	}
	known := uint64(0)
	for _, line := range []string{"route del 10.0.2.2/32", "-6 route del c0d1::2/128", "nexthop flush proto 199"} {
		b.ip(line)
		s = await(t, w, line, func(s kernel.State) bool { return s.Tampered > known })
		known = s.Tampered
	}
	if changed, err := fib.Audit(); !changed || err != nil {
		t.Errorf("audit: %v, %v", changed, err)
	}
	b.apply(fib, orders...)
	b.want("10.0.2.2 via fe80::1%up0 fe80::2%up1", "c0d1::2 via fe80::1%up0", "default via fe80::1%up0 fe80::2%up1")
}
