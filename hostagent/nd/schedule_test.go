package nd

import (
	"testing"
	"time"
)

func TestAdvertisingBurstsThenKeepsTheInterval(t *testing.T) {
	start := time.Now()
	a := advertising{interval: 30 * time.Second}
	var at []time.Duration
	for now := start; len(at) < 50; now = a.sent(now) {
		at = append(at, now.Sub(start))
	}
	want := []time.Duration{0, 250 * time.Millisecond, time.Second, 4 * time.Second}
	for i, w := range want {
		if at[i] != w {
			t.Errorf("advertisement %d at %v, want %v", i, at[i], w)
		}
	}
	for i := len(want); i < len(at); i++ {
		wait := at[i] - at[i-1]
		if wait < 22*time.Second || wait > 30*time.Second {
			t.Errorf("wait %v before advertisement %d, want three quarters of 30s to 30s", wait, i)
		}
	}
}

func TestAdvertisingAnswersInTime(t *testing.T) {
	start := time.Now()
	for range 100 {
		a := advertising{interval: 30 * time.Second}
		last := start
		for range 5 {
			last = a.sent(last)
		}
		last = a.last
		// Long after the last one: within MAX_RA_DELAY_TIME.
		asked := last.Add(10 * time.Second)
		if at := a.solicited(asked); at.Before(asked) || at.After(asked.Add(500*time.Millisecond)) {
			t.Fatalf("answer %v after the question", at.Sub(asked))
		}
		// Soon after one: not before MIN_DELAY_BETWEEN_RAS.
		a.sent(last)
		if at := a.solicited(last.Add(time.Second)); at.Sub(last) < 3*time.Second || at.Sub(last) > 4*time.Second {
			t.Fatalf("answer %v after the last advertisement", at.Sub(last))
		}
		// Never later than planned anyway.
		planned := a.next
		if at := a.solicited(planned.Add(-time.Millisecond)); at.After(planned) {
			t.Fatalf("answer at %v, planned for %v", at, planned)
		}
	}
}

func TestSolicitingBacksOff(t *testing.T) {
	now := time.Now()
	var s soliciting
	var waits []time.Duration
	for range 20 {
		next := s.sent(now)
		waits = append(waits, next.Sub(now))
		now = next
	}
	if waits[0] != 250*time.Millisecond || waits[1] != 750*time.Millisecond {
		t.Errorf("first waits %v, want 250ms and 750ms", waits[:2])
	}
	for i := 3; i < len(waits); i++ {
		low := min(2*waits[i-1], maxSolicitInterval) * 3 / 4
		if waits[i] < low-1 || waits[i] > maxSolicitInterval {
			t.Errorf("wait %d: %v after %v", i, waits[i], waits[i-1])
		}
	}
}
