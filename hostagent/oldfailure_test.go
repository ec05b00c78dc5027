package hostagent

import (
	"testing"
	"testing/synctest"
	"time"

	"lastmile/hostagent/bfd"
	"lastmile/hostagent/bgp"
)

// TestFailureOfBeforeTheSession: the worker was late to tell, and the leaf that
// failed has its BGP session again. It answers; its BFD is waited for, if it is
// not up.
func TestFailureOfBeforeTheSession(t *testing.T) {
	back := bfd.Change{From: bfd.Init, To: bfd.Up}
	for name, test := range map[string]struct {
		state  bfd.State
		change bfd.Change
		told   bool // of the failure, not of what came after
		want   []string
	}{
		"told of the failure":          {bfd.Down, failure(bfd.PeerDown), true, []string{lostRoute}},
		"on its way up":                {bfd.Init, bfd.Change{From: bfd.Down, To: bfd.Init}, false, []string{lostRoute}},
		"up again before we are told":  {bfd.Up, back, false, nil},
		"failed, and then told of all": {bfd.Down, failure(bfd.Expired), false, []string{lostRoute}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := bothLeaves(t)
				w.bfdUp(leaf1)
				w.bfdUp(leaf2)
				failed := time.Now()
				w.session(leaf1, bgp.Idle)
				time.Sleep(3 * time.Second)
				w.session(leaf1, bgp.Established)
				w.announces(leaf1, 65001, "10.0.2.2/32")
				w.endOfRIB(leaf1)
				w.learn(w.ctx)
				synctest.Wait()
				w.orders = nil
				time.Sleep(time.Second)
				n := newsOf(leaf1, test.change)
				n.Changed, n.State, n.Failures, n.FailedAt = test.told, test.state, 1, failed
				w.onBFD(w.ctx, n)
				w.learn(w.ctx)
				w.expect(t, test.want...)
				w.expectDetector(t, byBGP)
				w.expectCount(t, "faults_total", 1)
				if n = newsOf(leaf1, back); test.want != nil {
					n.Failures, n.FailedAt = 1, failed
					w.onBFD(w.ctx, n)
					w.learn(w.ctx)
					w.expect(t, joined...)
				}
			})
		})
	}
}

// While a leaf restarts there is no session that would say that it answers.
func TestFailureOfBeforeTheRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		w.bfdUp(leaf1)
		failed := time.Now()
		time.Sleep(time.Second)
		w.restarts(leaf1)
		w.expect(t, "discover eth0")
		n := newsOf(leaf1, failure(bfd.Expired))
		n.FailedAt, n.Change.RemoteIndependent = failed, true
		w.onBFD(w.ctx, n)
		w.learn(w.ctx)
		w.expect(t, bfdFault...)
	})
}

// Failures that came and went faster than the news of them are counted.
func TestTransitionsThatWereNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		w.bfdUp(leaf1)
		n := newsOf(leaf1, bfd.Change{From: bfd.Init, To: bfd.Up, Cause: bfd.Handshake})
		n.Failures, n.Expired, n.FailedAt = 3, 2, time.Now()
		w.onBFD(w.ctx, n)
		w.expectCount(t, "bfd_session_transitions_total", 2+3)
		n = newsOf(leaf1, failure(bfd.Expired))
		n.Failures, n.Expired, n.FailedAt = 5, 3, time.Now() // one that is told, and one that is not
		w.onBFD(w.ctx, n)
		w.expectCount(t, "bfd_session_transitions_total", 2+3+2)
	})
}
