package hostagent

import (
	"log/slog"
	"net/netip"
	"testing"

	"lastmile/hostagent/bfd"
	"lastmile/hostagent/bfd/worker"
	"lastmile/hostagent/kernel"
)

// TestDeadLeafWhileRoutesAreTakenOver: what the worker of an earlier run has to
// say of a leaf is heeded before its routes are all known.
func TestDeadLeafWhileRoutesAreTakenOver(t *testing.T) {
	const table = 3000
	before := newBusy(t, kernel.Options{})
	before.comes(0, table)
	before.comes(1, table)
	if err := before.fib.Leave(); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, "eth*")
	w.restart.over = false
	var fib *kernel.FIB
	looks, unknown := 0, false // at the loss
	bfds := make(chan worker.News, 1)
	err := before.host.Do(func() (err error) {
		fib, err = kernel.OpenFIB(slog.New(slog.DiscardHandler), kernel.Options{Heed: func(steps int) {
			if looks++; looks == 2 {
				n := newsOf(busyLeaves[0], failure(bfd.Expired))
				n.Changed = false
				bfds <- n
				unknown = fib.Len() < table
			}
			w.step(steps)
		}})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	before.fib = fib // to be closed
	w.Agent.fib, w.auditor, w.heritage = fib, fib, fib
	if err := w.adopt(fib, sources{bfd: bfds}); err != nil {
		t.Fatal(err)
	}
	got, _ := fib.Lookup(busyPrefix(7))
	if hops := got.NextHops; len(hops) != 1 || hops[0] != netip.MustParseAddr(busyLeaves[1]) {
		t.Errorf("over %v", hops)
	}
	if !unknown || fib.Len() != table {
		t.Errorf("lost before all routes were known: %v; %d routes are", unknown, fib.Len())
	}
	w.expectCount(t, "faults_total", 1)
}
