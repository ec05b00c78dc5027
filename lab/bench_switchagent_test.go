package lab_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"lastmile/lab"
)

// TestPoll: our client sees the whole table. The others are not there on every machine.
func TestPoll(t *testing.T) {
	t.Parallel()
	var said bytes.Buffer
	report, err := lab.Poll(t.Context(), lab.PollConfig{
		Binaries: binaries(t), Sizes: []int{10, 1000}, Runs: 1, Polls: 2, Only: []string{"switchagent"}, Out: &said,
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	if len(report.Results) != 2 {
		t.Fatalf("%d results", len(report.Results))
	}
	for _, r := range report.Results {
		if r.Poll.Median <= 0 || r.Peak.Median <= 1 || r.Open.Median <= 0 {
			t.Errorf("%+v", r)
		}
	}
	var table strings.Builder
	if err := report.WriteTable(&table); err != nil || !strings.Contains(table.String(), "1000") {
		t.Errorf("%v\n%s", err, table.String())
	}
	if _, err := lab.Poll(t.Context(), lab.PollConfig{Binaries: binaries(t), Sizes: []int{0}, Only: []string{"curl"}}); err == nil ||
		!strings.Contains(err.Error(), "0 entries") || !strings.Contains(err.Error(), "curl") || !strings.Contains(err.Error(), "0 runs") {
		t.Errorf("%v", err)
	}
}

// TestSidecars: each of three switchagents polls its own leaf, and commits nothing.
func TestSidecars(t *testing.T) {
	t.Parallel()
	var said bytes.Buffer
	report, err := lab.Sidecars(t.Context(), lab.SidecarsConfig{Binaries: binaries(t), Counts: []int{1, 3}, Servers: 2, For: 6 * time.Second, Out: &said})
	if err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	for i, r := range report.Results {
		if r.Count != 1+2*i || len(r.Polls.Samples) != r.Count || r.Polls.Best < 1 || r.Resident.Best <= 1 || r.Own.Best <= 1 || r.Poll.Best <= 0 || r.Lost > 0 {
			t.Errorf("%+v", r)
		}
	}
	var table strings.Builder
	if err := report.WriteTable(&table); err != nil || strings.Count(table.String(), "\n") != 5 {
		t.Errorf("%v\n%s", err, table.String())
	}
}

// TestPorts: every port has one stanza in the end, and what the wire carried was counted.
func TestPorts(t *testing.T) {
	t.Parallel()
	var said bytes.Buffer
	report, err := lab.Ports(t.Context(), lab.PortsConfig{Binaries: binaries(t), Ports: 60, Over: 3 * time.Second, Runs: 1, Out: &said})
	if err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	if len(report.Results) != 2 || report.Results[0].Inventory || !report.Results[1].Inventory {
		t.Fatalf("%+v", report.Results)
	}
	for _, r := range report.Results {
		if r.Commits.Median < 1 || r.Commits.Median > r.Polls.Median || r.Last.Median < r.Longest.Median || r.In.Median <= 0 || r.Out.Median <= 0 || r.Disturbed != 0 {
			t.Errorf("%+v", r)
		}
	}
	if with, without := report.Results[1].In.Median, report.Results[0].In.Median; with <= without {
		t.Errorf("policies and all: %v MB to the leaf, and %v MB without", with, without)
	}
	var table strings.Builder
	if err := report.WriteTable(&table); err != nil || strings.Count(table.String(), "\n") != 5 {
		t.Errorf("%v\n%s", err, table.String())
	}
}
