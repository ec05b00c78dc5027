package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"lastmile/lab/junos"
)

// PollConfig says what [Poll] measures.
type PollConfig struct {
	Binaries Binaries
	Sizes    []int    // entries of the neighbour table
	Runs     int      // processes of each client with each table
	Polls    int      // of each process
	Only     []string // clients; empty for all
	Out      io.Writer
}

// A PollReport is what [Poll] measured.
type PollReport struct {
	Occasion
	Runs    int          `json:"runs"`
	Polls   int          `json:"pollsPerRun"`
	Results []PollResult `json:"results"`
}

// A PollResult is one client's with one table. Poll is the seconds from the request
// to the decoded table; each sample is the median of a process.
type PollResult struct {
	Client  string `json:"client"`
	Entries int    `json:"entries"`
	Open    Stats  `json:"openSeconds"` // of the session, libraries' loading included
	Poll    Stats  `json:"pollSeconds"`
	CPU     Stats  `json:"cpuSeconds"` // of one poll, of the client alone
	Peak    Stats  `json:"peakMB"`     // VmHWM after all polls
}

// The clients. PyEZ' table is what its users are told to use; its RPC, and the fields
// of each entry taken out of the tree, is as fast as one can be with it.
const (
	pollOurs      = "switchagent"
	pollPyEZ      = "PyEZ"
	pollPyEZTable = "PyEZ NdTable"
	pollNcclient  = "ncclient"
)

var pollClients = []string{pollOurs, pollPyEZ, pollPyEZTable, pollNcclient}

// debianPython is the interpreter that Debian's modules are for.
const debianPython = "/usr/bin/python3"

// A pollRun is what a client prints.
type pollRun struct {
	Open    float64
	Polls   []float64
	CPU     float64
	Entries int
	PeakKB  int
}

// Poll measures how long one poll of large neighbour tables takes, and how much memory:
// our client, PyEZ and ncclient by turns, at the same simulated leaf, over SSH on
// the loopback. It needs no privileges.
func Poll(ctx context.Context, cfg PollConfig) (report PollReport, err error) {
	if err := cfg.validate(); err != nil {
		return report, err
	}
	dir, err := os.MkdirTemp("", "lastmile-poll-")
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(interrupted(ctx, err), os.RemoveAll(dir)) }()
	script, err := templates.ReadFile("templates/poll.py")
	if err != nil {
		return report, err
	}
	if err := os.WriteFile(filepath.Join(dir, "poll.py"), script, 0o600); err != nil {
		return report, err
	}
	report = PollReport{Occasion: begin(), Runs: cfg.Runs, Polls: cfg.Polls}
	for _, size := range cfg.Sizes {
		results, err := cfg.measure(ctx, dir, size)
		report.Results = append(report.Results, results...)
		if err != nil {
			return report, err
		}
	}
	report.end()
	return report, nil
}

func (cfg PollConfig) validate() error {
	var errs []error
	for _, n := range cfg.Sizes {
		if n < 1 || n > 100_000 {
			errs = append(errs, fmt.Errorf("%d entries: want 1 to 100000", n))
		}
	}
	for _, c := range cfg.Only {
		if !slices.Contains(pollClients, c) {
			errs = append(errs, fmt.Errorf("client %q: want one of %q", c, pollClients))
		}
	}
	if cfg.Runs < 1 || cfg.Polls < 1 {
		errs = append(errs, fmt.Errorf("%d runs of %d polls: want 1 or more", cfg.Runs, cfg.Polls))
	}
	if _, err := os.Stat(cfg.Binaries.PollFloor); err != nil {
		errs = append(errs, fmt.Errorf("a program is missing (make build makes it): %w", err))
	}
	if others := slices.ContainsFunc(cfg.clients(), func(c string) bool { return c != pollOurs }); others {
		if out, err := exec.Command(debianPython, "-c", "import jnpr.junos, ncclient").CombinedOutput(); err != nil {
			errs = append(errs, fmt.Errorf("PyEZ and ncclient are missing (make setup-bench installs Debian's python3-junos-eznc and python3-ncclient): %w: %s", err, out))
		}
	}
	return errors.Join(errs...)
}

func (cfg PollConfig) clients() []string {
	return slices.DeleteFunc(slices.Clone(pollClients), func(c string) bool {
		return len(cfg.Only) > 0 && !slices.Contains(cfg.Only, c)
	})
}

// measure takes all clients through the runs, by turns.
func (cfg PollConfig) measure(ctx context.Context, dir string, size int) (results []PollResult, err error) {
	leaf, err := startWorldLeaf(dir, nil, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, leaf.close()) }()
	leaf.world.SetNeighbors(junos.SyntheticNeighbors(size, size))
	figures := map[string][]pollRun{}
	for run := range cfg.Runs {
		for _, c := range cfg.clients() {
			r, err := cfg.run(ctx, dir, leaf, c)
			if err == nil && (r.Entries != size || len(r.Polls) != cfg.Polls) {
				err = fmt.Errorf("it saw %d entries in %d polls", r.Entries, len(r.Polls))
			}
			if err != nil {
				return nil, fmt.Errorf("%d entries, run %d of %s: %w", size, run+1, c, err)
			}
			fmt.Fprintf(cfg.Out, "%6d entries  run %d  %-12s  %8.1f ms  %8.1f ms CPU  %5.1f MB\n",
				size, run+1, c, 1000*median(r.Polls), 1000*r.CPU/float64(cfg.Polls), megabytes(r.PeakKB<<10))
			figures[c] = append(figures[c], r)
		}
	}
	for _, c := range cfg.clients() {
		of := func(f func(pollRun) float64) Stats {
			var samples []float64
			for _, r := range figures[c] {
				samples = append(samples, f(r))
			}
			return summarise(samples)
		}
		results = append(results, PollResult{
			Client: c, Entries: size,
			Open: of(func(r pollRun) float64 { return r.Open }), Poll: of(func(r pollRun) float64 { return median(r.Polls) }),
			CPU:  of(func(r pollRun) float64 { return r.CPU / float64(cfg.Polls) }),
			Peak: of(func(r pollRun) float64 { return megabytes(r.PeakKB << 10) }),
		})
	}
	return results, nil
}

func median(samples []float64) float64 { return summarise(samples).Median }

// run has a process of the client poll the leaf.
func (cfg PollConfig) run(ctx context.Context, dir string, leaf *worldLeaf, client string) (r pollRun, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 5*time.Minute, errTooLong)
	defer cancel()
	host, port, err := net.SplitHostPort(leaf.at)
	if err != nil {
		return r, err
	}
	polls := fmt.Sprint(cfg.Polls)
	cmd := exec.CommandContext(ctx, cfg.Binaries.PollFloor, "-target", leaf.at, "-user", agentUser, "-key", leaf.key,
		"-known-hosts", leaf.knownHosts, "-polls", polls)
	if client != pollOurs {
		word := map[string]string{pollPyEZ: "pyez", pollPyEZTable: "table", pollNcclient: "ncclient"}[client]
		cmd = exec.CommandContext(ctx, debianPython, filepath.Join(dir, "poll.py"), word, host, port, agentUser, leaf.key, polls)
	}
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return r, fmt.Errorf("%w: %s", err, said.String())
	}
	return r, json.Unmarshal(out, &r)
}

// WriteTable writes the measurements for people, relative to ours.
func (r PollReport) WriteTable(w io.Writer) error {
	fmt.Fprintf(w, "one poll of a neighbour table, from the request to the decoded entries; medians (spread) of %d processes of %d polls; load average %s before, %s after\n\n",
		r.Runs, r.Polls, r.Load[0], r.Load[1])
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "ENTRIES\tCLIENT\tPOLL, MS\tRATIO\tCPU, MS\tRATIO\tPEAK MB\tRATIO\tOPEN, MS\t")
	for _, x := range r.Results {
		ours := slices.IndexFunc(r.Results, func(o PollResult) bool { return o.Client == pollOurs && o.Entries == x.Entries })
		ratio := func(of func(PollResult) Stats) string {
			if ours < 0 || of(r.Results[ours]).Median == 0 {
				return "-"
			}
			return fmt.Sprintf("%.1f", of(x).Median/of(r.Results[ours]).Median)
		}
		fmt.Fprintf(t, "%d\t%s\t%.1f (%.1f)\t%s\t%.1f (%.1f)\t%s\t%.1f (%.1f)\t%s\t%.0f (%.0f)\t\n", x.Entries, x.Client,
			1000*x.Poll.Median, 1000*x.Poll.Spread, ratio(func(p PollResult) Stats { return p.Poll }),
			1000*x.CPU.Median, 1000*x.CPU.Spread, ratio(func(p PollResult) Stats { return p.CPU }),
			x.Peak.Median, x.Peak.Spread, ratio(func(p PollResult) Stats { return p.Peak }), 1000*x.Open.Median, 1000*x.Open.Spread)
	}
	return t.Flush()
}

// WriteJSON writes the report into a file.
func (r PollReport) WriteJSON(path string) error { return writeJSON(path, r) }
