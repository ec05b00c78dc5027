package worker

import (
	"testing"
	"time"

	"lastmile/hostagent/bfd"
)

// TestAdminDownIsTold: what a session that is down hears of its peer's administrator
// changes no state, and is told once all the same.
func TestAdminDownIsTold(t *testing.T) {
	now := monotonic()
	timers := bfd.Timers{Transmit: time.Second, Receive: time.Second, Multiplier: 3}
	machine, err := bfd.New(bfd.Config{Discriminator: 1, Timers: timers}, now)
	if err != nil {
		t.Fatal(err)
	}
	s := &session{machine: machine}
	hear := func(state bfd.State, told bool) {
		t.Helper()
		s.unreported, now = false, now+time.Millisecond
		p := bfd.Packet{State: state, MyDiscriminator: 9, Multiplier: 3, DesiredMinTx: time.Second, RequiredMinRx: time.Second}
		if drop := s.receive(&p, now); drop != bfd.Accepted {
			t.Fatal(drop)
		}
		if s.unreported != told {
			t.Errorf("told of %v: %v, want %v", state, s.unreported, told)
		}
	}
	hear(bfd.AdminDown, true)
	hear(bfd.AdminDown, false)
	hear(bfd.AdminDown, false)
	s.leaving = true
	machine.Tick(now + time.Hour) // the peer is forgotten
	now += time.Hour
	hear(bfd.AdminDown, false)
}
