package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"lastmile/lab/blast"
)

// TableConfig says what [Table] measures.
type TableConfig struct {
	Name     string // of the namespaces and the directory, as in Topology
	Binaries Binaries
	Sizes    []int    // of tables, in prefixes
	Runs     int      // of each daemon with each size
	Once     int      // one size more, measured once; 0 for none
	Only     []string // daemons; empty for all
	PerPath  int      // prefixes that share their attributes
	Out      io.Writer
}

// A TableReport is what [Table] measured.
type TableReport struct {
	Started time.Time     `json:"started"`
	Runs    int           `json:"runs"`
	PerPath int           `json:"prefixesPerPath"`
	Results []TableResult `json:"results"`
}

// A TableResult is what one daemon made of tables of one size from two leaves.
// The seconds of Load are from the first byte of the table, both sessions being
// Established, until all routes of the table are in the kernel over both
// uplinks.
type TableResult struct {
	Daemon   Daemon `json:"daemon"`
	Prefixes int    `json:"prefixes"`
	Load     Stats  `json:"loadSeconds"`
	CPU      Stats  `json:"cpuSeconds"` // that the load took of the daemon's processes
	Idle     Stats  `json:"idleMB"`     // resident with both sessions and no table
	Peak     Stats  `json:"peakMB"`     // the most that was resident until the end of the load
	// Moved is the seconds from the close of one leaf's session, its link
	// staying up, until nothing in the kernel led there any more; Astray is how
	// long after it a packet was sent that did not come to the other leaf, and
	// Lost how many.
	Moved  Stats `json:"lossSeconds"`
	Astray Stats `json:"lossProbedSeconds"`
	Lost   Stats `json:"lossPackets"`
	// After is as Peak, until the loss has been dealt with.
	After Stats `json:"peakAfterLossMB"`
}

// The writers that have no daemon: what the kernel takes by itself.
const (
	ownWriter Daemon = "own writer"
	ipBatch   Daemon = "ip -batch"
)

var tableDaemons = []Daemon{HostAgent, HostFRR, HostBIRD, ownWriter, ipBatch}

// A tableRun is one run's figures.
type tableRun struct {
	load, cpu, idle, peak, moved, astray, lost, after float64
}

// Table measures how fast whole tables from two leaves get into the kernel, and
// off a leaf that is lost: hostagent, FRR and BIRD by turns, then what writes
// the same routes without a protocol.
func Table(ctx context.Context, cfg TableConfig) (report TableReport, err error) {
	if err := cfg.validate(); err != nil {
		return report, err
	}
	leave, err := enter(ctx, cfg.Name, cfg.Binaries.Lab)
	if err != nil {
		return report, err
	}
	defer func() { err = leave(err) }()
	report = TableReport{Started: time.Now(), Runs: cfg.Runs, PerPath: cfg.PerPath}
	sizes, runs := cfg.Sizes, cfg.Runs
	for {
		for _, size := range sizes {
			results, err := cfg.measure(ctx, size, runs)
			report.Results = append(report.Results, results...)
			if err != nil {
				return report, err
			}
		}
		if cfg.Once == 0 || runs == 0 {
			return report, nil
		}
		sizes, runs, cfg.Once = []int{cfg.Once}, 1, 0
	}
}

func (cfg TableConfig) validate() error {
	errs := []error{checkName(cfg.Name), checkDaemons(tableDaemons, cfg.Only)}
	for _, n := range append([]int{cfg.Once}, cfg.Sizes...) {
		if n < 0 || n > 1_000_000 || n == 0 && slices.Contains(cfg.Sizes, 0) {
			errs = append(errs, fmt.Errorf("%d prefixes: want 1 to 1000000", n))
		}
	}
	if cfg.Runs < 1 || cfg.PerPath < 1 {
		errs = append(errs, fmt.Errorf("%d runs, %d prefixes per path: want 1 or more", cfg.Runs, cfg.PerPath))
	}
	if os.Geteuid() != 0 {
		errs = append(errs, ErrNotRoot)
	}
	return errors.Join(errs...)
}

// measure takes all daemons through so many runs, by turns.
func (cfg TableConfig) measure(ctx context.Context, size, runs int) ([]TableResult, error) {
	daemons := chosen(tableDaemons, cfg.Only)
	figures := map[Daemon][]tableRun{}
	for run := range runs {
		for _, d := range daemons {
			r, err := cfg.run(ctx, d, blast.Table{Prefixes: size, PerPath: cfg.PerPath})
			if err != nil {
				return nil, fmt.Errorf("%d prefixes, run %d of %s: %w", size, run+1, d, err)
			}
			fmt.Fprintf(cfg.Out, "%7d prefixes  run %d  %-10s  %6.2f s  %5.2f CPU s  %4.0f MB, idle %3.0f MB  leaf lost: %9.3f ms, packets %9.3f ms (%.0f), %4.0f MB\n",
				size, run+1, d, r.load, r.cpu, r.peak, r.idle, r.moved*1000, r.astray*1000, r.lost, r.after)
			figures[d] = append(figures[d], r)
		}
	}
	var results []TableResult
	for _, d := range daemons {
		of := func(f func(tableRun) float64) Stats {
			var samples []float64
			for _, r := range figures[d] {
				samples = append(samples, f(r))
			}
			return summarise(samples)
		}
		results = append(results, TableResult{
			Daemon: d, Prefixes: size,
			Load: of(func(r tableRun) float64 { return r.load }), CPU: of(func(r tableRun) float64 { return r.cpu }),
			Idle: of(func(r tableRun) float64 { return r.idle }), Peak: of(func(r tableRun) float64 { return r.peak }),
			Moved: of(func(r tableRun) float64 { return r.moved }), Astray: of(func(r tableRun) float64 { return r.astray }),
			Lost: of(func(r tableRun) float64 { return r.lost }), After: of(func(r tableRun) float64 { return r.after }),
		})
	}
	return results, nil
}

// run measures once, on a stage of its own.
func (cfg TableConfig) run(ctx context.Context, d Daemon, t blast.Table) (r tableRun, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 5*time.Minute, errTooLong)
	defer cancel()
	s, err := setStage(cfg)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.clear()) }()
	if d == ownWriter || d == ipBatch {
		return s.write(ctx, d, t)
	}
	if err := s.startLeaves(t); err != nil {
		return r, err
	}
	if err := s.startDaemon(ctx, d); err != nil {
		return r, err
	}
	if err := s.awaitSessions(ctx); err != nil {
		return r, err
	}
	if err := s.load(ctx, t, &r); err != nil {
		return r, err
	}
	// What a daemon still does after the load is not part of the loss.
	if err := sleep(ctx, 2*time.Second); err != nil {
		return r, err
	}
	return r, s.lose(ctx, t, &r)
}

// load sends the table from both leaves.
func (s *stage) load(ctx context.Context, t blast.Table, r *tableRun) error {
	if err := sleep(ctx, 2*time.Second); err != nil { // until both sides are at rest
		return err
	}
	before, err := usageOf(s.host)
	if err != nil {
		return err
	}
	sent := make(chan error, len(s.blasts))
	start := time.Now()
	for _, l := range s.blasts {
		go func() { sent <- l.Send() }()
	}
	both := func(d devices) bool { return d[s.ports[0]] && d[s.ports[1]] }
	end, err := s.awaitRoutes(ctx, t, both)
	if err != nil {
		return err
	}
	for range s.blasts {
		if err := <-sent; err != nil {
			return err
		}
	}
	after, err := usageOf(s.host)
	if err != nil {
		return err
	}
	r.load = end.Sub(start).Seconds()
	r.cpu = (after.cpu - before.cpu).Seconds()
	r.idle, r.peak = megabytes(before.resident), megabytes(after.peak)
	return nil
}

func megabytes(bytes int) float64 { return float64(bytes) / 1e6 }

// lose closes the first leaf's session.
func (s *stage) lose(ctx context.Context, t blast.Table, r *tableRun) error {
	const dead = 0
	if !s.blasts[0].Up() || !s.blasts[1].Up() {
		return errors.New("a session fell after the table was in the kernel")
	}
	packets, err := startShower(ctx, s, t)
	if err != nil {
		return err
	}
	defer packets.stop()
	groups, grouped, err := watchGroups(s.host, s.view, s.ports[dead])
	if err != nil {
		return err
	}
	if err := sleep(ctx, 200*time.Millisecond); err != nil {
		return err
	}
	at, err := s.blasts[dead].Lose()
	if err != nil {
		return err
	}
	moved, err := s.awaitRoutes(ctx, t, func(d devices) bool { return !d[s.ports[dead]] && d[s.ports[1-dead]] })
	if err != nil {
		return err
	}
	if grouped {
		select {
		case clean := <-groups.clean: // as exact as the kernel's own news, which polling is not
			if clean.Before(moved) {
				moved = clean
			}
		default:
		}
		groups.close()
	}
	r.moved = moved.Sub(at).Seconds()
	packets.stop()
	astray, wrong := packets.astray(dead, at)
	r.astray, r.lost = astray.Seconds(), float64(wrong)
	// It may still be at work on its own table.
	if err := sleep(ctx, time.Second); err != nil {
		return err
	}
	after, err := usageOf(s.host)
	r.after = megabytes(after.peak)
	return err
}

// WriteTable writes the measurements for people, with hostagent's advantage.
func (r TableReport) WriteTable(w io.Writer) error {
	fmt.Fprintf(w, "a whole table from two leaves into the kernel, over both; %d runs, medians (spread), %d prefixes with the same attributes\n\n",
		r.Runs, r.PerPath)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "PREFIXES\tDAEMON\tSECONDS\tRATIO\tCPU S\tPEAK MB\tIDLE MB\tLEAF LOST, MS\tPACKETS ASTRAY, MS\tPACKETS\tPEAK MB\t")
	for _, x := range r.Results {
		ratio := "-"
		if ours := r.load(x.Prefixes); ours > 0 {
			ratio = fmt.Sprintf("%.1f", x.Load.Median/ours)
		}
		fmt.Fprintf(t, "%d\t%s\t%.2f (%.2f)\t%s\t%.2f (%.2f)\t%.0f\t%.0f\t%.2f (%.2f)\t%.2f (%.2f)\t%.0f\t%.0f\t\n",
			x.Prefixes, x.Daemon, x.Load.Median, x.Load.Spread, ratio, x.CPU.Median, x.CPU.Spread, x.Peak.Median, x.Idle.Median,
			1000*x.Moved.Median, 1000*x.Moved.Spread, 1000*x.Astray.Median, 1000*x.Astray.Spread, x.Lost.Median, x.After.Median)
	}
	return t.Flush()
}

// load returns hostagent's median.
func (r TableReport) load(prefixes int) float64 {
	i := slices.IndexFunc(r.Results, func(x TableResult) bool { return x.Daemon == HostAgent && x.Prefixes == prefixes })
	if i < 0 {
		return 0
	}
	return r.Results[i].Load.Median
}

// WriteJSON writes the report into a file.
func (r TableReport) WriteJSON(path string) error { return writeJSON(path, r) }
