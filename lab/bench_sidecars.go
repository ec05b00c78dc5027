package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"lastmile/lab/junos"
)

// SidecarsConfig says what [Sidecars] measures.
type SidecarsConfig struct {
	Binaries Binaries
	Counts   []int         // of switchagents, each before a leaf of its own
	Servers  int           // of each leaf
	For      time.Duration // how long they are watched
	Out      io.Writer
}

// A SidecarsReport is what [Sidecars] measured.
type SidecarsReport struct {
	Occasion
	Servers int              `json:"servers"`
	Seconds float64          `json:"seconds"`
	Results []SidecarsResult `json:"results"`
}

// A SidecarsResult is so many switchagents that poll and have nothing to do. A
// sample is one switchagent's.
type SidecarsResult struct {
	Count    int     `json:"count"`
	CPU      Stats   `json:"cpuPercent"` // of one processor
	Total    float64 `json:"totalCPUPercent"`
	Resident Stats   `json:"residentMB"`
	Own      Stats   `json:"ownMB"`       // resident, what several share counted in parts (Pss)
	Peak     Stats   `json:"peakMB"`      // since its start
	Poll     Stats   `json:"pollSeconds"` // mean of its polls
	Polls    Stats   `json:"polls"`
	Lost     int     `json:"failedPolls"` // of all
}

// Sidecars measures what switchagents take that poll leaves where nothing changes.
// The simulated leaves are in this process, before a World: it needs no privileges.
func Sidecars(ctx context.Context, cfg SidecarsConfig) (report SidecarsReport, err error) {
	for _, n := range cfg.Counts {
		if n < 1 || n > 1000 {
			return report, fmt.Errorf("%d switchagents: want 1 to 1000", n)
		}
	}
	if cfg.Servers < 1 || cfg.Servers > 500 || cfg.For < time.Second {
		return report, fmt.Errorf("%d servers, %s: want 1 to 500, and a second or more", cfg.Servers, cfg.For)
	}
	report = SidecarsReport{Occasion: begin(), Servers: cfg.Servers, Seconds: cfg.For.Seconds()}
	for _, n := range cfg.Counts {
		r, err := cfg.measure(ctx, n)
		if err != nil {
			return report, interrupted(ctx, fmt.Errorf("%d switchagents: %w", n, err))
		}
		report.Results = append(report.Results, r)
	}
	report.end()
	return report, nil
}

func (cfg SidecarsConfig) measure(ctx context.Context, count int) (r SidecarsResult, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, cfg.For+5*time.Minute, errTooLong)
	defer cancel()
	dir, err := os.MkdirTemp("", "lastmile-sidecars-")
	if err != nil {
		return r, err
	}
	var all []*sidecar
	defer func() {
		for _, s := range all {
			err = errors.Join(err, s.close())
		}
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	for i := range count {
		s, err := startSidecar(filepath.Join(dir, strconv.Itoa(i)), cfg.Binaries.SwitchAgent, cfg.Servers, "unknown: accept\n")
		if err != nil {
			return r, err
		}
		all = append(all, s)
		s.leaf.world.SetNeighbors(junos.SyntheticNeighbors(cfg.Servers, cfg.Servers))
	}
	for _, s := range all {
		if err := s.await(ctx, func() error { return s.polling(ctx) }); err != nil {
			return r, err
		}
		if err := s.peering(ctx, cfg.Servers); err != nil {
			return r, err
		}
	}
	fmt.Fprintf(cfg.Out, "%d switchagents have committed %d stanzas each and are watched for %s\n", count, cfg.Servers, cfg.For)
	if err := sleep(ctx, 5*time.Second); err != nil { // until what follows a commit is over
		return r, err
	}
	return watchSidecars(ctx, all, cfg.For)
}

// A sidecarSample is what one switchagent has taken and done.
type sidecarSample struct {
	usage          usage
	polls, failed  float64
	rpcSeconds     float64
	proportional   float64 // MB
	countedCommits int
}

func (s *sidecar) sample(ctx context.Context) (a sidecarSample, err error) {
	if a.usage, err = processUsage(s.cmd.Process.Pid); err != nil {
		return a, err
	}
	if a.proportional, err = proportional(s.cmd.Process.Pid); err != nil {
		return a, err
	}
	m, err := s.metrics(ctx)
	for name, value := range m {
		switch {
		case name == `switchagent_polls_total{result="ok"}`:
			a.polls += value
		case strings.HasPrefix(name, "switchagent_polls_total"):
			a.failed += value
		case strings.HasPrefix(name, "switchagent_rpc_seconds_sum"):
			a.rpcSeconds += value
		}
	}
	a.countedCommits = len(s.leaf.device.History())
	return a, err
}

// watchSidecars compares what they have done after a time with what they had before.
func watchSidecars(ctx context.Context, all []*sidecar, d time.Duration) (r SidecarsResult, err error) {
	before := make([]sidecarSample, len(all))
	begin := make([]time.Time, len(all))
	for i, s := range all {
		begin[i] = time.Now()
		if before[i], err = s.sample(ctx); err != nil {
			return r, err
		}
	}
	if err := sleep(ctx, d); err != nil {
		return r, err
	}
	r.Count = len(all)
	var cpu, resident, own, peak, poll, polls []float64
	for i, s := range all {
		after, err := s.sample(ctx)
		if err != nil {
			return r, err
		}
		if after.countedCommits != before[i].countedCommits {
			return r, fmt.Errorf("the switchagent of %s has committed while there was nothing to do", s.listen)
		}
		done := after.polls - before[i].polls
		if done == 0 {
			return r, fmt.Errorf("the switchagent of %s did not poll: %s", s.listen, lastLine(s.log))
		}
		cpu = append(cpu, 100*(after.usage.cpu-before[i].usage.cpu).Seconds()/time.Since(begin[i]).Seconds())
		resident, own = append(resident, megabytes(after.usage.resident)), append(own, after.proportional)
		peak = append(peak, megabytes(after.usage.peak))
		poll, polls = append(poll, (after.rpcSeconds-before[i].rpcSeconds)/done), append(polls, done)
		r.Total += cpu[i]
		r.Lost += int(after.failed - before[i].failed)
	}
	r.CPU, r.Resident, r.Own, r.Peak = summarise(cpu), summarise(resident), summarise(own), summarise(peak)
	r.Poll, r.Polls = summarise(poll), summarise(polls)
	return r, nil
}

// proportional is a process's Pss, in MB: proc_pid_smaps(5).
func proportional(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, "Pss:"); found {
			kb, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
			return megabytes(kb << 10), err
		}
	}
	return 0, fmt.Errorf("process %d: smaps_rollup has no Pss", pid)
}

// WriteTable writes the measurements for people.
func (r SidecarsReport) WriteTable(w io.Writer) error {
	fmt.Fprintf(w, "switchagents that poll leaves of %d servers where nothing changes, %.0f s; medians (worst) of them; load average %s before, %s after\n\n",
		r.Servers, r.Seconds, r.Load[0], r.Load[1])
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "SWITCHAGENTS\tCPU, %\tTOTAL, %\tRESIDENT MB\tPSS MB\tPEAK MB\tPOLL, MS\tPOLLS\tFAILED\t")
	for _, x := range r.Results {
		fmt.Fprintf(t, "%d\t%.2f (%.2f)\t%.1f\t%.1f (%.1f)\t%.1f (%.1f)\t%.1f (%.1f)\t%.1f (%.1f)\t%.0f\t%d\t\n", x.Count,
			x.CPU.Median, x.CPU.Worst, x.Total, x.Resident.Median, x.Resident.Worst, x.Own.Median, x.Own.Worst,
			x.Peak.Median, x.Peak.Worst, 1000*x.Poll.Median, 1000*x.Poll.Worst, x.Polls.Median, x.Lost)
	}
	return t.Flush()
}

// WriteJSON writes the report into a file.
func (r SidecarsReport) WriteJSON(path string) error { return writeJSON(path, r) }
