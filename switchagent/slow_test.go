package switchagent

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"lastmile/switchagent/junos"
)

// slowly is a commit that takes its time.
func slowly(takes time.Duration) []func(*fakeLeaf, junos.Change) (junos.Outcome, error) {
	return []func(*fakeLeaf, junos.Change) (junos.Outcome, error){func(f *fakeLeaf, change junos.Change) (junos.Outcome, error) {
		time.Sleep(takes)
		f.sync()
		return applied(f, change)
	}}
}

// TestSlowCommit: while a commit takes four minutes nothing is polled, and that is no fault. What
// comes meanwhile is one more commit, and the first thing after the commit is a look.
func TestSlowCommit(t *testing.T) {
	f := newFakeLeaf()
	f.outcomes = slowly(4 * time.Minute)
	run(t, f, func(t *testing.T, a running) {
		a.after(10 * time.Second)
		f.plug(peer(1, 1))
		var peers []netip.Addr
		for n := range 24 { // every ten seconds
			a.after(10 * time.Second)
			if err := a.Health(); err != nil {
				t.Fatalf("%d s into the commit: %v", 10*(n+1), err)
			}
			f.plug(peer(10+n, n%4))
			peers = append(peers, peer(10+n, n%4))
		}
		a.after(3 * time.Second)
		a.want(t, 2, append(peers, peer(1, 1))...)
		if err := a.Health(); err != nil {
			t.Error(err)
		}
		f.broken = errGone // and what does not poll without a commit is seen as before
		f.noDial = errGone
		a.after(30 * time.Second)
		if err := a.Health(); err == nil || !strings.Contains(err.Error(), "no good poll for") {
			t.Errorf("health: %v", err)
		}
	})
}

// TestNobodyLooksDuringACommit: a server that was away for three polls before a slow commit, and at the
// first after it, may have been there for all of the commit.
func TestNobodyLooksDuringACommit(t *testing.T) {
	f := newFakeLeaf()
	f.plug(peer(1, 1), peer(2, 2))
	run(t, f, func(t *testing.T, a running) {
		a.after(10 * time.Second)
		delete(f.neighbors, peer(1, 1))
		clear(f.up)
		f.up[peer(2, 2)] = true
		a.after(8 * time.Second)
		f.outcomes = slowly(90 * time.Second)
		f.plug(peer(3, 3))
		a.after(5 * time.Second)
		f.plug(peer(1, 1))
		a.after(80 * time.Second)
		delete(f.neighbors, peer(1, 1))
		a.after(20 * time.Second)
		a.want(t, 2, peer(1, 1), peer(2, 2), peer(3, 3))
		f.plug(peer(1, 1))
		a.after(time.Hour)
		a.want(t, 2, peer(1, 1), peer(2, 2), peer(3, 3))
		delete(f.neighbors, peer(1, 1))
		delete(f.up, peer(1, 1))
		a.after(2 * time.Minute) // who stays away is removed all the same
		a.want(t, 3, peer(2, 2), peer(3, 3))
	})
}

// TestTrialOfASlowCommit: the sessions have their time to come up from when the commit has been
// answered, as before that the leaf may not even know of them.
func TestTrialOfASlowCommit(t *testing.T) {
	s := stanza(peer(1, 1))
	tr := trial{change: junos.Change{Add: []junos.Stanza{s}}, answered: epoch, patience: 30 * time.Second, window: 5 * time.Minute}
	there := tables{neighbors: []junos.Neighbor{router(peer(1, 1))}}
	trying := free(junos.Session{Peer: peer(1, 1), State: "Active"})
	if good, bad := tr.judge(epoch.Add(time.Second), there, trying); good || bad != nil {
		t.Errorf("a second after the answer: %v, %v", good, bad)
	}
	if good, bad := tr.judge(epoch.Add(31*time.Second), there, trying); !good || bad != nil {
		t.Errorf("half a minute after the answer: %v, %v", good, bad)
	}
}

// TestSlowLeaf: a leaf that takes longer for each answer than it is usually given is served, and one
// that only hangs for a moment is left at once.
func TestSlowLeaf(t *testing.T) {
	inEveryDatabase(t, func(t *testing.T, s *site) {
		s.inject("slow rpc=* delay=350ms count=all")
		s.tune = func(a *Agent) { a.answers.usual = 200 * time.Millisecond }
		s.start()
		s.plug(1)
		s.eventually("it has a stanza", func() bool { return s.stanzas() == "1" })
		if !s.logged("leaf did not answer in time") {
			t.Error("nothing is said")
		}
		s.device.ClearFaults()
		s.await("1")
		s.rest()
		s.wantChanges(1)
	})
}

// TestAnswers: the wait doubles up to a bound, is forgotten after an hour, and is no matter of other losses.
func TestAnswers(t *testing.T) {
	w := answers{usual: usualWait}
	now := epoch
	for _, step := range []struct {
		after time.Duration
		err   error
		more  time.Duration
		wait  time.Duration
	}{
		{0, errGone, 0, usualWait},
		{time.Minute, junos.ErrSlow, 2 * usualWait, 2 * usualWait},
		{time.Minute, errGone, 0, 2 * usualWait},
		{time.Minute, junos.ErrSlow, 4 * usualWait, 4 * usualWait},
		{time.Minute, junos.ErrSlow, mostWait, mostWait},
		{time.Minute, junos.ErrSlow, 0, mostWait},
		{2 * time.Hour, errGone, 0, usualWait},
		{time.Minute, junos.ErrSlow, 2 * usualWait, 2 * usualWait},
	} {
		now = now.Add(step.after)
		if more := w.late(now, step.err); more != step.more || w.wait(now) != step.wait {
			t.Errorf("%s after the start: %s more, %s in all, want %+v", now.Sub(epoch), more, w.wait(now), step)
		}
	}
}
