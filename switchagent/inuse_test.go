package switchagent

import (
	"fmt"
	"strings"
	"testing"

	sim "lastmile/lab/junos"
)

const inUse = `
set protocols bgp group servers type external
set protocols bgp group servers peer-as 64512
set protocols bgp group servers family inet unicast
set protocols bgp group servers neighbor fe80::9 local-interface ge-0/0/2.0
`

// TestBootstrapOfAGroupInUse: what would end sessions of the group, or take their routes, is named and left
// alone, through NETCONF and the command line. All else is done.
func TestBootstrapOfAGroupInUse(t *testing.T) {
	for _, more := range []string{"", "set system services netconf ssh\n"} {
		t.Run(fmt.Sprintf("netconf %v", more != ""), func(t *testing.T) {
			s, o := newFactory(t, "21.4R1", inUse+more)
			s.plugAt("ge-0/0/2.0", "fe80::9")
			s.eventually("the session is up", func() bool { return s.world.Established("ge-0/0/2.0", "fe80::9") })
			r := s.bootstrap(o, true)
			if !r.Applied || len(r.Ended) > 0 {
				t.Errorf("%+v", r)
			}
			left := 0
			for _, other := range r.Other {
				if strings.HasPrefix(other.Wanted, "set protocols bgp group servers ") {
					left++
					if !strings.Contains(other.Is, "in use") || !strings.Contains(other.Is, "fe80::9") {
						t.Errorf("left alone: %+v", other)
					}
				}
			}
			if committed := s.device.Committed(); left < 8 || strings.Contains(committed, "group servers import") || !strings.Contains(committed, "lastmile-agent") {
				t.Errorf("%d left alone, and there is:\n%s", left, committed)
			}
			if disturbed := s.world.Disturbed(); len(disturbed) > 0 {
				t.Errorf("disturbed: %v", disturbed)
			}
			o.EndSessions = true
			printed := s.bootstrap(o, false)
			if len(printed.Ended) != 1 || printed.Ended[0] != "fe80::9" || printed.Applied || len(printed.Missing) != left {
				t.Errorf("printed: %+v", printed)
			}
			if r := s.bootstrap(o, true); !r.Applied || !strings.Contains(s.device.Committed(), "group servers import lastmile-reject") {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestBootstrapOfAGroupThatSleeps: a group whose neighbours are down is configured.
func TestBootstrapOfAGroupThatSleeps(t *testing.T) {
	s, o := newFactory(t, "21.4R1", inUse)
	if r := s.bootstrap(o, true); !r.Applied || !strings.Contains(s.device.Committed(), "group servers import lastmile-reject") {
		t.Errorf("%+v", r)
	}
}

// TestBootstrapDoesNotConfirm: while an operator's commit confirmed waits nothing is committed.
func TestBootstrapDoesNotConfirm(t *testing.T) {
	for _, profile := range []string{"18.4R1", "24.4R1"} {
		for _, more := range []string{"", "set system services netconf ssh\n"} {
			t.Run(fmt.Sprintf("%s netconf %v", profile, more != ""), func(t *testing.T) {
				s, o := newFactory(t, profile, more, func(c *sim.Config) { c.Minute = simMinute })
				s.confirmedByOperator()
				_, err := s.cfg.Bootstrap(t.Context(), o, true)
				if err == nil || !strings.Contains(err.Error(), "not confirmed yet: that of admin") {
					t.Errorf("error %v", err)
				}
				s.eventually("it is taken back", func() bool { return !strings.Contains(s.device.Committed(), "trial.example") })
				if r := s.bootstrap(o, true); !r.Applied {
					t.Errorf("%+v", r)
				}
			})
		}
	}
}
