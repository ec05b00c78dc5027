package switchagent

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"lastmile/switchagent/junos"
)

// TestApplyLeavesOneOut: what the leaf refuses of one neighbour keeps no other from its stanza.
func TestApplyLeavesOneOut(t *testing.T) {
	s := newSite(t, "21.4R1", nil)
	for n := 1; n <= 3; n++ {
		s.plug(n)
	}
	s.inject("refuse text=ge-0/0/2.0 count=all")
	o, h := s.operateFast(), &heard{}
	o.Tell(h)
	err := o.Apply(t.Context())
	if !errors.Is(err, ErrRemains) || !strings.Contains(err.Error(), "fe80::2%ge-0/0/2.0: ") {
		t.Errorf("got %v\ntold %q", err, h.said)
	}
	s.await("1 3")
}

// TestApplyReadsBack: a session that ends with the commit, before or after the leaf has made it.
func TestApplyReadsBack(t *testing.T) {
	for _, fault := range []string{"reset-after rpc=commit-configuration", "reset-before rpc=commit-configuration", "malformed rpc=commit-configuration"} {
		t.Run(fault, func(t *testing.T) {
			inEveryDatabase(t, func(t *testing.T, s *site) {
				s.plug(1)
				s.inject(fault)
				o, h := s.operateFast(), &heard{}
				o.Tell(h)
				if err := o.Apply(t.Context()); err != nil {
					t.Errorf("%v\ntold %q", err, h.said)
				}
				s.await("1")
				s.eachOnce("+1")
			})
		})
	}
}

// TestPlanDuringATrial: what the leaf may take back is not done.
func TestPlanDuringATrial(t *testing.T) {
	s := newSite(t, "21.4R1", func(c *Config) { c.Database, c.ConfirmAfter = junos.Shared, 30*time.Second })
	s.world.SetSilent("ge-0/0/1.0", "fe80::1", true)
	s.plug(1)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.operateFast().Apply(ctx) }()
	s.eventually("the commit is on trial", func() bool { return s.stanzas() == "1" })
	cancel()
	<-ended
	if v := s.plan(); len(v.Commands) > 0 || !strings.Contains(v.Unconfirmed, "not confirmed yet") {
		t.Errorf("plan: %+v", v)
	}
	if err := s.operateFast().Apply(t.Context()); !errors.Is(err, ErrRemains) {
		t.Errorf("apply: %v", err)
	}
	s.await("")
	if v := s.plan(); v.Added != 1 || v.Unconfirmed != "" {
		t.Errorf("plan after it: %+v", v)
	}
}

// TestPlanSaysWhatIsAbsent: a server that is there has not gone, whatever becomes of its stanza.
func TestPlanSaysWhatIsAbsent(t *testing.T) {
	s := newSite(t, "21.4R1", nil)
	s.plug(1)
	s.plug(2)
	s.must(s.operateFast().Apply(t.Context()))
	s.await("1 2")
	s.unplug(2)
	s.cfg.Interfaces = []string{"ge-0/0/2.0", "ge-0/0/3.0"}
	if v := s.plan(); len(v.Absent) != 2 || v.Absent[0].Reason != absentNotMeant || v.Absent[1].Reason != absentGone {
		t.Errorf("another port: %+v", v.Absent)
	}
	s.cfg.Interfaces, s.cfg.Group = []string{"ge-0/0/*.0"}, "server"
	if v := s.plan(); len(v.Absent) != 2 || v.Absent[0].Reason != absentOtherGroup {
		t.Errorf("another group: %+v", v.Absent)
	}
}

// TestPlanSaysWhatWaits: the statements that a session in service keeps from being changed are named.
func TestPlanSaysWhatWaits(t *testing.T) {
	s := newSite(t, "21.4R1", nil)
	s.plug(1)
	s.must(s.operateFast().Apply(t.Context()))
	s.await("1")
	s.eventually("it is up", func() bool { return s.world.Established("ge-0/0/1.0", "fe80::1") })
	s.inventory("ge-0/0/1.0,bms1,64512,10.0.0.1/32,,\n")
	v := s.plan()
	text := strings.Join(v.Waiting, "\n")
	if !strings.Contains(text, "peer-as 64512") || strings.Contains(text, "description") || v.Served != 1 || v.Established != 1 {
		t.Errorf("plan: %+v", v)
	}
	for _, command := range v.Commands {
		if strings.Contains(command, "peer-as") {
			t.Errorf("%s", command)
		}
	}
}

// TestPlanAfterAnotherDatabase: it says where else the peer may be from.
func TestPlanAfterAnotherDatabase(t *testing.T) {
	s := newSite(t, "21.4R1", func(c *Config) { c.Database = junos.Private })
	s.plug(1)
	s.must(s.operateFast().Apply(t.Context()))
	s.await("1")
	s.cfg.Database = junos.Ephemeral
	v := s.plan()
	if len(v.Refused) != 1 || v.Refused[0].Reason != string(foreign) || len(v.Notes) != 1 || !strings.Contains(v.Notes[0], "database that was configured before") {
		t.Errorf("plan: %+v", v)
	}
	s.cfg.Database = junos.Private
}

// TestPlanReadOnly: what would be committed is seen through the command line too.
func TestPlanReadOnly(t *testing.T) {
	s, o := newFactory(t, "21.4R1", "")
	s.bootstrap(o, true)
	s.cfg.Transport, s.cfg.Target = transportCLI, o.CLI
	s.plug(1)
	v := s.plan()
	if v.Added != 1 || len(v.Commands) == 0 || !strings.Contains(v.Blocked, "only reads") || len(v.Refused) != 1 || v.Refused[0].Reason != string(readsOnly) {
		t.Errorf("plan: %+v", v)
	}
	if err := s.operateFast().Apply(t.Context()); err == nil || errors.Is(err, ErrRemains) || !strings.Contains(err.Error(), "only reads") {
		t.Errorf("apply: %v", err)
	}
}
