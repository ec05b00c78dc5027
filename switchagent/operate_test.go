package switchagent

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	sim "lastmile/lab/junos"
	"lastmile/lab/sshkey"
	"lastmile/switchagent/junos"
)

func (s *site) operate() *Operation { return Operate(s.cfg, slog.New(slog.DiscardHandler)) }

func (s *site) plan() Preview {
	s.t.Helper()
	v, err := s.operate().Plan(s.t.Context())
	s.must(err)
	return v
}

// TestPlanApply: what plan prints apply commits, in one commit, and after that there is nothing to do.
func TestPlanApply(t *testing.T) {
	for _, profile := range sim.Profiles() {
		for _, kind := range kinds {
			t.Run(profile.Name+" "+string(kind), func(t *testing.T) {
				s := newSite(t, profile.Name, func(c *Config) {
					c.Database, c.Takeover, c.BatchWindow = kind, time.Hour, time.Minute // it does not wait for either
				})
				s.plug(1)
				s.plug(2)
				v := s.plan()
				want := `set protocols bgp group servers neighbor fe80::1 local-interface ge-0/0/1.0`
				if v.Added != 2 || !slices.Contains(v.Commands, want) || len(v.Ended) > 0 || v.Blocked != "" {
					t.Errorf("plan: %+v", v)
				}
				if s.stanzas() != "" {
					t.Fatal("plan has committed")
				}
				s.must(s.operateFast().Apply(t.Context()))
				s.await("1 2")
				s.wantChanges(1)
				s.eventually("sessions", func() bool { return s.world.EstablishedCount() >= 2 })
				if v := s.plan(); len(v.Commands) > 0 || v.Established != 2 {
					t.Errorf("plan after apply: %+v", v)
				}
				s.must(s.operateFast().Apply(t.Context()))
				s.wantChanges(1)
			})
		}
	}
}

// operateFast has the minute of the simulated leaf.
func (s *site) operateFast() *Operation {
	o := s.operate()
	o.agent.minute = simMinute
	return o
}

// TestApplyUnconfirmed: who interrupts apply leaves it to the leaf to take the commit back.
// endings hears what became of each commit.
type endings chan string

func (endings) Planned(Preview)                 {}
func (o endings) Ended(outcome string, _ error) { o <- outcome }

func TestApplyUnconfirmed(t *testing.T) {
	s := newSite(t, "21.4R1", func(c *Config) { c.Database, c.ConfirmAfter = junos.Shared, 30*time.Second })
	s.world.SetSilent("ge-0/0/1.0", "fe80::1", true)
	s.plug(1)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	o, pending := s.operateFast(), make(endings)
	o.Tell(pending)
	go func() { ended <- o.Apply(ctx) }()
	if outcome := <-pending; outcome != "pending" || s.stanzas() != "1" {
		t.Errorf("%s, and %q is there", outcome, s.stanzas())
	}
	cancel()
	go func() { <-pending }() // what became of it
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "takes the commit back") {
		t.Errorf("got %v", err)
	}
	s.await("")
}

func TestApplyRefused(t *testing.T) {
	s := newSite(t, "21.4R1", nil)
	s.plug(1)
	s.edit("set protocols bgp group servers neighbor fe80::9 local-interface ge-0/0/8.0")
	s.inject(`error text="database is read-only" count=all`)
	if err := s.operate().Apply(t.Context()); err == nil || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("got %v", err)
	}
	s.device.ClearFaults()
	s.must(s.operator().CommitPrivate(t.Context(), "deactivate protocols bgp group servers"))
	v, err := s.operate().Plan(t.Context())
	if err != nil || !strings.Contains(v.Blocked, "is deactivated") || len(v.Commands) > 0 {
		t.Errorf("plan: %+v %v", v, err)
	}
	if err := s.operate().Apply(t.Context()); err == nil || !strings.Contains(err.Error(), "is deactivated") {
		t.Errorf("got %v", err)
	}
	s.disturbs = true // the operator
}

// TestRollback: it removes what is ours, and without being told so ends no session.
func TestRollback(t *testing.T) {
	inEveryDatabase(t, func(t *testing.T, s *site) {
		s.plug(1)
		s.plug(2)
		s.must(s.operateFast().Apply(t.Context()))
		s.await("1 2")
		s.world.SetSilent("ge-0/0/1.0", "fe80::1", true)

		v, err := s.operateFast().Rollback(t.Context(), false, false)
		if err != nil || v.Removed != 1 || !slices.Equal(v.Commands, []string{"delete protocols bgp group servers neighbor fe80::1"}) {
			t.Errorf("printed: %+v %v", v, err)
		}
		s.await("1 2")
		_, err = s.operateFast().Rollback(t.Context(), false, true)
		s.must(err)
		s.await("2")
		if disturbed := s.world.Disturbed(); len(disturbed) > 0 {
			t.Errorf("disturbed: %q", disturbed)
		}
		v, err = s.operateFast().Rollback(t.Context(), true, true)
		if err != nil || len(v.Ended) != 1 || !strings.HasPrefix(v.Ended[0], "fe80::2") {
			t.Errorf("forced: %+v %v", v, err)
		}
		s.await("")
		s.disturbs = true
		if v, err := s.operateFast().Rollback(t.Context(), true, true); err != nil || len(v.Commands) > 0 {
			t.Errorf("again: %+v %v", v, err)
		}
	})
}

func TestShow(t *testing.T) {
	s := newSite(t, "18.4R1", nil)
	s.plug(1)
	s.must(s.operate().Apply(t.Context()))
	s.plugAt("ge-0/0/2.0", "fe80::1") // a twin, of which the release takes one
	s.unplug(1)
	s.plug(3)
	rows, err := s.operate().Show(t.Context())
	s.must(err)
	var lines []string
	for _, r := range rows {
		lines = append(lines, strings.Join([]string{r.Link, r.Address, r.State, r.Session, r.Refused}, " "))
	}
	want := []string{"ge-0/0/1.0 fe80::1  Active ", "ge-0/0/2.0 fe80::1 reachable  duplicate", "ge-0/0/3.0 fe80::3 reachable  "}
	if !slices.Equal(lines, want) {
		t.Errorf("rows: %q\nwant  %q", lines, want)
	}
}

// TestOperateByInventory: plan, apply and show know who is who, as the daemon does, and no key is shown.
func TestOperateByInventory(t *testing.T) {
	inEveryDatabase(t, func(t *testing.T, s *site) {
		key := filepath.Join(t.TempDir(), "key")
		s.must(os.WriteFile(key, []byte("Hush-4711\n"), 0o600))
		s.inventory("ge-0/0/1.0,bms1,4200000101,10.0.0.1/32,," + key + "\nge-0/0/2.0,bms2,4200000102,10.0.0.2/32,52:54:00:00:00:99,\n" +
			"ge-0/0/4.0,bms4,4200000104,,,\n")
		s.cfg.SessionsPerPort = 1
		s.plug(1)
		s.plug(2)
		s.plug(3)
		s.plugAt("ge-0/0/1.0", "fe80::8")
		v := s.plan()
		text := fmt.Sprintf("%+v", v)
		for _, want := range []string{"authentication-key ***", "set policy-options policy-statement lastmile-ge-0-0-1-0-", "route-filter 10.0.0.1/32 exact",
			"peer-as 4200000101", "fe80::2 Reason:mac_mismatch", "fe80::3 Reason:port_unknown", "Crowds:[{Link:ge-0/0/1.0 More:1}]"} {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in %s", want, text)
			}
		}
		s.must(s.operateFast().Apply(t.Context()))
		s.await("1")
		if v := s.plan(); len(v.Commands) > 0 {
			t.Errorf("plan after apply: %q", v.Commands)
		}
		listed, err := s.operate().Inventory(t.Context())
		s.must(err)
		var lines []string
		for _, l := range listed {
			for _, r := range l.Rows {
				lines = append(lines, strings.Join([]string{l.Server, l.Key, r.Address, r.Refused}, " "))
			}
		}
		if want := []string{"bms1 readable fe80::1 ", "bms1 readable fe80::8 port_full", "bms2  fe80::2 mac_mismatch"}; len(listed) != 3 || !slices.Equal(lines, want) {
			t.Errorf("%d are listed: %q\nwant %q", len(listed), lines, want)
		}
		if shown := fmt.Sprintf("%+v %+v", text, listed); strings.Contains(shown, "Hush") {
			t.Error("the key is shown")
		}
		if s.world.Established("ge-0/0/1.0", "fe80::1") { // only who wants to ends it
			s.disturbs = true
		}
		_, err = s.operateFast().Rollback(t.Context(), true, true)
		s.must(err)
		s.await("")
		if merged := s.device.Merged(); strings.Contains(merged, "lastmile-ge") {
			t.Errorf("policies are left: %s", merged)
		}
	})
}

// TestBadInventory: nothing is planned by one, and what is there can be taken back all the same.
func TestBadInventory(t *testing.T) {
	s := newSite(t, "21.4R1", nil)
	s.plug(1)
	s.must(s.operate().Apply(t.Context()))
	s.await("1")
	s.inventory("nonsense\n")
	_, planErr := s.operate().Plan(t.Context())
	_, listErr := s.operate().Inventory(t.Context())
	for what, err := range map[string]error{"plan": planErr, "apply": s.operate().Apply(t.Context()), "inventory": listErr} {
		if err == nil || !strings.Contains(err.Error(), "inventory.csv:2:") {
			t.Errorf("%s: %v", what, err)
		}
	}
	s.disturbs = true
	_, err := s.operate().Rollback(t.Context(), true, true)
	s.must(err)
	s.await("")
	s.cfg.Inventory, s.cfg.Unknown = "", unknownAccept
	if _, err := s.operate().Inventory(t.Context()); err == nil || !strings.Contains(err.Error(), "no inventory is configured") {
		t.Errorf("without one: %v", err)
	}
}

// TestNativeDiscovery: where Junos discovers neighbours by itself, nothing is added, also if only the name of
// a range is in the statement.
func TestNativeDiscovery(t *testing.T) {
	const discover = "set protocols bgp group auto dynamic-neighbor d peer-auto-discovery "
	for _, tt := range []struct{ profile, lines string }{
		{"21.4R1", discover + "interface ge-0/0/1.0\nset protocols bgp group auto type external"},
		{"24.4R1", discover + "interface servers\nset interfaces interface-range servers member ge-0/0/1"},
	} {
		t.Run(tt.profile, func(t *testing.T) {
			s := newSite(t, tt.profile, nil)
			s.must(s.operator().CommitPrivate(t.Context(), discover+"family inet6 ipv6-nd\n"+tt.lines))
			s.plug(1)
			s.plug(2)
			s.start()
			s.await("2")
			s.rest()
			if !s.logged("reason=native_discovery") {
				t.Error("it does not say why")
			}
		})
	}
}

// TestLoginRefused: who is refused waits long, and is back at once with the right key.
func TestLoginRefused(t *testing.T) {
	s := newSite(t, "21.4R1", nil)
	good := s.cfg.Key
	s.cfg.Key += "2"
	sshkey.ForTest(t, sshkey.Ed25519, s.cfg.Key)
	s.start()
	s.eventually("it is refused", func() bool { return s.logged("unable to authenticate") })
	s.plug(1)
	key, err := os.ReadFile(good)
	s.must(err, os.WriteFile(s.cfg.Key, key, 0o600))
	begun := time.Now()
	s.await("1")
	if took := time.Since(begun); took > 14*time.Second { // of a pause of 15 s to 30 s
		t.Errorf("back after %s", took)
	}
}
