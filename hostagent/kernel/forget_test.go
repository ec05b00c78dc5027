package kernel_test

import (
	"fmt"
	"testing"
)

// TestLeafLostWhileOthersRoutesAreForgotten: an audit that is about to forget routes does not forget those that the loss of
// a leaf has made anew. They would be taken for another program's from then on, and refused.
func TestLeafLostWhileOthersRoutesAreForgotten(t *testing.T) {
	inBothModes(t, testLeafLostWhileOthersRoutesAreForgotten)
}

func testLeafLostWhileOthersRoutesAreForgotten(t *testing.T, b *bench) {
	const table, removed = 40, 20
	look := func(int) {}
	b.options.Heed = func(n int) { look(n) }
	fib := b.open()
	b.sweep(fib)
	for at := 1; at <= table; at += 13 { // of the routes that are compared one by one
		b.apply(fib, hostRoutes(table, leaf0, leaf1)...)
		for i := range removed {
			b.ip(fmt.Sprintf("route del 20.0.0.%d/32 proto 199 metric 20", i))
		}
		looks := 0
		look = func(n int) {
			if n != 1 {
				return // a listing, or what the loss itself writes
			}
			if looks++; looks == at {
				fib.LeafLost(leaf0)
			}
		}
		if _, err := fib.Audit(); err != nil || looks < at {
			t.Fatalf("%d looks, %v", looks, err)
		}
		look = func(int) {}
		b.apply(fib, hostRoutes(table, leaf1)...)
		if n := len(b.routes()); n != table {
			t.Errorf("lost at look %d: %d routes in the kernel", at, n)
		}
		if changed, err := fib.Audit(); changed || err != nil {
			t.Errorf("lost at look %d, and once all is applied: %v, %v", at, changed, err)
		}
		fib.LossesKnown()
	}
}
