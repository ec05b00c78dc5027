package lab

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSummarise(t *testing.T) {
	samples := []float64{5, 1, 4, 2, 3}
	want := Stats{Samples: samples, Median: 3, Worst: 5, Best: 1, Spread: 2}
	if diff := cmp.Diff(want, summarise(samples)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := summarise([]float64{1, 2}).Median; got != 1.5 {
		t.Errorf("median of 1 and 2: %v", got)
	}
	if diff := cmp.Diff(Stats{}, summarise(nil)); diff != "" {
		t.Errorf("no samples: %s", diff)
	}
}

func TestShared(t *testing.T) {
	ways := []string{"a", "b"}
	for _, tt := range []struct {
		counts map[string]int
		want   bool
	}{
		{map[string]int{"a": 50, "b": 50}, true},
		{map[string]int{"a": 80, "b": 20}, true},
		{map[string]int{"a": 81, "b": 19}, false},
		{map[string]int{"a": 100}, false},
		{nil, false},
	} {
		if got := shared(tt.counts, ways); got != tt.want {
			t.Errorf("%v: %v, want %v", tt.counts, got, tt.want)
		}
	}
}

// TestFailoverVerdict plays flaps on paper: a probe every 10 ms for 4 s, the
// link down at 1 s and up at 2 s.
func TestFailoverVerdict(t *testing.T) {
	start := time.Now()
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	tests := []struct {
		name              string
		lostFrom, lostTo  int // in ms
		before, out, back int
		holds             bool
	}{
		{"nothing lost", 0, 0, 0, 0, 0, true},
		{"some on the way out", 1000, 1050, 0, 5, 0, true},
		{"one that was under way", 990, 1050, 0, 6, 0, true},
		{"all that were under way", 980, 1000, 0, 2, 0, true},
		{"a probe before", 970, 980, 1, 0, 0, false},
		{"all of the way out", 1000, 2000, 0, 100, 0, false},
		{"one on the way back", 3000, 3010, 0, 0, 1, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var probes []probe
			for ms := 0; ms < 4000; ms += 10 {
				probes = append(probes, probe{sent: at(ms), returned: ms < tt.lostFrom || ms >= tt.lostTo})
			}
			f := flap{start: start, down: at(1000), moved: at(1020), up: at(2000), returned: at(2500)}
			out := f.judge(probes, time.Second)
			want := failoverFigures{
				Sent: 400, LostBefore: tt.before, LostOut: tt.out, LostBack: tt.back, OutSeconds: 0.02, BackSeconds: 0.5,
			}
			if said := strings.Contains(out.seen, "before"); said != (tt.before > 0) {
				t.Errorf("%d probes lost before, seen: %s", tt.before, out.seen)
			}
			if diff := cmp.Diff(want, out.figures); diff != "" || out.holds != tt.holds {
				t.Errorf("holds: %v, want %v; figures (-want +got):\n%s", out.holds, tt.holds, diff)
			}
		})
	}
}

func TestReportTable(t *testing.T) {
	r := Report{Scenes: []Result{
		{Scene: "one", Expected: "x", Seen: "x", Holds: true, Seconds: 1.25},
		{Scene: "two", Expected: "y", Seen: "an error\nof two lines", Seconds: 2},
	}}
	var b strings.Builder
	if err := r.WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	want := "SCENE  EXPECTED  SEEN                   TIME   \n" +
		"one    x         x                      1.2 s  \n" +
		"two    y         an error of two lines  2.0 s  DOES NOT HOLD\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
