package worker

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lastmile/hostagent/bfd"
)

// TestRescueTimer fires when the loop is away, and not while it turns.
func TestRescueTimer(t *testing.T) {
	const interval = 200 * time.Millisecond
	timers := bfd.Timers{Transmit: interval, Receive: interval, Multiplier: 3}
	p := newPair(t, timers, timers)
	w := p.ours
	timer, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	w.rescue.timer = timer
	t.Cleanup(func() { unix.Close(timer) })
	fired := func() bool {
		var times [8]byte
		_, err := unix.Read(timer, times[:])
		return err == nil
	}
	late := w.sessions[0].counters.Late
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); p.turn(p.ours, p.theirs) {
		if fired() && w.sessions[0].counters.Late == late {
			// Unless the machine held us up after the turn.
			if p.turn(p.ours); w.sessions[0].counters.Late == late {
				t.Fatal("it fired though the loop was in time")
			}
		}
		late = w.sessions[0].counters.Late
	}
	for away := time.Now(); !fired(); time.Sleep(time.Millisecond) {
		if time.Since(away) > 20*time.Second {
			t.Fatal("the loop is away, and nobody notices")
		}
	}
	// Nothing is due any more, so nobody is late.
	w.sessions[0].leave(monotonic())
	p.until("an end of the session", func() bool { return len(w.sessions) == 0 })
	p.turn(p.ours)
	var its unix.ItimerSpec
	if err := unix.TimerfdGettime(timer, &its); err != nil || its.Value != (unix.Timespec{}) {
		t.Errorf("with no session it is set to %v (%v)", its.Value, err)
	}
	if n := testing.AllocsPerRun(1000, func() {
		w.rescue.at = monotonic() + time.Hour
		if err := w.rescue.arm(); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestExpectLate: what is due first is not always late first.
func TestExpectLate(t *testing.T) {
	session := func(transmit time.Duration) *session {
		m, err := bfd.New(bfd.Config{Discriminator: 1, Timers: bfd.Timers{Transmit: transmit, Receive: time.Second, Multiplier: 3}}, 0)
		if err != nil {
			t.Fatal(err)
		}
		return &session{machine: m}
	}
	slow, slower := session(4*time.Second), session(8*time.Second) // they are Down: a second at least
	for name, test := range map[string]struct {
		ofSlow, ofSlower, now, want time.Duration
	}{
		"none":                {bfd.Never, bfd.Never, 0, 0},
		"the first":           {10 * time.Second, 20 * time.Second, 0, 11 * time.Second},
		"the second":          {12 * time.Second, 10 * time.Second, 0, 12 * time.Second},
		"due first, not it":   {10500 * time.Millisecond, 10 * time.Second, 0, 11500 * time.Millisecond},
		"from when we looked": {time.Second, 20 * time.Second, 10 * time.Second, 11 * time.Second},
	} {
		var r rescue
		r.expectLate(slow, test.ofSlow, test.now)
		r.expectLate(slower, test.ofSlower, test.now)
		if r.at != test.want {
			t.Errorf("%s: %v, want %v", name, r.at, test.want)
		}
	}
}
