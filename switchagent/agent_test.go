package switchagent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"lastmile/switchagent/junos"
)

// running is an agent on a fake leaf in synctest's time.
type running struct {
	*Agent
	leaf *fakeLeaf
	log  *bytes.Buffer
}

// run calls the test with a running agent, which it may look at after a.after().
func run(t *testing.T, f *fakeLeaf, test func(t *testing.T, a running)) {
	t.Helper()
	runWith(t, f, func(*Config) {}, test)
}

func runWith(t *testing.T, f *fakeLeaf, change func(*Config), test func(t *testing.T, a running)) {
	t.Helper()
	runBoth(t, f, change, func(*Agent) {}, test)
}

// runTuned calls the test with an agent that was changed before it runs.
func runTuned(t *testing.T, f *fakeLeaf, tune func(*Agent), test func(t *testing.T, a running)) {
	t.Helper()
	runBoth(t, f, func(*Config) {}, tune, test)
}

func runBoth(t *testing.T, f *fakeLeaf, change func(*Config), tune func(*Agent), test func(t *testing.T, a running)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		cfg := testConfig()
		change(&cfg)
		a := New(cfg, slog.New(slog.NewTextHandler(&log, nil)), prometheus.NewRegistry())
		a.dial = f.dial
		tune(a)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		ready := false
		go func() { done <- a.Run(ctx, func() { ready = true }) }()
		synctest.Wait()
		if !ready {
			t.Error("not ready")
		}
		test(t, running{a, f, &log})
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if f.noDial == nil && f.closed != f.dials {
			t.Errorf("%d dials, %d closes", f.dials, f.closed)
		}
	})
}

// after lets time pass and everything come to rest.
func (a running) after(d time.Duration) {
	a.leaf.sync()
	time.Sleep(d)
	synctest.Wait()
}

func (a running) want(t *testing.T, commits int, peers ...netip.Addr) {
	t.Helper()
	if len(a.leaf.commits) != commits {
		t.Errorf("%d commits, want %d: %v", len(a.leaf.commits), commits, a.leaf.commits)
	}
	slices.SortFunc(peers, netip.Addr.Compare)
	if got := slices.SortedFunc(maps.Keys(a.leaf.stanzas), netip.Addr.Compare); !slices.Equal(got, peers) {
		t.Errorf("stanzas of %v, want %v", got, peers)
	}
}

func TestNewNeighborIsCommittedWithinAPoll(t *testing.T) {
	run(t, newFakeLeaf(), func(t *testing.T, a running) {
		a.after(time.Minute)
		a.want(t, 0)
		a.leaf.plug(peer(1, 1))
		a.after(a.cfg.PollInterval + time.Second/3)
		a.want(t, 1, peer(1, 1))
		a.after(time.Hour)
		a.want(t, 1, peer(1, 1))
		if n := strings.Count(a.log.String(), "neighbour added"); n != 1 {
			t.Errorf("logged %d times:\n%s", n, a.log)
		}
	})
}

func TestManyNeighborsAreOneCommit(t *testing.T) {
	run(t, newFakeLeaf(), func(t *testing.T, a running) {
		var peers []netip.Addr
		for i := range 200 {
			peers = append(peers, peer(1+i, i%4))
		}
		a.leaf.plug(peers...)
		a.after(time.Hour)
		a.want(t, 1, peers...)
	})
}

func TestGoneNeighbor(t *testing.T) {
	f := newFakeLeaf()
	f.plug(peer(1, 1), peer(2, 2))
	run(t, f, func(t *testing.T, a running) {
		a.after(10 * time.Second)
		a.want(t, 1, peer(1, 1), peer(2, 2))
		f.deaf = true
		f.up = map[netip.Addr]bool{}
		a.after(time.Hour)
		a.want(t, 1, peer(1, 1), peer(2, 2)) // nobody is absent from an empty table
		f.deaf, f.up = false, map[netip.Addr]bool{peer(1, 1): true, peer(2, 2): true}
		clear(f.neighbors)
		a.after(time.Hour)
		a.want(t, 1, peer(1, 1), peer(2, 2)) // Established
		delete(f.up, peer(1, 1))
		a.after(mostSilence + 3*time.Second)
		a.want(t, 2, peer(2, 2))

		f.up = map[netip.Addr]bool{peer(1, 1): true} // and 2 is down
		f.plug(peer(2, 2))
		a.after(10 * time.Second)
		delete(f.neighbors, peer(2, 2))
		a.after(50 * time.Second)
		a.want(t, 2, peer(2, 2))
		f.broken = errors.New("permission denied") // a poll that cannot see begins the hold-down anew
		a.after(2 * time.Second)
		f.broken = nil
		a.after(55 * time.Second)
		a.want(t, 2, peer(2, 2))
		a.after(10 * time.Second)
		a.want(t, 3)
	})
}

func TestRebootedLeafIsFilledAgain(t *testing.T) {
	f := newFakeLeaf()
	f.plug(peer(1, 1), peer(2, 2))
	run(t, f, func(t *testing.T, a running) {
		a.after(10 * time.Second)
		f.reboot() // and the session survives
		a.after(3 * time.Second)
		a.want(t, 2, peer(1, 1), peer(2, 2))

		f.reboot()
		f.lost = true
		f.noDial = errors.New("connection refused")
		a.after(5 * time.Minute)
		if err := a.Health(); err == nil || !strings.Contains(err.Error(), "no good poll for 5m") || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("health: %v", err)
		}
		f.noDial, f.closed = nil, f.dials // those that failed
		a.after(15 * time.Second)
		a.want(t, 3, peer(1, 1), peer(2, 2))
		if err := a.Health(); err != nil {
			t.Errorf("health: %v", err)
		}
	})
}

func TestRedialBacksOff(t *testing.T) {
	f := newFakeLeaf()
	f.noDial = errors.New("no route to host")
	run(t, f, func(t *testing.T, a running) {
		if err := a.Health(); err == nil || err.Error() != "no good poll yet: no route to host" {
			t.Errorf("health: %v", err)
		}
		a.after(10 * time.Minute)
		// Steps of 1, 2, 4, 8 and then 15 s, of which a half to all is waited.
		if f.dials < 600/15 || f.dials > 600*2/15+5 {
			t.Errorf("%d dials in 10 minutes", f.dials)
		}
		f.noDial, f.closed = nil, f.dials
		a.after(time.Minute)
		before := f.dials
		f.lost = true
		a.after(3 * time.Second) // a poll and the first pause again
		if f.dials != before+1 {
			t.Errorf("%d dials after a good session was lost, want 1", f.dials-before)
		}
	})
}

func TestRefusedCommitBacksOff(t *testing.T) {
	f := newFakeLeaf()
	f.plug(peer(1, 1))
	f.outcomes = slices.Repeat([]func(*fakeLeaf, junos.Change) (junos.Outcome, error){refused}, 12)
	run(t, f, func(t *testing.T, a running) {
		a.after(10 * time.Second)
		if err := a.Health(); err == nil || !strings.Contains(err.Error(), "neighbours wait for a commit") || !strings.Contains(err.Error(), "locked by admin") {
			t.Errorf("health: %v", err)
		}
		a.after(15 * time.Minute)
		a.want(t, 13, peer(1, 1))
		if last := f.times[12].Sub(f.times[11]); last < 30*time.Second || last > 63*time.Second {
			t.Errorf("the last two attempts were %s apart", last)
		}
		if err := a.Health(); err != nil {
			t.Errorf("health: %v", err)
		}
		if f.dials != 1 {
			t.Errorf("%d dials: a refusal is no reason to leave", f.dials)
		}
		f.plug(peer(2, 2))
		f.outcomes = append(f.outcomes, refused)
		a.after(6 * time.Second) // a poll, the first pause again, a poll
		a.want(t, 15, peer(1, 1), peer(2, 2))
	})
}

func TestLostCommitReplyIsLookedUp(t *testing.T) {
	f := newFakeLeaf()
	f.plug(peer(1, 1))
	f.outcomes = []func(*fakeLeaf, junos.Change) (junos.Outcome, error){appliedAndLost}
	run(t, f, func(t *testing.T, a running) {
		a.after(time.Hour)
		a.want(t, 1, peer(1, 1))
		if f.dials != 2 {
			t.Errorf("%d dials, want 2", f.dials)
		}
		if err := a.Health(); err != nil {
			t.Errorf("health: %v", err)
		}
	})
}

// TestRebootRightAfterACommit: that the instance is empty is no fault of the commit.
func TestRebootRightAfterACommit(t *testing.T) {
	f := newFakeLeaf()
	f.plug(peer(1, 1))
	f.outcomes = []func(*fakeLeaf, junos.Change) (junos.Outcome, error){func(f *fakeLeaf, change junos.Change) (junos.Outcome, error) {
		applied(f, change)
		f.reboot()
		f.lost = true
		return junos.Applied, nil
	}}
	run(t, f, func(t *testing.T, a running) {
		a.after(time.Minute)
		a.want(t, 2, peer(1, 1))
		if strings.Contains(a.log.String(), "commit failed") {
			t.Errorf("logged:\n%s", a.log)
		}
	})
}

// TestLossDuringACommitBeginsTheHoldDownAnew: the leaf may be rebooting.
func TestLossDuringACommitBeginsTheHoldDownAnew(t *testing.T) {
	f := newFakeLeaf()
	f.plug(peer(1, 1))
	run(t, f, func(t *testing.T, a running) {
		a.after(10 * time.Second)
		clear(f.neighbors)
		clear(f.up)
		a.after(50 * time.Second)
		f.outcomes = []func(*fakeLeaf, junos.Change) (junos.Outcome, error){appliedAndLost}
		f.plug(peer(2, 2))
		a.after(55 * time.Second)
		a.want(t, 2, peer(1, 1), peer(2, 2))
		a.after(10 * time.Second)
		a.want(t, 3, peer(2, 2))
	})
}

func TestCommitThatDoesNothing(t *testing.T) {
	f := newFakeLeaf()
	f.plug(peer(1, 1))
	f.outcomes = slices.Repeat([]func(*fakeLeaf, junos.Change) (junos.Outcome, error){confirmedOnly}, 1000)
	run(t, f, func(t *testing.T, a running) {
		a.after(10 * time.Minute)
		if n := len(f.commits); n > 30 {
			t.Errorf("%d commits in 10 minutes", n)
		}
		if err := a.Health(); err == nil || !strings.Contains(err.Error(), "changed nothing of [fe80::1%ge-0/0/1.0]") {
			t.Errorf("health: %v", err)
		}
	})
}

func TestFailedPollsAreCountedAndLoggedOnce(t *testing.T) {
	f := newFakeLeaf()
	f.broken = fmt.Errorf("ipv6 neighbours: %w", junos.ErrTruncated)
	run(t, f, func(t *testing.T, a running) {
		a.after(time.Minute - time.Second)
		if n := testutil.ToFloat64(a.metrics.polls.WithLabelValues(resultTruncated)); n != 30 {
			t.Errorf("counted %v", n)
		}
		if n := strings.Count(a.log.String(), "poll failed"); n != 1 {
			t.Errorf("logged %d times:\n%s", n, a.log)
		}
		if f.dials != 1 {
			t.Errorf("%d dials", f.dials)
		}
	})
}

// TestGroupThatCannotWork: nothing is committed into it, and the first poll after it was mended
// commits.
func TestGroupThatCannotWork(t *testing.T) {
	f := newFakeLeaf()
	f.noGroup = errors.New(`bgp group "servers" is not configured`)
	run(t, f, func(t *testing.T, a running) {
		a.after(time.Minute)
		if err := a.Health(); err != nil {
			t.Errorf("nobody waits, health: %v", err)
		}
		f.plug(peer(1, 1), peer(2, 2))
		a.after(time.Hour)
		a.want(t, 0)
		if err := a.Health(); err == nil || !strings.Contains(err.Error(), "is not configured") {
			t.Errorf("health: %v", err)
		}
		if n := testutil.ToFloat64(a.metrics.refused.WithLabelValues(string(unusableGroup))); n != 2 {
			t.Errorf("counted %v", n)
		}
		if n := strings.Count(a.log.String(), "is not configured"); n != 1 || strings.Contains(a.log.String(), "refused") {
			t.Errorf("logged %d times:\n%s", n, a.log)
		}
		f.noGroup = nil
		a.after(a.cfg.PollInterval + time.Second/2)
		a.want(t, 1, peer(1, 1), peer(2, 2))
		a.after(10 * time.Second)
		if err := a.Health(); err != nil {
			t.Errorf("health: %v", err)
		}
	})
}

// TestStopDuringACommit: what becomes of it is looked up by the next run; nothing has failed.
func TestStopDuringACommit(t *testing.T) {
	f := newFakeLeaf()
	f.plug(peer(1, 1))
	f.outcomes = []func(*fakeLeaf, junos.Change) (junos.Outcome, error){appliedAndLost}
	var log *bytes.Buffer
	run(t, f, func(_ *testing.T, a running) { log = a.log }) // which ends while the commit is under way
	if len(f.commits) != 1 || strings.Contains(log.String(), "commit failed") {
		t.Errorf("%d commits; logged:\n%s", len(f.commits), log)
	}
}
