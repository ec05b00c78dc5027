package switchagent

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	sim "lastmile/lab/junos"
	"lastmile/switchagent/junos"
)

// TestFaultsOfACommit: whatever goes wrong around one commit, its change takes effect exactly once,
// and the agent then rests. site.check adds that no session was disturbed and no lock stays.
func TestFaultsOfACommit(t *testing.T) {
	t.Parallel()
	faults := map[string][]string{
		"session drops after the load":          {"drop rpc=load-configuration"},
		"session drops before the load":         {"reset-before rpc=load-configuration"},
		"session drops at the open":             {"drop rpc=open-configuration|lock-configuration"},
		"session drops at the close":            {"drop rpc=close-configuration|unlock-configuration"},
		"commit took effect, reply lost":        {"reset-after"},
		"commit did not take effect":            {"reset-before"},
		"reply cut in the middle":               {"drop rpc=commit-configuration after=60"},
		"reply malformed":                       {"malformed rpc=commit-configuration text=rpc-reply"},
		"lost twice, once with and without":     {"reset-after", "reset-before nth=2"},
		"locked for a while":                    {"lock rpc=open-configuration|lock-configuration delay=700ms"},
		"lock on the other engine":              {"error count=2"},
		"commit refused, nobody knows why":      {`error text="configuration check-out failed" count=2`},
		"commit refused for others' statements": {`error text="Only unit 0 is valid for ge-0/0/7" count=2`},
		"database full for a while":             {"full count=2"},
		"noise before the replies":              {"noise count=20"},
		"replies byte by byte":                  {"dribble count=12 delay=100us"},
		"another commits in between":            {"writer"},
		"table read short":                      {"truncate count=5"},
	}
	for name, list := range faults {
		t.Run(name, func(t *testing.T) {
			inEveryDatabase(t, func(t *testing.T, s *site) {
				s.inject(list...)
				s.start()
				s.plug(1)
				s.plug(2)
				s.await("1 2")
				s.rest()
				added, takenBack := 0, 0
				for _, c := range s.device.History() {
					if n := strings.Count(c.Diff, "local-interface"); c.Database == "rollback" {
						takenBack += n
					} else {
						added += n
					}
				}
				// A trial whose session is lost is taken back by the device, and begun anew.
				if added-takenBack != 2 || takenBack > 0 && s.cfg.Database != junos.Shared {
					t.Errorf("2 servers, and %d stanzas were added and %d taken back", added, takenBack)
				}
			})
		})
	}
}

// TestEstablishedOutlivesFaultsOfTheTable: what could not be seen was not absent.
func TestEstablishedOutlivesFaultsOfTheTable(t *testing.T) {
	t.Parallel()
	for _, fault := range []string{"empty count=40", "truncate count=40", `error rpc=get-ipv6-nd-information count=40 text="daemon is not running"`, "drop rpc=get-ipv6-nd-information after=300 count=3"} {
		t.Run(fault, func(t *testing.T) {
			s := newSite(t, "", nil)
			s.plug(1)
			s.plug(2)
			s.start()
			s.await("1 2")
			s.inject(fault)
			s.eventually("the faults are over", func() bool { return len(s.device.Faults()) == 0 })
			s.rest()
			s.wantChanges(1)
		})
	}
}

// TestDirtyCandidate: an operator's unfinished edits are neither committed nor discarded, nor is
// anything committed beside them where the switch cannot keep them apart.
func TestDirtyCandidate(t *testing.T) {
	inEveryDatabase(t, func(t *testing.T, s *site) {
		o := s.operator()
		s.must(o.Edit(t.Context(), "set system domain-name half-done.example\nset protocols bgp group servers neighbor fe80::1 description mine"))
		dirty := s.device.Candidate()
		a := s.start()
		s.plug(1)
		if s.cfg.Database == junos.Ephemeral {
			s.await("1")
		} else {
			s.eventually("the agent waits", func() bool { return testutil.ToFloat64(a.metrics.commits.WithLabelValues(resultDirty)) > 0 })
			s.rest()
		}
		if got := s.device.Candidate(); got != dirty {
			t.Errorf("the operator's candidate was\n%s\nand is\n%s", dirty, got)
		}
		if strings.Contains(s.device.Committed(), "half-done") {
			t.Error("the operator's edits were committed")
		}
		s.must(o.Discard(t.Context()))
		s.await("1")
		s.wantChanges(1)
	})
}

// TestLockIsWaitedFor: with its holder in the log, and without a session of others being ended.
func TestLockIsWaitedFor(t *testing.T) {
	inEveryDatabase(t, func(t *testing.T, s *site) {
		o := s.operator()
		if s.cfg.Database == junos.Ephemeral {
			s.must(o.Open(t.Context(), "lastmile"))
		} else {
			s.must(o.Lock(t.Context()))
		}
		a := s.start()
		s.plug(1)
		s.eventually("the agent has tried", func() bool { return testutil.ToFloat64(a.metrics.commits.WithLabelValues(resultLocked)) > 1 })
		if !s.logged("admin") || testutil.ToFloat64(a.metrics.locked) == 0 {
			t.Errorf("waiting %v s for a lock whose holder is not logged", testutil.ToFloat64(a.metrics.locked))
		}
		s.wantChanges(0)
		if s.cfg.Database == junos.Ephemeral {
			s.must(o.CloseConfiguration(t.Context()))
		} else {
			s.must(o.Unlock(t.Context()))
		}
		s.await("1")
		s.wantChanges(1)
		if _, err := o.RPC(t.Context(), "<get-configuration-database-status/>"); err != nil {
			t.Errorf("the operator's session: %v", err)
		}
	})
}

// TestBadNeighborIsPutAside: the leaf refuses one of many, and the others have their stanza.
func TestBadNeighborIsPutAside(t *testing.T) {
	t.Parallel()
	for _, rpc := range []string{"load-configuration", "commit-configuration"} {
		t.Run(rpc, func(t *testing.T) {
			inEveryDatabase(t, func(t *testing.T, s *site) {
				s.inject(`refuse text="neighbor fe80::2" count=all rpc=` + rpc)
				for n := 1; n <= 9; n++ {
					s.plug(n)
				}
				a := s.start()
				s.await("1 3 4 5 6 7 8 9")
				s.wantChanges(1)
				if !s.logged("neighbour quarantined") || testutil.ToFloat64(a.metrics.quarantined) != 1 {
					t.Error("nobody is told")
				}
				s.device.ClearFaults()
				s.await("1 2 3 4 5 6 7 8 9")
				s.wantChanges(2)
			})
		})
	}
}

// TestSlowCommitCollectsWhatComes: what happens during a commit is one more, not one each.
func TestSlowCommitCollectsWhatComes(t *testing.T) {
	s := newSite(t, "", nil)
	s.inject("slow delay=1s")
	s.start()
	s.plug(1)
	s.eventually("the first commit is under way", func() bool { return s.device.OpenedBy("lastmile") != "" })
	for n := 2; n <= 9; n++ {
		s.plug(n)
	}
	s.await("1 2 3 4 5 6 7 8 9")
	s.wantChanges(2)
}

// TestRebootedLeafIsFilledInOneCommit: with the session lost, as a reboot does.
func TestRebootedLeafIsFilledInOneCommit(t *testing.T) {
	inEveryDatabase(t, func(t *testing.T, s *site) {
		s.disturbs = true // the reboot does
		for n := 1; n <= 5; n++ {
			s.plug(n)
		}
		s.start()
		s.await("1 2 3 4 5")
		s.must(s.device.Reboot(t.Context()))
		s.await("1 2 3 4 5")
		s.rest()
		if want := 2; s.cfg.Database == junos.Ephemeral {
			s.wantChanges(want)
		} else {
			s.wantChanges(1) // the static configuration is on disk
		}
	})
}

// TestNeighborsThatFlap: they cost no more commits than the rate allows, and
// no session.
func TestNeighborsThatFlap(t *testing.T) {
	s := newSite(t, "", func(c *Config) { c.CommitRate, c.CommitBurst = 60, 3 })
	s.plug(1)
	s.start()
	s.await("1")
	begin := time.Now()
	for i := range 150 {
		table := []sim.Neighbor{
			{Address: "fe80::201", MAC: "52:54:00:00:00:99", State: "reachable", Interface: "et-0/0/48.0", Router: true},
			{Address: "fe80::1", MAC: "52:54:00:00:00:01", State: []string{"stale", "delay", "probe", "reachable"}[i%4], Interface: "ge-0/0/1.0", Router: true},
			{Address: fmt.Sprintf("fe80::%x", 0x1000+i), MAC: "52:54:00:00:00:02", State: "reachable", Interface: "ge-0/0/2.0", Router: true},
		}
		s.world.SetNeighbors(table)
		time.Sleep(20 * time.Millisecond)
	}
	made, took := len(s.changes()), time.Since(begin)
	if most := 3 + 1 + int(took.Seconds()); made > most {
		t.Errorf("%d commits in %v", made, took)
	}
}

// TestAnotherCardInTheSameServer: the new address has its stanza before the old one has lost its own.
func TestAnotherCardInTheSameServer(t *testing.T) {
	inEveryDatabase(t, func(t *testing.T, s *site) {
		s.plug(1)
		s.start()
		s.await("1")
		s.unplug(1)
		s.plugAt("ge-0/0/1.0", "fe80::aa")
		has := func(address string) bool {
			return strings.Contains(s.device.Merged(), "neighbor "+address+" local-interface ge-0/0/1.0")
		}
		s.eventually("the new card has a stanza", func() bool { return has("fe80::aa") })
		s.eventually("the old card has none", func() bool { return !has("fe80::1") })
		s.rest()
		if n := len(s.changes()); n > 3 {
			t.Errorf("%d commits", n)
		}
	})
}

// TestSameAddressOnTwoPorts: before 20.4R1 the first keeps it, and nothing moves to and fro.
func TestSameAddressOnTwoPorts(t *testing.T) {
	s := newSite(t, "18.4R1", nil)
	s.plug(1)
	a := s.start()
	s.await("1")
	s.plugAt("ge-0/0/2.0", "fe80::1")
	s.eventually("it is counted", func() bool { return testutil.ToFloat64(a.metrics.refused.WithLabelValues(string(duplicate))) == 1 })
	s.rest()
	s.wantChanges(1)
}

// TestSameAddressOnBothPorts: from 20.4R1 on the leaf can tell them apart.
func TestSameAddressOnBothPorts(t *testing.T) {
	inEveryDatabase(t, func(t *testing.T, s *site) {
		s.plug(1)
		s.start()
		s.await("1")
		s.plugAt("ge-0/0/2.0", "fe80::1")
		s.eventually("both have a stanza", func() bool {
			return strings.Contains(s.device.Merged(), "local-interface ge-0/0/1.0") && strings.Contains(s.device.Merged(), "local-interface ge-0/0/2.0")
		})
		s.rest()
		s.wantChanges(2)
	})
}

// TestPortThatIsNotThere: the leaf is not asked to configure what it does not have.
func TestPortThatIsNotThere(t *testing.T) {
	s := newSite(t, "", nil)
	a := s.start()
	s.plugAt("ge-0/0/77.0", "fe80::77")
	s.plug(1)
	s.await("1")
	s.rest()
	s.wantChanges(1)
	if n := testutil.ToFloat64(a.metrics.refused.WithLabelValues(string(unknownInterface))); n != 1 {
		t.Errorf("%v are counted", n)
	}
}
