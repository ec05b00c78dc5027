package switchagent

import (
	"net/netip"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// TestLastingRefusalIsNotAskedForInEveryPoll: each time costs the leaf three operations.
func TestLastingRefusalIsNotAskedForInEveryPoll(t *testing.T) {
	f := newFakeLeaf()
	f.addressed = map[netip.Addr]bool{peer(1, 1): true}
	f.plug(peer(1, 1))
	run(t, f, func(t *testing.T, a running) {
		a.after(time.Hour)
		a.want(t, 0)
		if f.asked < 100 || f.asked > 130 {
			t.Errorf("asked for the guards %d times in 1800 polls", f.asked)
		}
		if n := testutil.ToFloat64(a.metrics.refused.WithLabelValues(string(addressed))); n != 1 {
			t.Errorf("counted %v", n)
		}
		before := f.asked
		f.plug(peer(2, 2))
		a.after(a.cfg.PollInterval + time.Second/3)
		a.want(t, 1, peer(2, 2)) // without delay, and on guards of this poll
		if f.asked != before+1 {
			t.Errorf("asked for the guards %d times for a commit", f.asked-before)
		}
		f.addressed = nil
		a.after(mostSilence + a.cfg.PollInterval + time.Second)
		a.want(t, 2, peer(1, 1), peer(2, 2))
	})
}

// TestWhoComesBackIsAskedForAnew: what was refused is another matter then.
func TestWhoComesBackIsAskedForAnew(t *testing.T) {
	f := newFakeLeaf()
	f.addressed = map[netip.Addr]bool{peer(1, 1): true}
	f.plug(peer(1, 1))
	run(t, f, func(t *testing.T, a running) {
		a.after(time.Hour + mostSilence/3) // it is not asked for in the next seconds
		f.addressed = nil
		clear(f.neighbors)
		a.after(a.cfg.PollInterval)
		f.plug(peer(1, 1))
		a.after(a.cfg.PollInterval + time.Second/3)
		a.want(t, 1, peer(1, 1))
	})
}

// TestNewSessionAsksAnew: the leaf may have been given another configuration.
func TestNewSessionAsksAnew(t *testing.T) {
	f := newFakeLeaf()
	f.addressed = map[netip.Addr]bool{peer(1, 1): true}
	f.plug(peer(1, 1))
	run(t, f, func(t *testing.T, a running) {
		a.after(time.Hour + mostSilence/3) // it is not asked for in the next seconds
		f.addressed, f.lost = nil, true
		a.after(a.cfg.PollInterval + 2*time.Second) // a poll that fails, a pause
		a.want(t, 1, peer(1, 1))
	})
}

// TestSessionThatOutlivesItsNeighbor: its stanza is refused its removal for as long as that lasts.
func TestSessionThatOutlivesItsNeighbor(t *testing.T) {
	f := newFakeLeaf()
	f.plug(peer(1, 1))
	run(t, f, func(t *testing.T, a running) {
		a.after(10 * time.Second)
		clear(f.neighbors)
		before := f.asked
		a.after(time.Hour)
		a.want(t, 1, peer(1, 1))
		if n := f.asked - before; n < 100 || n > 130 {
			t.Errorf("asked for the guards %d times in 1800 polls", n)
		}
		delete(f.up, peer(1, 1))
		a.after(mostSilence + a.cfg.PollInterval + time.Second)
		a.want(t, 2)
	})
}

func TestVerdicts(t *testing.T) {
	first, second := stanza(peer(1, 1)), stanza(peer(2, 2))
	no := plan{report: report{refused: map[netip.Addr]refusal{peer(1, 1): addressed}}}
	v := verdicts{}
	if p := v.filter(epoch, planned(first)); p.empty() {
		t.Error("known without being asked for")
	}
	at := epoch
	for _, want := range []time.Duration{0, 2, 4, 8, 16, 30, 30} { // seconds of silence
		v.learn(at, planned(first), no)
		want *= time.Second
		if p := v.filter(at.Add(want-1), planned(first)); want > 0 && (!p.empty() || p.refused[peer(1, 1)] != addressed) {
			t.Errorf("%s after the last answer: %s", want-1, p)
		}
		at = at.Add(max(want, 2*time.Second))
		if p := v.filter(at, planned(first)); len(p.change.Add) != 1 {
			t.Errorf("%s after the last answer: %s", want, p)
		}
	}
	v.learn(at, planned(first), no)
	if p := v.filter(at.Add(1), planned(first, second)); len(p.change.Add) != 2 || len(p.refused) != 0 {
		t.Errorf("one known, one not: %s", p)
	}
	blocked := plan{report: report{refused: map[netip.Addr]refusal{peer(1, 1): unusableGroup}, blocked: errGone}}
	v.learn(at, planned(first), blocked)
	if p := v.filter(at.Add(1), planned(first)); p.empty() {
		t.Error("a group that cannot be used is asked for in every poll")
	}
}
