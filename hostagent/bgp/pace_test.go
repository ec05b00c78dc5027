package bgp

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	start := time.Now()
	const ms = time.Millisecond
	for _, test := range []struct {
		after          time.Duration
		refused, ended time.Duration // at most; at least three quarters of it
	}{
		{0, 25 * ms, 100 * ms},
		{time.Second, 50 * ms, 100 * ms},
		{4 * time.Second, 200 * ms, 200 * ms},
		{10 * time.Second, 500 * ms, 500 * ms},
		{30 * time.Second, 500 * ms, 1500 * ms},
		{time.Hour, 500 * ms, 2 * time.Second},
	} {
		p := pace{start}
		now := start.Add(test.after)
		within := func(what string, got, most time.Duration) {
			t.Helper()
			if got > most || got < most*3/4 {
				t.Errorf("%s after %v: %v, want %v at most", what, test.after, got, most)
			}
		}
		within("refused", p.refused(now), test.refused)
		within("ended", p.ended(now, 0), test.ended)
		within("ended soon", p.ended(now, stable-1), test.ended)
		within("stable session fell", p.ended(now, stable), grace)
		within("refused after that", p.refused(now), refusedLeast)
	}
}
