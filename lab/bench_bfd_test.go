package lab_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"lastmile/lab"
)

var benchDaemons = []lab.Daemon{lab.HostAgent, lab.HostFRR, lab.HostBIRD}

// TestFailover takes the bench through each kind of cell once: what is tested is
// that all daemons run, that the loss is seen and that the links come back.
func TestFailover(t *testing.T) {
	t.Parallel()
	timers := lab.BFDTimers{Interval: 100 * time.Millisecond, Multiplier: 5}
	var said bytes.Buffer
	report, err := lab.Failover(t.Context(), lab.FailoverConfig{
		Name: fabricName("failover"), Binaries: binaries(t), Timers: []lab.BFDTimers{timers}, Few: 3, Runs: 1,
		Sizes: []int{1200}, SizeTimers: timers, SizeRuns: 1, Out: &said,
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	if len(report.Results) != 5*len(benchDaemons) {
		t.Fatalf("%d results", len(report.Results))
	}
	// The last packet was at most an interval old.
	least := 1000 * (timers.DetectTime() - timers.Interval).Seconds()
	for i, r := range report.Results {
		if r.Daemon != benchDaemons[i%len(benchDaemons)] || len(r.Samples) != 1 || r.Median <= 0 {
			t.Errorf("%+v", r)
		}
		if r.Fault != lab.CarrierLoss && r.Median < least {
			t.Errorf("%s noticed silence after %v ms, earlier than it can", r.Daemon, r.Median)
		}
	}
	var table strings.Builder
	if err := report.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", table.String())
}

// TestFalseDrops takes the bench through every stress, and looks if each is one:
// what the daemons make of it is not for a test.
func TestFalseDrops(t *testing.T) {
	t.Parallel()
	var said bytes.Buffer
	report, err := lab.FalseDrops(t.Context(), lab.DropsConfig{
		Name: fabricName("drops"), Binaries: binaries(t), Timers: lab.BFDTimers{Interval: 100 * time.Millisecond, Multiplier: 5},
		Sessions: 2, For: 2 * time.Second, Stress: []string{"idle", "cpu 4", "churn", "calls"}, Out: &said,
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	if len(report.Results) != 4*len(benchDaemons) {
		t.Fatalf("%d results", len(report.Results))
	}
	for i, r := range report.Results {
		if r.Daemon != benchDaemons[i%len(benchDaemons)] || (r.Stress == "churn" || r.Stress == "calls") != (r.Rounds > 0) {
			t.Errorf("%+v", r)
		}
	}
	var table strings.Builder
	if err := report.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", table.String())
}

func TestBFDBenchesRefuseWhatTheyCannotMeasure(t *testing.T) {
	timers := lab.BFDTimers{Interval: 100 * time.Millisecond, Multiplier: 3}
	good := lab.FailoverConfig{Name: "t", Timers: []lab.BFDTimers{timers}, Few: 1, Runs: 1, SizeTimers: timers}
	for name, change := range map[string]func(*lab.FailoverConfig){
		"name":   func(c *lab.FailoverConfig) { c.Name = "T" },
		"routes": func(c *lab.FailoverConfig) { c.Few = 0 },
		"size":   func(c *lab.FailoverConfig) { c.Sizes = []int{200_001} },
		"runs":   func(c *lab.FailoverConfig) { c.Runs = 0 },
		"timers": func(c *lab.FailoverConfig) { c.Timers[0].Interval = time.Millisecond },
		"daemon": func(c *lab.FailoverConfig) { c.Only = []string{"quagga"} },
	} {
		cfg := good
		cfg.Timers = []lab.BFDTimers{timers}
		change(&cfg)
		if _, err := lab.Failover(t.Context(), cfg); err == nil || strings.Contains(err.Error(), "janitor") {
			t.Errorf("%s: %v", name, err)
		}
	}
	fine := lab.DropsConfig{Name: "t", Timers: timers, Sessions: 2, For: time.Second}
	for name, change := range map[string]func(*lab.DropsConfig){
		"stress":   func(c *lab.DropsConfig) { c.Stress = []string{"a rainy day"} },
		"sessions": func(c *lab.DropsConfig) { c.Sessions = 1 },
		"for":      func(c *lab.DropsConfig) { c.For = 0 },
	} {
		cfg := fine
		change(&cfg)
		if _, err := lab.FalseDrops(t.Context(), cfg); err == nil || strings.Contains(err.Error(), "janitor") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
