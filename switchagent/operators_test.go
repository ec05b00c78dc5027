package switchagent

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"lastmile/switchagent/junos"
)

const (
	takeAway   = "delete protocols bgp group servers neighbor fe80::1"
	redescribe = `set protocols bgp group servers neighbor fe80::1 description "lastmile: kept for ticket 7"`
)

// TestDriftRestored: what an operator takes away is put back, so often at most.
func TestDriftRestored(t *testing.T) {
	inEveryDatabase(t, func(t *testing.T, s *site) {
		s.disturbs = true // the operator does
		s.cfg.Restores = 2
		s.plug(1)
		s.plug(2)
		a := s.start()
		s.await("1 2")
		s.rest()
		for range 2 {
			s.edit(takeAway)
			s.await("1 2")
			s.rest()
		}
		s.edit(takeAway)
		s.rest()
		s.await("2")
		if n := testutil.ToFloat64(a.metrics.refused.WithLabelValues(string(drifted))); n != 1 || !s.logged("reason=drifted") {
			t.Errorf("%v are shown as drifted", n)
		}
		if n := testutil.ToFloat64(a.metrics.drift.WithLabelValues(driftRestore)); n != 2 {
			t.Errorf("%v restores counted", n)
		}
		s.unplug(1) // who leaves and comes back is somebody new
		s.rest()
		s.plug(1)
		s.await("1 2")
	})
}

// TestDriftLeftAlone: adopted or ignored, what an operator has made of a stanza stays.
func TestDriftLeftAlone(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{driftAdopt, driftIgnore} {
		for _, kind := range kinds {
			t.Run(policy+" "+string(kind), func(t *testing.T) {
				s := newSite(t, "", func(c *Config) { c.Database, c.Drift = kind, policy })
				s.disturbs = true // the operator does
				s.plug(1)
				s.plug(2)
				s.start()
				s.await("1 2")
				s.rest()
				s.edit(redescribe)
				s.rest()
				if !strings.Contains(s.device.Merged(), "kept for ticket 7") {
					t.Error("the description was overwritten")
				}
				s.unplug(1)
				if policy == driftIgnore {
					s.await("2")
				} else {
					time.Sleep(3 * s.cfg.HoldDown)
					s.rest()
					s.await("1 2")
				}
				s.rest()
				s.edit("delete protocols bgp group servers neighbor fe80::2")
				s.rest()
				if strings.Contains(s.stanzas(), "2") {
					t.Error("what was deleted is back")
				}
			})
		}
	}
}

// TestEstablishedIsDescribedAnew: an edit that no session feels is made while it is up.
func TestEstablishedIsDescribedAnew(t *testing.T) {
	t.Parallel()
	for _, load := range []junos.Load{junos.LoadMerge, junos.LoadReplace, junos.LoadUpdate} {
		t.Run(string(load), func(t *testing.T) {
			s := newSite(t, "", func(c *Config) { c.Load = load })
			s.plug(1)
			s.plug(2)
			s.start()
			s.await("1 2")
			s.edit(redescribe)
			s.eventually("the description is restored", func() bool { return !strings.Contains(s.device.Merged(), "ticket 7") })
			s.await("1 2")
			s.rest()
			if !s.world.Established("ge-0/0/1.0", "fe80::1") {
				t.Error("the session is down")
			}
		})
	}
}

// TestMarkDecides: in databases of others, a neighbour without the mark is theirs: it is not touched, nor
// is the one that had it and does not any more, nor one that is deactivated.
func TestMarkDecides(t *testing.T) {
	t.Parallel()
	for _, kind := range []junos.Kind{junos.Private, junos.Shared} {
		t.Run(string(kind), func(t *testing.T) {
			s := newSite(t, "", func(c *Config) { c.Database = kind })
			s.plug(1)
			s.plug(2)
			a := s.start()
			s.await("1 2")
			s.edit("set protocols bgp group servers neighbor fe80::1 description mine")
			s.edit("deactivate protocols bgp group servers neighbor fe80::2")
			committed := s.device.Committed()
			s.unplug(1)
			s.plug(2)
			s.eventually("it is somebody's", func() bool { return testutil.ToFloat64(a.metrics.refused.WithLabelValues(string(foreign))) == 1 })
			time.Sleep(2 * s.cfg.HoldDown)
			s.rest()
			if got := s.device.Committed(); got != committed {
				t.Errorf("the operator left\n%s\nand there is\n%s", committed, got)
			}
			s.disturbs = true // deactivating does
		})
	}
}

// TestReleaseThatCannot: what the release cannot do is said at the start, and nothing is done.
func TestReleaseThatCannot(t *testing.T) {
	s := newSite(t, "20.4R1", func(c *Config) { c.Load = junos.LoadUpdate })
	s.plug(1)
	s.start()
	s.eventually("it says so", func() bool { return s.logged("load: update needs Junos 21.1R1, this is 20.4R1") })
	s.wantChanges(0)
}

// TestTrialThatFails: a session that was up goes down after the commit. It is not confirmed, the
// leaf takes it back, and nobody else's commit can confirm it before.
func TestTrialThatFails(t *testing.T) {
	s := newSite(t, "", func(c *Config) { c.Database = junos.Shared })
	s.disturbs = true // the leaf, when it takes the commit back
	s.plug(1)
	a := s.start()
	s.await("1")
	s.world.SetSilent("ge-0/0/2.0", "fe80::2", true)
	s.plug(2)
	s.eventually("a trial begins", s.onTrial)
	s.world.SetSilent("ge-0/0/1.0", "fe80::1", true)
	s.eventually("it has failed", func() bool { return s.logged("was Established and is not any more") })
	if err := s.operator().Edit(t.Context(), "set system domain-name x.example"); err == nil {
		t.Error("an operator could commit, and confirm with it")
	}
	s.eventually("it is taken back", func() bool { return s.stanzas() == "1" })
	s.world.SetSilent("ge-0/0/1.0", "fe80::1", false)
	s.world.SetSilent("ge-0/0/2.0", "fe80::2", false)
	s.await("1 2")
	if testutil.ToFloat64(a.metrics.commits.WithLabelValues(resultUnconfirmed)) != 1 {
		t.Error("it is not counted")
	}
}

// TestTrialOfPeersThatDoNotAnswer: that a new server speaks no BGP is no reason to take its stanza
// back.
func TestTrialOfPeersThatDoNotAnswer(t *testing.T) {
	s := newSite(t, "", func(c *Config) { c.Database = junos.Shared })
	s.world.SetSilent("ge-0/0/1.0", "fe80::1", true)
	s.plug(1)
	s.plug(2)
	s.start()
	s.await("1 2")
	s.wantChanges(1)
}

// TestRestartDuringATrial: the next agent does not know what was up before. It confirms nothing,
// commits nothing until the leaf has taken the commit back, and then begins anew.
func TestRestartDuringATrial(t *testing.T) {
	s := newSite(t, "", func(c *Config) { c.Database, c.ConfirmAfter = junos.Shared, time.Hour })
	s.disturbs = true // the leaf, when it takes the commit back
	s.plug(1)
	s.world.SetSilent("ge-0/0/1.0", "fe80::1", true)
	first := s.start()
	s.eventually("a trial begins", s.onTrial)
	first.stop()
	s.world.SetSilent("ge-0/0/1.0", "fe80::1", false)
	second := s.start()
	s.plug(2)
	s.eventually("it waits", func() bool { return s.logged("an earlier commit is not confirmed yet") })
	s.eventually("it is taken back", func() bool {
		history := s.device.History()
		return history[len(history)-1].Database == "rollback" || strings.Contains(s.device.Merged(), "fe80::2 local")
	})
	s.await("1 2")
	if n := testutil.ToFloat64(second.metrics.commits.WithLabelValues(resultUnconfirmed)); n != 0 {
		t.Errorf("%v trials failed", n)
	}
	rolledBack := 0
	for _, c := range s.device.History() {
		if c.Database == "rollback" {
			rolledBack++
		}
	}
	if rolledBack != 1 {
		t.Errorf("%d rollbacks, want that of the first agent's commit", rolledBack)
	}
}

// TestTwoAgents: one writes, and the other takes over when it is gone, and only then.
func TestTwoAgents(t *testing.T) {
	inEveryDatabase(t, func(t *testing.T, s *site) {
		s.cfg.Takeover = 300 * time.Millisecond
		agents := []*onSite{s.start(), s.start()}
		writers := func() (n int) {
			for _, a := range agents {
				n += int(testutil.ToFloat64(a.metrics.writer))
			}
			return n
		}
		s.plug(1)
		s.await("1")
		for n := 2; n <= 5; n++ {
			s.plug(n)
			s.await("1 2 3 4 5"[:2*n-1])
		}
		s.rest()
		s.eventually("one writes", func() bool { return writers() == 1 })
		s.wantChanges(5)
		for i, a := range agents {
			if testutil.ToFloat64(a.metrics.writer) == 1 {
				a.stop()
				agents = agents[1-i : 2-i]
				break
			}
		}
		s.plug(6)
		s.await("1 2 3 4 5 6")
		s.eventually("the other writes", func() bool { return writers() == 1 })
		s.wantChanges(6)
	})
}

// TestManyServersGoneAtOnce: that is rather a fault of the table than the truth.
func TestManyServersGoneAtOnce(t *testing.T) {
	s := newSite(t, "", nil)
	for n := 1; n <= 8; n++ {
		s.plug(n)
	}
	a := s.start()
	s.await("1 2 3 4 5 6 7 8")
	for n := 1; n <= 6; n++ {
		s.unplug(n)
	}
	s.plug(9)
	s.await("1 2 3 4 5 6 7 8 9") // who is new is served
	s.eventually("it is held", func() bool { return testutil.ToFloat64(a.metrics.withheld) == 6 && a.Health() != nil })
	s.rest()
	for n := 1; n <= 4; n++ {
		s.plug(n)
	}
	s.await("1 2 3 4 7 8 9")
	s.eventually("it is over", func() bool { return testutil.ToFloat64(a.metrics.withheld) == 0 && a.Health() == nil })
}

// TestDatabaseUsageIsRead, as the device tells it.
func TestDatabaseUsageIsRead(t *testing.T) {
	inEveryDatabase(t, func(t *testing.T, s *site) {
		a := s.start()
		s.eventually("it is read", func() bool { return testutil.ToFloat64(a.metrics.database.WithLabelValues("maximum")) == 450<<20 })
	})
}
