package switchagent

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"lastmile/switchagent/junos"
)

func TestPace(t *testing.T) {
	c := newPace(60, 2, 0)
	at := epoch
	for i, want := range []bool{true, true, false} {
		if got := c.take(at); got != want {
			t.Errorf("attempt %d at once: %v", i, got)
		}
	}
	for after, want := range map[time.Duration]int{time.Second: 1, time.Hour: 2} {
		one := *c
		got := 0
		for one.take(at.Add(after)) {
			got++
		}
		if got != want {
			t.Errorf("after %s there are %d attempts, want %d", after, got, want)
		}
	}
	at = at.Add(2 * time.Hour)
	pause := c.failed(at)
	if c.take(at.Add(pause-1)) || !c.take(at.Add(pause)) {
		t.Errorf("a failure puts the next attempt off by %s", pause)
	}
	first, second := junos.Change{Add: []junos.Stanza{stanza(peer(1, 1))}}, junos.Change{Add: []junos.Stanza{stanza(peer(1, 1)), stanza(peer(2, 2))}}
	for _, step := range []struct {
		after time.Duration
		plan  junos.Change
		want  time.Duration
	}{{0, first, 0}, {2, first, 2}, {3, second, 3}, {4, junos.Change{}, 0}, {5, second, 0}, {7, second, 2}} {
		if got := c.see(at.Add(step.after*time.Second), step.plan); got != step.want*time.Second {
			t.Errorf("after %d s the oldest has waited %s, want %d s", step.after, got, step.want)
		}
	}
}

// TestPaceAfterATrial: each that fails has ended sessions, so the pauses grow, and none is shorter than half of the window.
func TestPaceAfterATrial(t *testing.T) {
	for window, most := range map[time.Duration]time.Duration{5 * time.Minute: time.Hour, 4 * time.Hour: 4 * time.Hour} {
		c, at := newPace(60, 2, 0), epoch
		for range 10 {
			c.takenBack(at, window)
			pause := c.after.Sub(at)
			if pause < window/2 || pause > most {
				t.Errorf("window %s: a pause of %s", window, pause)
			}
			at = c.after
		}
		if c.takenBack(at, window); c.after.Sub(at) < most/2 {
			t.Errorf("window %s: at last a pause of %s, want at least half of %s", window, c.after.Sub(at), most)
		}
	}
}

// TestBatchWindow: what comes within the window is one commit.
func TestBatchWindow(t *testing.T) {
	runWith(t, newFakeLeaf(), func(c *Config) { c.BatchWindow = 5 * time.Second }, func(t *testing.T, a running) {
		for n := range 3 {
			a.leaf.plug(peer(n+1, 1))
			a.after(2 * time.Second)
		}
		a.want(t, 0)
		a.after(3 * time.Second)
		a.want(t, 1, peer(1, 1), peer(2, 1), peer(3, 1))
	})
}

// TestCommitRate: one stanza a poll is not one commit a poll for ever.
func TestCommitRate(t *testing.T) {
	runWith(t, newFakeLeaf(), func(c *Config) { c.CommitRate, c.CommitBurst = 2, 3 }, func(t *testing.T, a running) {
		var peers []netip.Addr
		for n := range 150 { // five minutes
			peers = append(peers, peer(n+1, n%4))
			a.leaf.plug(peers[n])
			a.after(2 * time.Second)
		}
		if n := len(a.leaf.commits); n < 12 || n > 14 {
			t.Errorf("%d commits in 5 minutes, at 2 a minute and 3 at once", n)
		}
		a.after(time.Minute)
		if len(a.leaf.stanzas) != len(peers) {
			t.Errorf("%d of %d have a stanza", len(a.leaf.stanzas), len(peers))
		}
	})
}

// TestQuarantineSearches: a leaf that refuses without a word about which stanza it means.
func TestQuarantineSearches(t *testing.T) {
	for _, bad := range [][]int{{7}, {0, 99}, {3, 4, 50, 51, 80}} {
		t.Run(fmt.Sprint(bad), func(t *testing.T) {
			q, now := newQuarantine(), epoch
			isBad, waiting := map[junos.Place]bool{}, []junos.Stanza{}
			for n := range 100 {
				s := stanza(peer(n+1, n%4))
				isBad[s.Place()] = slices.Contains(bad, n)
				waiting = append(waiting, s)
			}
			attempts := 0
			for ; len(waiting) > len(bad) && attempts < 500; attempts++ {
				p := planned(waiting...)
				q.settle(p.change)
				p = q.cut(q.filter(now, p))
				now = now.Add(time.Second)
				if p.empty() {
					continue
				}
				if slices.ContainsFunc(p.change.Add, func(s junos.Stanza) bool { return isBad[s.Place()] }) {
					q.refused(now, p.change.Stanzas(), nil)
					continue
				}
				q.applied(p.change)
				waiting = slices.DeleteFunc(slices.Clone(waiting), func(s junos.Stanza) bool { return slices.Contains(p.change.Add, s) })
			}
			if most := 40 * len(bad); attempts > most {
				t.Errorf("%d attempts for %d bad ones of 100; %d still wait", attempts, len(bad), len(waiting))
			}
		})
	}
}

// TestQuarantineOfAll: a leaf that refuses all of them one by one is ill itself; they come back
// with the first that it takes.
func TestQuarantineOfAll(t *testing.T) {
	q, now := newQuarantine(), epoch
	all := []junos.Stanza{stanza(peer(1, 1)), stanza(peer(2, 2)), stanza(peer(3, 3))}
	for i, s := range all[:2] {
		if _, again := q.refused(now, []junos.Stanza{s}, nil); again != (i == 0) {
			t.Errorf("stanza %d: worth another attempt at once: %v", i, again)
		}
	}
	q.refused(now, all, all[2:])
	q.applied(junos.Change{})
	p := q.filter(now, planned(all...))
	if len(p.change.Add) != 2 || p.refused[peer(3, 3)] != quarantined {
		t.Errorf("after one was taken: %s", p)
	}
}

func TestRole(t *testing.T) {
	alone, one := newRole(0, time.Second), newRole(time.Minute, time.Second)
	if !alone.writer || alone.yield() || !alone.writer {
		t.Error("who is alone stands by")
	}
	if one.writer || one.patience < time.Minute || one.patience > 90*time.Second {
		t.Errorf("one of two begins as %+v", one)
	}
	if !one.write() || one.write() || !one.yield() || one.yield() || one.writer {
		t.Errorf("it goes on as %+v", one)
	}
}

func TestTrial(t *testing.T) {
	s := stanza(peer(1, 1))
	old := netip.MustParseAddr("fe80::9%ge-0/0/2.0")
	tr := trial{change: junos.Change{Add: []junos.Stanza{s}}, up: []junos.Session{{Peer: old, State: "Established", Flaps: 2, Elapsed: -1}}, begun: epoch, answered: epoch, patience: 30 * time.Second, window: 5 * time.Minute}
	there := tables{neighbors: []junos.Neighbor{router(peer(1, 1))}}
	left := tables{neighbors: []junos.Neighbor{spine}}
	oldUp := junos.Session{Peer: old, State: "Established", Flaps: 2, Elapsed: -1}
	in := func(state string) junos.Session { return junos.Session{Peer: peer(1, 1), State: state} }
	down := free(oldUp, in("Idle"))
	down.interfaces["ge-0/0/1.0"] = junos.Interface{Down: true}
	flapped := oldUp
	flapped.Flaps++
	tests := []struct {
		name  string
		after time.Duration
		seen  tables
		g     guards
		good  bool
		bad   string
	}{
		{"all up", 0, there, free(oldUp, in("Established")), true, ""},
		{"not yet", 0, there, free(oldUp, in("Connect")), false, ""},
		{"does not answer", 30 * time.Second, there, free(oldUp, in("Active")), true, ""},
		{"the leaf does not try", 30 * time.Second, there, free(oldUp, in("Idle")), false, ""},
		{"the leaf never tried", 150 * time.Second, there, free(oldUp, in("Idle")), false, "[fe80::1%ge-0/0/1.0] have not come up"},
		{"not listed", 150 * time.Second, there, free(oldUp), false, "have not come up"},
		{"port is down", 0, there, down, true, ""},
		{"left again, as it seems", 0, left, free(oldUp, in("Idle")), false, ""},
		{"left again", 30 * time.Second, left, free(oldUp, in("Idle")), true, ""},
		{"table is empty", 30 * time.Second, tables{}, free(oldUp, in("Idle")), false, ""},
		{"old one is down", 0, there, free(junos.Session{Peer: old, State: "Active"}, in("Established")), false, "was Established and is not"},
		{"old one is gone", 0, there, free(in("Established")), false, "was Established and is not"},
		{"old one has flapped", 0, there, free(flapped, in("Established")), false, "gone down and come up"},
	}
	for _, tt := range tests {
		good, bad := tr.judge(epoch.Add(tt.after), tt.seen, tt.g)
		if good != tt.good || (bad == nil) != (tt.bad == "") || bad != nil && !strings.Contains(bad.Error(), tt.bad) {
			t.Errorf("%s: %v, %v", tt.name, good, bad)
		}
	}
}

func TestDatabaseThatFillsUp(t *testing.T) {
	f := newFakeLeaf()
	f.full = junos.Usage{Used: 81, Maximum: 100}
	run(t, f, func(t *testing.T, a running) {
		a.after(time.Hour + time.Minute) // other looks may come first, for a poll each time
		if n := strings.Count(a.log.String(), "filling up"); n != 13 || testutil.ToFloat64(a.metrics.database.WithLabelValues("used")) != 81 {
			t.Errorf("logged %d times in an hour", n)
		}
	})
}

// TestBlockedByTheProof: nothing is committed, and it is said.
func TestBlockedByTheProof(t *testing.T) {
	p := planned(junos.Stanza{Group: "a b", Peer: peer(1, 1)}).guarded(free())
	if !p.empty() || p.blocked == nil || p.refused[peer(1, 1)] != unproven {
		t.Errorf("got %s, %v", p, p.blocked)
	}
}
