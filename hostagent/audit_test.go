package hostagent

import (
	"context"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/hostagent/bfd"
	"lastmile/hostagent/bfd/worker"
	"lastmile/hostagent/bgp"
	"lastmile/hostagent/kernel"
)

const partOfAudit = "a part of an audit"

// TestFaultDuringAnAudit: it is answered between two parts, and other news are
// not.
func TestFaultDuringAnAudit(t *testing.T) {
	for name, test := range map[string]struct {
		event func(w *world, bfds chan<- worker.News, links chan<- kernel.State)
		want  []string
	}{
		"BFD": {
			func(_ *world, bfds chan<- worker.News, _ chan<- kernel.State) {
				bfds <- newsOf(leaf1, failure(bfd.Expired))
			},
			[]string{"lost fe80::1%eth0", "reset fe80::1%eth0: BFD down", lostRoute}},
		"carrier": {
			func(w *world, _ chan<- worker.News, links chan<- kernel.State) {
				state := w.state
				state.Links = maps.Clone(state.Links)
				l := state.Links["eth0"]
				l.Up, l.Losses = false, 1
				state.Links["eth0"] = l
				links <- state
			},
			[]string{"lost eth0", lostRoute, "peer -fe80::1%eth0"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := bothLeaves(t)
				w.bfdUp(leaf1)
				bfds, links, news := make(chan worker.News, 1), make(chan kernel.State, 1), make(chan bgp.News, 1)
				w.parts = 3
				w.audit()
				w.between = func() {
					if w.parts == 1 { // after the second
						test.event(w, bfds, links)
						news <- bgp.PeerState{Peer: w.uplinks["eth1"].leaf, State: bgp.Idle, Since: time.Now()}
					}
				}
				ctx, cancel := context.WithCancel(w.ctx)
				ended := make(chan struct{})
				go func() { w.loop(ctx, sources{links, bfds, news}); close(ended) }()
				synctest.Wait()
				cancel()
				<-ended
				orders := strings.Join(w.orders, "\n")
				want := strings.Join(append(append([]string{partOfAudit, partOfAudit}, test.want...), partOfAudit), "\n")
				if !strings.HasPrefix(orders, want+"\n") || !strings.Contains(orders, "lost fe80::2%eth1") {
					t.Errorf("got\n%s\nwant first\n%s\nand then what follows from the end of the other session", orders, want)
				}
			})
		})
	}
}

// TestReasonDuringAnAudit: what has been seen already may have been removed since.
func TestReasonDuringAnAudit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		w.parts = 2
		w.between = func() {
			w.between = nil
			w.state.Tampered++
			w.Agent.onKernel(w.ctx, w.state)
		}
		w.repair(w.ctx)
		w.expect(t, partOfAudit, partOfAudit)
		w.damaged = true
		time.Sleep(retryAfter)
		w.repair(w.ctx)
		w.expect(t, "route 10.0.2.2/32 via fe80::1%eth0 fe80::2%eth1")
	})
}
