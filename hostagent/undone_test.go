package hostagent

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"lastmile/hostagent/bgp"
	"lastmile/hostagent/kernel"
)

func TestRefusedRoutesAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		w.broken = true
		w.session(leaf1, bgp.Idle)
		w.expect(t, "lost fe80::1%eth0", "discover eth0")
		for range 2 {
			if n := strings.Count(w.log.String(), "no buffer space"); n != 1 {
				t.Errorf("told %d times", n)
			}
			w.repair(w.ctx)
		}
		w.expectCount(t, "fib_errors_total", 3)
		w.broken = false
		w.repair(w.ctx)
		w.expect(t, "route 10.0.2.2/32 via fe80::2%eth1")
		w.repair(w.ctx)
		w.expect(t)
	})
}

func TestWhatOthersUndo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		w.repair(w.ctx)
		w.damaged, w.prepared = true, nil
		w.repair(w.ctx) // too early
		w.expect(t)
		time.Sleep(auditEvery)
		w.repair(w.ctx)
		w.expect(t, "route 10.0.2.2/32 via fe80::1%eth0 fe80::2%eth1")
		w.expectCount(t, "fib_repairs_total", 1)
		if diff := cmp.Diff([]string{"eth0 eth1"}, w.prepared); diff != "" {
			t.Errorf("parameters set for (-want +got):\n%s", diff)
		}
		w.damaged = true
		w.state.Removals++ // an address that is back already
		w.onKernel(w.ctx, w.state)
		w.expect(t, "route 10.0.2.2/32 via fe80::1%eth0 fe80::2%eth1")
	})
}

func TestWhatOthersUndoIsSeenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		tamper := func() {
			w.damaged = true
			w.state.Tampered++
			w.onKernel(w.ctx, w.state)
		}
		tamper()
		w.expect(t, "route 10.0.2.2/32 via fe80::1%eth0 fe80::2%eth1")
		tamper()
		w.repair(w.ctx)
		w.expect(t) // not more often than once a second, whatever they do
		time.Sleep(retryAfter)
		w.repair(w.ctx)
		w.expect(t, "route 10.0.2.2/32 via fe80::1%eth0 fe80::2%eth1")
	})
}

func TestErrorsOfManyRoutesAreBrief(t *testing.T) {
	var many []error
	for i := range 100_000 {
		many = append(many, fmt.Errorf("route %d: no", i))
	}
	for want, err := range map[string]error{
		"": nil, "route 0: no": many[0], "route 0: no\nroute 1: no": errors.Join(many[:2]...),
		"route 0: no; route 1: no; route 2: no; and 99997 more": errors.Join(many...),
	} {
		if got := brief(err); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestKernelParametersOfNewLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "eth*")
		for _, name := range []string{"eth0", "eth1"} {
			w.state.Links[name] = kernel.Link{Name: name, Index: 2}
		}
		w.onKernel(w.ctx, w.state)
		w.link("eth0", true, 0)
		if len(w.prepared) != 1 {
			t.Errorf("parameters set %d times for links that are new together", len(w.prepared))
		}
		w.state.Links["eth1"] = kernel.Link{Name: "eth1", Index: 7} // made anew, unseen
		w.onKernel(w.ctx, w.state)
		if diff := cmp.Diff([]string{"eth0 eth1", "eth0 eth1"}, w.prepared); diff != "" {
			t.Errorf("parameters set for (-want +got):\n%s", diff)
		}
	})
}
