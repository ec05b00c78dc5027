package switchagent

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"lastmile/switchagent/junos"
)

// gone is a plan that removes n of 40 stanzas.
func gone(n int) plan {
	p := plan{report: report{refused: map[netip.Addr]refusal{}}}
	for i := range 40 {
		s := stanza(peer(i+1, i+1))
		p.change.From = append(p.change.From, s)
		if i < n {
			p.change.Remove = append(p.change.Remove, s)
		}
	}
	return p
}

// TestBoundCountsWhatWentLately: a leaf that decays bit by bit is held as one that is empty at once, and
// what is held is all of it.
func TestBoundCountsWhatWentLately(t *testing.T) {
	r := removals{window: time.Minute}
	for poll := range 4 { // 5 each, 20 in all
		now := epoch.Add(time.Duration(poll) * 2 * time.Second)
		p := gone(5).bounded(bound{20, 0, r.recent(now)})
		if len(p.change.Remove) != 5 || p.withheld != 0 {
			t.Fatalf("poll %d: %d removed, %d withheld", poll, len(p.change.Remove), p.withheld)
		}
		r.note(now, p.change)
	}
	now := epoch.Add(10 * time.Second)
	if p := gone(1).bounded(bound{20, 0, r.recent(now)}); !p.empty() || p.withheld != 1 {
		t.Errorf("the 21st: %s, %d withheld", p, p.withheld)
	}
	if p := gone(1).bounded(bound{0, 50, r.recent(now)}); p.withheld != 0 { // 21 of the 60 there were
		t.Errorf("a third is withheld")
	}
	if p := gone(11).bounded(bound{0, 50, r.recent(now)}); p.withheld != 11 { // 31 of 60
		t.Errorf("more than half: %d withheld", p.withheld)
	}
	isolated := gone(0)
	for _, s := range isolated.change.From[:5] {
		isolated.disown(s)
	}
	if p := isolated.bounded(bound{20, 0, r.recent(now)}); !p.empty() || p.withheld != 5 {
		t.Errorf("isolated: %s, %d withheld", p, p.withheld)
	}
	if p := gone(1).bounded(bound{20, 0, r.recent(epoch.Add(time.Minute))}); p.withheld != 0 || len(r.list) != 3 {
		t.Errorf("after the first has been forgotten: %d withheld, %d noted", p.withheld, len(r.list))
	}
}

// TestBoundSeesAllThatIsGone: the search for a bad stanza cuts what is committed, not what is judged.
func TestBoundSeesAllThatIsGone(t *testing.T) {
	f := newFakeLeaf()
	run(t, f, func(t *testing.T, a running) {
		for n := range 25 {
			f.plug(peer(n+1, n%4))
		}
		a.after(time.Minute)
		clear(f.up)
		clear(f.neighbors)
		a.after(61 * time.Second)
		a.planner.quarantine.limit = 8 // as after a refusal that names nobody
		a.after(time.Second)
		if a.planner.quarantine.limit != 8 {
			t.Fatal("the removals are not due: this proves nothing")
		}
		a.after(10 * time.Minute)
		if len(f.stanzas) != 25 || testutil.ToFloat64(a.metrics.withheld) != 25 {
			t.Errorf("%d of 25 stanzas are left, %v are withheld", len(f.stanzas), testutil.ToFloat64(a.metrics.withheld))
		}
	})
}

// TestTrialComparesSessions: each session that was up is looked for, also where the leaf does not say on
// which interface it is, and where its routing daemon has begun to count anew.
func TestTrialComparesSessions(t *testing.T) {
	bare := netip.MustParseAddr("fe80::1")
	up := func(peer netip.Addr, flaps int, elapsed time.Duration) junos.Session {
		return junos.Session{Peer: peer, State: "Established", Flaps: flaps, Elapsed: elapsed}
	}
	const hour = time.Hour
	down := junos.Session{Peer: bare, State: "Active", Flaps: 1, Elapsed: -1}
	other := peer(7, 3)
	for _, tt := range []struct {
		name          string
		before, after []junos.Session
		after1        time.Duration // since the commit
		bad           string
	}{
		{"two of one address", []junos.Session{up(bare, 0, hour), up(bare, 0, hour)}, []junos.Session{up(bare, 0, hour), up(bare, 0, hour)}, time.Second, ""},
		{"one of the two is lost", []junos.Session{up(bare, 0, hour), up(bare, 0, hour)}, []junos.Session{down, up(bare, 0, hour)}, time.Second, "is not any more"},
		{"in another order", []junos.Session{up(bare, 0, hour), up(bare, 5, hour)}, []junos.Session{up(bare, 5, hour), up(bare, 0, hour)}, time.Second, ""},
		{"a second one came", []junos.Session{up(peer(1, 1), 4, hour)}, []junos.Session{up(bare, 0, time.Second), up(bare, 4, hour)}, time.Second, ""},
		{"a second one came, and the first was reset", []junos.Session{up(peer(1, 1), 4, hour)}, []junos.Session{up(bare, 0, time.Second), up(bare, 5, time.Second)}, time.Second, "gone down and come up"},
		{"the routing daemon counts anew", []junos.Session{up(other, 3, hour)}, []junos.Session{up(other, 0, 9*time.Second)}, 10 * time.Second, "gone down and come up"},
		{"anew, from 0 as before", []junos.Session{up(other, 0, 2*time.Second)}, []junos.Session{up(other, 0, 3*time.Second)}, 10 * time.Second, "gone down and come up"},
		{"it had just come up", []junos.Session{up(other, 0, 0)}, []junos.Session{up(other, 0, 9*time.Second)}, 10 * time.Second, ""},
		{"younger than it was", []junos.Session{up(other, 0, hour)}, []junos.Session{up(other, 0, time.Minute)}, time.Second, "gone down and come up"},
		{"ages are not told", []junos.Session{up(other, 0, -1)}, []junos.Session{up(other, 0, -1)}, 10 * time.Second, ""},
	} {
		tr := trial{up: tt.before, begun: epoch, answered: epoch, window: time.Hour}
		good, bad := tr.judge(epoch.Add(tt.after1), tables{}, guards{sessions: tt.after})
		if good != (tt.bad == "") || (bad == nil) != good || bad != nil && !strings.Contains(bad.Error(), tt.bad) {
			t.Errorf("%s: %v, %v", tt.name, good, bad)
		}
	}
}

// TestTrialIsNotPassedBlind: what is not in a table explains nothing while the table may be at fault.
func TestTrialIsNotPassedBlind(t *testing.T) {
	tr := trial{change: junos.Change{Add: []junos.Stanza{stanza(peer(1, 1))}}, begun: epoch, answered: epoch, patience: time.Minute, window: time.Hour}
	idle := junos.Session{Peer: peer(1, 1), State: "Idle"}
	with := tables{neighbors: []junos.Neighbor{spine, router(peer(1, 1))}}
	for name, tt := range map[string]struct {
		seen tables
		g    guards
	}{
		"no neighbours":    {tables{}, free(idle)},
		"no interfaces":    {with, guards{sessions: []junos.Session{idle}}},
		"another port":     {with, guards{sessions: []junos.Session{idle}, interfaces: map[string]junos.Interface{"ge-0/0/2.0": {Down: true}}}},
		"nothing whatever": {tables{}, guards{}},
	} {
		for _, after := range []time.Duration{0, 2 * time.Minute} {
			if good, bad := tr.judge(epoch.Add(after), tt.seen, tt.g); good || bad != nil {
				t.Errorf("%s, after %s: %v, %v", name, after, good, bad)
			}
		}
		if good, bad := tr.judge(epoch.Add(31*time.Minute), tt.seen, tt.g); good || bad == nil {
			t.Errorf("%s, in the end: %v, %v", name, good, bad)
		}
	}
}
