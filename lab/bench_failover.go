package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"

	"lastmile/lab/blast"
)

// A Fault is a way in which an uplink dies.
type Fault string

// The faults.
const (
	SilentLoss  Fault = "silent loss"  // nothing passes any more, both ends keep their carrier
	CarrierLoss Fault = "carrier loss" // the server's end has no carrier
	// EarlyLoss is a silent loss while the leaf's table is on its way into the
	// kernel; the other leaf's is there.
	EarlyLoss Fault = "silent, table on its way"
)

// FailoverConfig says what [Failover] measures.
type FailoverConfig struct {
	Name     string // of the namespaces and the directory, as in Topology
	Binaries Binaries
	Timers   []BFDTimers // each with silent loss, a table of Few routes
	Few      int         // routes
	Runs     int         // of each daemon
	Sizes    []int       // further tables, in prefixes, with all faults and SizeTimers
	// SizeTimers are longer than what FRR and BIRD lose while they take a table.
	SizeTimers BFDTimers
	SizeRuns   int
	Only       []string // daemons; empty for all
	Out        io.Writer
}

// A FailoverReport is what [Failover] measured.
type FailoverReport struct {
	Occasion
	Results []FailoverResult `json:"results"`
}

// A FailoverResult is how long one daemon took, in milliseconds from the moment
// before the link's death until no route of the table led over it any more, as
// the server's kernel told it.
type FailoverResult struct {
	Fault      Fault   `json:"fault"`
	BFD        string  `json:"bfd"`
	DetectTime float64 `json:"detectMs"`
	Routes     int     `json:"routes"`
	Daemon     Daemon  `json:"daemon"`
	Spoiled    int     `json:"spoiledRuns"` // in which routes went before the link did: measured again
	// GivenUp says that the daemon had not got over an early loss in a minute, or not
	// got to it: it has no more runs of that.
	GivenUp bool `json:"givenUp,omitempty"`
	Stats
}

// A failoverCell is one fault, with timers and a table.
type failoverCell struct {
	fault  Fault
	timers BFDTimers
	routes int
	runs   int
}

func (cfg FailoverConfig) cells() []failoverCell {
	var cells []failoverCell
	for _, t := range cfg.Timers {
		cells = append(cells, failoverCell{SilentLoss, t, cfg.Few, cfg.Runs})
	}
	if cfg.Runs > 0 {
		cells = append(cells, failoverCell{CarrierLoss, cfg.SizeTimers, cfg.Few, cfg.Runs})
	}
	for _, size := range cfg.Sizes {
		for _, fault := range []Fault{SilentLoss, EarlyLoss, CarrierLoss} {
			cells = append(cells, failoverCell{fault, cfg.SizeTimers, size, cfg.SizeRuns})
		}
	}
	return cells
}

// chosen is those of the daemons that are named, or all.
func chosen(all []Daemon, only []string) []Daemon {
	return slices.DeleteFunc(slices.Clone(all), func(d Daemon) bool {
		return len(only) > 0 && !slices.Contains(only, string(d))
	})
}

func (cfg FailoverConfig) validate() error {
	errs := []error{checkName(cfg.Name), checkDaemons(bfdDaemons, cfg.Only)}
	for _, t := range append([]BFDTimers{cfg.SizeTimers}, cfg.Timers...) {
		errs = append(errs, t.validate())
	}
	for _, n := range append([]int{cfg.Few}, cfg.Sizes...) {
		if n < 1 || n > 200_000 {
			errs = append(errs, fmt.Errorf("%d routes: want 1 to 200000", n))
		}
	}
	if cfg.Runs < 0 || cfg.SizeRuns < 0 || cfg.Runs+cfg.SizeRuns == 0 {
		errs = append(errs, fmt.Errorf("%d runs, %d with larger tables: want 0 or more, not both 0", cfg.Runs, cfg.SizeRuns))
	}
	if os.Geteuid() != 0 {
		errs = append(errs, ErrNotRoot)
	}
	return errors.Join(errs...)
}

// checkDaemons refuses names that are none of the daemons'.
func checkDaemons(all []Daemon, only []string) error {
	for _, d := range only {
		if !slices.Contains(all, Daemon(d)) {
			return fmt.Errorf("daemon %q: want one of %q", d, all)
		}
	}
	return nil
}

// Failover measures how long a dead uplink stays in the kernel's routes:
// hostagent, FRR and BIRD, which run side by side, each on a stage of its own,
// and have their faults by turns.
func Failover(ctx context.Context, cfg FailoverConfig) (report FailoverReport, err error) {
	if err := cfg.validate(); err != nil {
		return report, err
	}
	leave, err := enter(ctx, cfg.Name, cfg.Binaries.Lab)
	if err != nil {
		return report, err
	}
	defer func() { err = leave(err) }()
	report.Occasion = begin()
	for _, cell := range cfg.cells() {
		if cell.runs == 0 {
			continue
		}
		results, err := cfg.measure(ctx, cell)
		report.Results = append(report.Results, results...)
		if err != nil {
			return report, fmt.Errorf("%s, BFD %s, %d routes: %w", cell.fault, cell.timers, cell.routes, err)
		}
	}
	report.end()
	return report, nil
}

// measure takes all daemons through the runs of a cell.
func (cfg FailoverConfig) measure(ctx context.Context, c failoverCell) (results []FailoverResult, err error) {
	var stages []*bfdStage
	defer func() {
		for _, s := range stages {
			err = errors.Join(err, s.clear())
		}
	}()
	for _, d := range chosen(bfdDaemons, cfg.Only) {
		s, err := setBFDStage(bfdSetting{
			Name: cfg.Name, Binaries: cfg.Binaries, Daemon: d, Uplinks: 2, Timers: c.timers,
			Table: blast.Table{Prefixes: c.routes, PerPath: 500}, Watched: true,
		})
		if err != nil {
			return nil, err
		}
		stages = append(stages, s)
		if err := s.start(ctx); err != nil {
			return nil, err
		}
		results = append(results, FailoverResult{
			Fault: c.fault, BFD: c.timers.String(), DetectTime: 1000 * c.timers.DetectTime().Seconds(), Routes: c.routes, Daemon: d,
		})
	}
	samples := make([][]float64, len(stages))
	for run := range c.runs {
		if err := cfg.round(ctx, c, stages, func(i int, ms float64, spoiled int) {
			samples[i] = append(samples[i], ms)
			results[i].Spoiled += spoiled
			fmt.Fprintf(cfg.Out, "%-12s  BFD %-6s  %6d routes  run %2d  %-9s  %9.2f ms\n",
				c.fault, c.timers, c.routes, run+1, stages[i].Daemon, ms)
		}); err != nil {
			return nil, fmt.Errorf("run %d: %w", run+1, err)
		}
	}
	for i := range results {
		if results[i].GivenUp = stages[i].givenUp; len(samples[i]) > 0 {
			results[i].Stats = summarise(samples[i])
		}
	}
	return results, nil
}

// round has the fault happen to one stage after the other, and then heals all
// of them: none is at work on its return while another is measured.
func (cfg FailoverConfig) round(ctx context.Context, c failoverCell, stages []*bfdStage, note func(i int, ms float64, spoiled int)) error {
	for i, s := range stages {
		spoiled := 0
		for !s.givenUp {
			if err := awaitAll(ctx, stages[i:]); err != nil {
				return err
			}
			took, err := s.fail(ctx, c.fault)
			if c.fault == EarlyLoss && errors.Is(err, errTooLong) {
				s.givenUp = true
				fmt.Fprintln(cfg.Out, err)
				break
			}
			if err != nil {
				return err
			}
			if took > 0 {
				note(i, 1000*took.Seconds(), spoiled)
				break
			}
			if spoiled++; spoiled > 5 {
				return fmt.Errorf("%s: routes went before the link did, again and again", s.Daemon)
			}
			if err := s.heal(c.fault); err != nil {
				return err
			}
		}
	}
	for _, s := range stages {
		if err := s.heal(c.fault); err != nil {
			return err
		}
	}
	return nil
}

// awaitAll waits until the stages are as before any fault, and a while.
func awaitAll(ctx context.Context, stages []*bfdStage) error {
	var group errgroup.Group
	for _, s := range stages {
		if !s.givenUp {
			group.Go(func() error { return s.awaitReady(ctx) })
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return sleep(ctx, 500*time.Millisecond+rand.N(500*time.Millisecond))
}

// dead is the uplink that dies.
const dead = 0

// fail has the uplink die and returns how long its routes took, 0 if some went
// before.
func (s *bfdStage) fail(ctx context.Context, fault Fault) (time.Duration, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errTooLong)
	defer cancel()
	if fault == EarlyLoss {
		if err := s.tellAnew(ctx); err != nil {
			return 0, fmt.Errorf("%s: %w", s.Daemon, err)
		}
	}
	change := s.ports[dead].forward
	polled := make(chan error, 1)
	polling, stop := context.WithCancel(ctx)
	defer stop()
	if fault == CarrierLoss {
		change = s.ports[dead].power
		go func() { polled <- s.watch.poll(polling, s.view) }()
	} else {
		polled <- nil
	}
	at, err := change(false)
	if err != nil {
		return 0, err
	}
	n := s.Table.Prefixes
	since, err := s.watch.await(ctx, func(over [2]int) bool { return over == [2]int{0, n} })
	stop()
	if err := errors.Join(err, <-polled); err != nil {
		return 0, fmt.Errorf("%s: %w", s.Daemon, err)
	}
	return max(since[dead].Sub(at), 0), nil
}

// tellAnew has the leaf that is to die withdraw its table and tell it again, and
// returns when the first quarter of that is in the kernel.
func (s *bfdStage) tellAnew(ctx context.Context) error {
	leaf, n := s.leaves[dead], s.Table.Prefixes
	if err := leaf.Withdraw(); err != nil {
		return err
	}
	if _, err := s.watch.await(ctx, func(over [2]int) bool { return over == [2]int{0, n} }); err != nil {
		return fmt.Errorf("withdrawing a table: %w", err)
	}
	// It ends when all is sent, or the session by the fault.
	go func() { _ = leaf.Send() }()
	_, err := s.watch.await(ctx, func(over [2]int) bool { return 4*over[dead] >= n })
	return err
}

// heal makes the uplink whole again.
func (s *bfdStage) heal(fault Fault) error {
	change := s.ports[dead].forward
	if fault == CarrierLoss {
		change = s.ports[dead].power
	}
	_, err := change(true)
	return err
}

// WriteTable writes the measurements for people.
func (r FailoverReport) WriteTable(w io.Writer) error {
	fmt.Fprintf(w, "an uplink dies: milliseconds until no route in the kernel leads over it; load average %s before, %s after\n\n", r.Load[0], r.Load[1])
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "FAULT\tBFD\tROUTES\tDAEMON\tMEDIAN\tLEAST\tMOST\tSPREAD\tRATIO\tMEDIAN LESS DETECT TIME\tRUNS\tSPOILED\t")
	for _, x := range r.Results {
		ratio, beyond := "-", "-"
		if ours := r.median(x); ours > 0 && len(x.Samples) > 0 {
			ratio = fmt.Sprintf("%.1f", x.Median/ours)
		}
		if x.Fault != CarrierLoss && len(x.Samples) > 0 {
			beyond = fmt.Sprintf("%.1f", x.Median-x.DetectTime)
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%.2f\t%.2f\t%.2f\t%.2f\t%s\t%s\t%d\t%d\t\n", x.Fault, x.BFD, x.Routes, x.Daemon,
			x.Median, x.Best, x.Worst, x.Spread, ratio, beyond, len(x.Samples), x.Spoiled)
	}
	return t.Flush()
}

// median returns hostagent's, in the same cell.
func (r FailoverReport) median(x FailoverResult) float64 {
	i := slices.IndexFunc(r.Results, func(y FailoverResult) bool {
		return y.Daemon == HostAgent && y.Fault == x.Fault && y.BFD == x.BFD && y.Routes == x.Routes
	})
	if i < 0 {
		return 0
	}
	return r.Results[i].Median
}

// WriteJSON writes the report into a file.
func (r FailoverReport) WriteJSON(path string) error { return writeJSON(path, r) }
