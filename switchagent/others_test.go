package switchagent

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	sim "lastmile/lab/junos"
	"lastmile/switchagent/junos"
)

// about is the lines of the effective configuration that have the text in them.
func (s *site) about(text string) (found []string) {
	for line := range strings.Lines(s.device.Merged()) {
		if strings.Contains(line, text) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

// polls waits until each agent has looked a few times more.
func (s *site) polls() {
	s.t.Helper()
	before := s.device.Stats().RPCs
	s.eventually("ten polls", func() bool { return s.device.Stats().RPCs >= before+10*3*max(len(s.agents), 1) })
}

// TestOperatorsNeighborIsNotTaken: a server takes the link-local address of a neighbour that the operator
// has on another port, in the same group. The operator's statement and session stay as they are. From
// 20.4R1 on the server gets a statement of its own beside it, before that it is refused.
func TestOperatorsNeighborIsNotTaken(t *testing.T) {
	for _, profile := range sim.Profiles() {
		for _, kind := range kinds {
			t.Run(profile.Name+" "+string(kind), func(t *testing.T) {
				s := newSite(t, profile.Name, func(c *Config) { c.Database = kind })
				s.plugAt("ge-0/0/9.0", "fe80::ff")
				s.eventually("the operator's session is up", func() bool { return s.world.Established("ge-0/0/9.0", "fe80::ff") })
				before := s.about("neighbor fe80::ff ")
				s.plugAt("ge-0/0/1.0", "fe80::ff")
				a := s.start()
				if profile.Name == "18.4R1" {
					s.eventually("it is refused", func() bool { return testutil.ToFloat64(a.metrics.refused.WithLabelValues(string(foreign))) > 0 })
				} else {
					s.eventually("it has a session", func() bool { return s.world.Established("ge-0/0/1.0", "fe80::ff") })
					if len(s.about("neighbor fe80::ff%ge-0/0/1.0 local-interface ge-0/0/1.0")) != 1 {
						t.Error("it has no statement of its own")
					}
				}
				s.rest()
				if after := s.about("neighbor fe80::ff "); !slices.Equal(before, after) {
					t.Errorf("the operator's neighbour was\n%s\nand is\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
				}
				if !s.world.Established("ge-0/0/9.0", "fe80::ff") {
					t.Error("the operator's session is down")
				}
			})
		}
	}
}

// loads is all ways to load that a database takes.
func loads(kind junos.Kind) []junos.Load {
	if kind == junos.Ephemeral {
		return []junos.Load{junos.LoadMerge, junos.LoadReplace, junos.LoadUpdate}
	}
	return []junos.Load{junos.LoadMerge, junos.LoadReplace}
}

// TestEditTouchesOnlyItsStatement: what an operator has added to our neighbour stays, and its session up,
// when a statement of it is changed that no session notices.
func TestEditTouchesOnlyItsStatement(t *testing.T) {
	for _, kind := range kinds {
		for _, load := range loads(kind) {
			t.Run(string(kind)+" "+string(load), func(t *testing.T) {
				s := newSite(t, "24.4R1", func(c *Config) { c.Database, c.Load, c.PrefixLimit = kind, load, 100 })
				s.inventory("ge-0/0/1.0,bms1,4200000101,10.0.0.1/32,,\nge-0/0/2.0,bms2,4200000102,10.0.0.2/32,,\n")
				s.plug(1)
				s.start()
				s.await("1")
				s.rest()
				s.disturbs = true // the operator does, once
				s.edit("set protocols bgp group servers neighbor fe80::1 hold-time 9\n" +
					"set protocols bgp group servers neighbor fe80::1 family evpn signaling\n")
				s.rest()
				disturbed := len(s.world.Disturbed())
				s.edit(redescribe)
				s.eventually("the description is restored", func() bool { return len(s.about("ticket 7")) == 0 })
				s.plug(2)
				s.await("1 2")
				s.rest()
				if len(s.about("fe80::1 hold-time 9")) != 1 || len(s.about("fe80::1 family evpn")) != 1 {
					t.Errorf("what the operator has added is gone: %q", s.about("fe80::1 "))
				}
				if got := s.world.Disturbed(); len(got) != disturbed || !s.world.Established("ge-0/0/1.0", "fe80::1") {
					t.Errorf("disturbed: %v", got)
				}
			})
		}
	}
}

// TestUpdateLeavesOthersAlone: an instance that holds somebody's statements is not written as a whole.
func TestUpdateLeavesOthersAlone(t *testing.T) {
	s := newSite(t, "", func(c *Config) { c.Load = junos.LoadUpdate })
	s.edit("set policy-options community theirs members 65001:7")
	s.plug(1)
	s.start()
	s.await("1")
	s.plug(2)
	s.await("1 2")
	s.wantChanges(2)
	if len(s.about("community theirs members 65001:7")) != 1 {
		t.Error("what is somebody's is gone")
	}
}

// confirmedByOperator has an operator commit something that the leaf takes back within a minute.
func (s *site) confirmedByOperator() (o *sim.Operator) {
	s.t.Helper()
	s.eventually("the leaf has booted", func() bool { return len(s.device.History()) > 0 })
	o = s.operator()
	s.must(o.Edit(s.t.Context(), "set system domain-name trial.example"))
	_, err := o.RPC(s.t.Context(), "<commit-configuration><confirmed/><confirm-timeout>1</confirm-timeout></commit-configuration>")
	s.must(err)
	return o
}

// TestOperatorsCommitIsNotConfirmed: while somebody's commit confirmed waits there is no commit that would
// confirm it: the leaf takes it back. Then we go on. An ephemeral instance is another matter.
func TestOperatorsCommitIsNotConfirmed(t *testing.T) {
	for _, profile := range []string{"18.4R1", "21.4R1", "24.4R1"} {
		for _, kind := range kinds {
			t.Run(profile+" "+string(kind), func(t *testing.T) {
				s := newSite(t, profile, func(c *Config) { c.Database = kind })
				a := s.start()
				s.polls()
				s.confirmedByOperator()
				s.plug(1)
				if kind == junos.Ephemeral {
					s.await("1")
				} else {
					s.eventually("it waits", func() bool { return testutil.ToFloat64(a.metrics.commits.WithLabelValues(resultAwaiting)) > 0 })
					s.eventually("it says so", func() bool { return s.logged("an earlier commit is not confirmed yet: that of admin") })
				}
				s.eventually("it is taken back", func() bool {
					return slices.ContainsFunc(s.device.History(), func(c sim.Change) bool { return c.Database == "rollback" })
				})
				if strings.Contains(s.device.Committed(), "trial.example") {
					t.Error("and is there all the same")
				}
				s.await("1")
				s.wantChanges(1)
			})
		}
	}
}

// TestOperatorConfirms: by a commit, which is the newest then, or by a commit check, which is none.
func TestOperatorConfirms(t *testing.T) {
	for _, confirm := range []string{"<commit-configuration/>", "<commit-configuration><check/></commit-configuration>"} {
		for _, profile := range []string{"21.4R1", "24.4R1"} {
			for _, kind := range kinds[1:] {
				t.Run(fmt.Sprintf("%s %s check %v", profile, kind, strings.Contains(confirm, "check")), func(t *testing.T) {
					s := newSite(t, profile, func(c *Config) { c.Database = kind })
					a := s.start()
					s.polls()
					o := s.confirmedByOperator()
					s.plug(1)
					s.eventually("it waits", func() bool { return testutil.ToFloat64(a.metrics.commits.WithLabelValues(resultAwaiting)) > 0 })
					_, err := o.RPC(t.Context(), confirm)
					s.must(err)
					if strings.Contains(confirm, "check") {
						s.inject("clock delay=3m") // the comment stays until its time is over
					}
					s.await("1")
					if !strings.Contains(s.device.Committed(), "trial.example") {
						t.Error("what was confirmed is gone")
					}
				})
			}
		}
	}
}

// TestPlanBesideAnOperatorsNeighbor: a plan for people knows it the first time, as it has no second.
func TestPlanBesideAnOperatorsNeighbor(t *testing.T) {
	s := newSite(t, "24.4R1", nil)
	s.plugAt("ge-0/0/1.0", "fe80::ff")
	s.eventually("the leaf has booted", func() bool { return len(s.device.History()) > 0 })
	o := Operate(s.cfg, slog.New(slog.DiscardHandler))
	v, err := o.Plan(t.Context())
	if err != nil || len(v.Refused) > 0 || !slices.Contains(v.Commands, "set protocols bgp group servers neighbor fe80::ff%ge-0/0/1.0 local-interface ge-0/0/1.0") {
		t.Errorf("%+v, %v", v, err)
	}
	s.must(Operate(s.cfg, slog.New(slog.DiscardHandler)).Apply(t.Context()))
	if !s.world.Established("ge-0/0/1.0", "fe80::ff") {
		t.Errorf("there is %q", s.about("fe80::ff"))
	}
}
