package kernel_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"lastmile/hostagent/kernel"
)

func TestAudit(t *testing.T) { inBothModes(t, testAudit) }

func testAudit(t *testing.T, b *bench) {
	fib := b.open()
	source := netip.MustParseAddr("10.0.0.1")
	if err := fib.SetSource(source, netip.Addr{}); err != nil {
		t.Fatal(err)
	}
	orders := []kernel.Route{via("0.0.0.0/0", leaf0, leaf1), via("10.0.2.2/32", leaf0), via("c0d1::2/128", leaf0), via("c0d1::3/128", leaf0, leaf1)}
	want := []string{
		"10.0.2.2 src 10.0.0.1 via fe80::1%up0", "c0d1::2 via fe80::1%up0", "c0d1::3 via fe80::1%up0 fe80::2%up1",
		"default src 10.0.0.1 via fe80::1%up0 fe80::2%up1",
	}
	b.apply(fib, orders...)
	b.want(want...)
	if changed, err := fib.Audit(); changed || err != nil {
		t.Errorf("nothing changed: %v, %v", changed, err)
	}
	tests := map[string]func(){
		"a route removed":          func() { b.ip("route del 10.0.2.2/32") },
		"an IPv6 route removed":    func() { b.ip("-6 route del c0d1::3/128") },
		"a route changed":          func() { b.ip("route replace 10.0.2.2/32 dev up1 proto 199 metric 20") },
		"a next hop removed":       func() { b.ip("nexthop flush dev up0") },
		"all next hops removed":    func() { b.ip("nexthop flush proto 199") },
		"the source gone and back": func() { b.ip("address del 10.0.0.1/32 dev lo"); b.ip("address add 10.0.0.1/32 dev lo") },
	}
	for name, damage := range tests {
		if b.options.NoObjects && strings.Contains(name, "next hop") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			damage()
			if cmp.Equal(want, b.routes()) {
				t.Fatal("nothing was broken")
			}
			if changed, err := fib.Audit(); !changed || err != nil {
				t.Errorf("not seen: %v, %v", changed, err)
			}
			b.apply(fib, orders...)
			b.want(want...)
			if changed, err := fib.Audit(); changed || err != nil {
				t.Errorf("mended, and still: %v, %v", changed, err)
			}
		})
	}
}

func TestNamespaceHasOneFIB(t *testing.T) { inBothModes(t, testNamespaceHasOneFIB) }

func testNamespaceHasOneFIB(t *testing.T, b *bench) {
	fib := b.open()
	b.apply(fib, via("10.0.2.2/32", leaf0))
	if _, err := b.tryOpen(); err == nil || !strings.Contains(err.Error(), "another hostagent is running") {
		t.Errorf("a second one: %v", err)
	}
	b.want("10.0.2.2 via fe80::1%up0")
	b.apply(fib, via("10.0.2.2/32", leaf1))
	b.want("10.0.2.2 via fe80::2%up1")
	newBench(t).open() // another namespace
}

// TestOrdersBetweenThePartsOfAnAudit: it is as right as one without.
func TestOrdersBetweenThePartsOfAnAudit(t *testing.T) {
	inBothModes(t, testOrdersBetweenThePartsOfAnAudit)
}

func testOrdersBetweenThePartsOfAnAudit(t *testing.T, b *bench) {
	const table = 20_000
	if _, err := b.sysctls(); err != nil {
		t.Fatal(err)
	}
	fib := b.open()
	both, one := hostRoutes(table, leaf0, leaf1), hostRoutes(table, leaf1)
	tests := map[string]struct {
		order   func()
		changed bool
	}{
		"nothing":              {func() {}, false},
		"a leaf is lost":       {func() { fib.LeafLost(leaf0) }, false},
		"and its routes":       {func() { fib.LeafLost(leaf0); b.apply(fib, one[:10]...) }, false},
		"a route goes":         {func() { b.apply(fib, kernel.Route{Prefix: both[table-1].Prefix}) }, false},
		"a route comes":        {func() { b.apply(fib, via("c0d1::2/128", leaf0)) }, false},
		"somebody removes one": {func() { b.ip("route del " + both[0].Prefix.String()) }, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			fib.LossesKnown()
			b.apply(fib, both...)
			if changed, err := fib.Audit(); changed || err != nil {
				t.Fatal(changed, err)
			}
			done, changed, err := fib.AuditPart()
			if done {
				t.Fatal("an audit of one part")
			}
			test.order()
			for !done {
				done, changed, err = fib.AuditPart()
			}
			if name == "somebody removes one" && !changed { // it had been listed before
				changed, err = fib.Audit()
			}
			if changed != test.changed || err != nil {
				t.Errorf("%v, %v", changed, err)
			}
		})
	}
}

// TestAuditIsOvertakenAgainAndAgain: it ends, with an error.
func TestAuditIsOvertakenAgainAndAgain(t *testing.T) {
	b := newBench(t)
	if _, err := b.sysctls(); err != nil {
		t.Fatal(err)
	}
	fib := b.open()
	b.apply(fib, hostRoutes(20_000, leaf0, leaf1)...)
	for n := 0; ; n++ {
		done, _, err := fib.AuditPart()
		if done && errors.Is(err, unix.EINTR) {
			break
		}
		if done || n > 10_000 {
			t.Fatalf("after %d parts: %v, %v", n, done, err)
		}
		b.apply(fib, kernel.Route{Prefix: netip.MustParsePrefix("c0d1::2/128"), NextHops: []netip.Addr{leaf0}[n%2:]})
	}
	if changed, err := fib.Audit(); changed || err != nil {
		t.Errorf("the next one: %v, %v", changed, err)
	}
}
