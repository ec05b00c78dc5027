package switchagent

import (
	"fmt"
	"testing"
)

// TestPlanSaysWhatIsNotAcceptedAnyMore: a change that touches no session may still cut a server off, and plan says
// so.
func TestPlanSaysWhatIsNotAcceptedAnyMore(t *testing.T) {
	s := newSite(t, "21.4R1", nil)
	const two = "ge-0/0/2.0,bms2,4200000102,10.0.0.2/32,,\n"
	s.inventory("ge-0/0/1.0,bms1,4200000101,10.0.0.1/32 10.1.0.0/24,,\n" + two)
	s.plug(1)
	s.plug(2)
	s.must(s.operate().Apply(t.Context()))
	s.await("1 2")
	for _, tt := range []struct{ name, rows, want string }{
		{"nothing", "ge-0/0/1.0,bms1,4200000101,10.0.0.1/32 10.1.0.0/24,,\n" + two, "[]"},
		{"one more", "ge-0/0/1.0,bms1,4200000101,10.0.0.1/32 10.1.0.0/24 10.2.0.0/24,,\n" + two, "[]"},
		{"one less", "ge-0/0/1.0,bms1,4200000101,10.0.0.1/32,,\n" + two, "[{ge-0/0/1.0 fe80::1 [10.1.0.0/24]}]"},
		{"another AS", "ge-0/0/1.0,bms1,4200000109,10.0.0.1/32 10.1.0.0/24,,\n" + two, "[{ge-0/0/1.0 fe80::1 [10.0.0.1/32 10.1.0.0/24]}]"},
		{"a port less", two, "[{ge-0/0/1.0 fe80::1 [10.0.0.1/32 10.1.0.0/24]}]"},
	} {
		s.inventory(tt.rows)
		v := s.plan()
		if got := fmt.Sprint(v.Withdrawn); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
		if gone := fmt.Sprint(v.Absent); tt.name == "a port less" && gone != "[{ge-0/0/1.0 fe80::1 unwanted}]" {
			t.Errorf("%s: %s", tt.name, gone)
		}
	}
	s.inventory("ge-0/0/1.0,bms1,4200000101,10.0.0.1/32 10.1.0.0/24,,\n" + two)
}

// TestAnotherASHoldsUpNobody: the AS of a port changes while its session is up. The others get their stanzas,
// and the policy of the port, of the new AS, is beside the old peer-as until the session is down.
func TestAnotherASHoldsUpNobody(t *testing.T) {
	inEveryDatabase(t, func(t *testing.T, s *site) {
		s.inventory("ge-0/0/1.0,bms1,4200000101,10.0.0.1/32,,\n")
		s.plug(1)
		s.must(s.operate().Apply(t.Context()))
		s.await("1")
		s.inventory("ge-0/0/1.0,bms1,4200000109,10.0.0.1/32,,\nge-0/0/2.0,bms2,4200000102,10.0.0.2/32,,\n")
		s.plug(2)
		s.must(s.operate().Apply(t.Context()))
		s.await("1 2")
	})
}
