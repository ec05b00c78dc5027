package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"

	"lastmile/lab/blast"
	"lastmile/lab/netns"
)

// A Stress is what else a server does while its BFD sessions are watched.
type Stress struct {
	Name string
	Args []string // of stress-ng; none for nothing
	// Churn is how many routes the leaves announce and withdraw all the time.
	// The daemons have it by turns, each for itself.
	Churn int
}

// Stresses are those that are measured.
var Stresses = []Stress{
	{Name: "idle"},
	{Name: "cpu 4", Args: []string{"--cpu", "4"}},
	{Name: "cpu 16", Args: []string{"--cpu", "16"}},
	{Name: "mix", Args: strings.Fields("--cpu 2 --vm 2 --vm-bytes 256M --switch 2 --pipe 2 --sock 2")},
	{Name: "churn", Churn: 100_000},
}

// DropsConfig says what [FalseDrops] measures.
type DropsConfig struct {
	Name     string // of the namespaces and the directory, as in Topology
	Binaries Binaries
	Timers   BFDTimers
	Sessions int
	For      time.Duration // of each stress
	Stress   []string      // names of Stresses; empty for all
	Only     []string      // daemons; empty for all
	Out      io.Writer
}

// A DropsReport is what [FalseDrops] measured.
type DropsReport struct {
	Started  time.Time     `json:"started"`
	Load     [2]string     `json:"loadAverage"` // of the machine, before and after
	BFD      string        `json:"bfd"`
	Sessions int           `json:"sessions"`
	Seconds  float64       `json:"seconds"`
	Results  []DropsResult `json:"results"`
}

// A DropsResult is what became of one daemon's sessions, none of whose links
// failed.
type DropsResult struct {
	Stress string `json:"stress"`
	Daemon Daemon `json:"daemon"`
	Drops  int    `json:"drops"`        // of all sessions
	Worst  int    `json:"worstSession"` // the most of one
	// PeerLate is by how much the other end, the same before all daemons, was
	// late at worst, since it runs: its sessions may fall for that too.
	PeerLate float64 `json:"peerLateMs"`
	Rounds   int     `json:"churnRounds,omitempty"` // times that the table went and came
	// Late are hostagent's timers, since it runs; the others do not tell.
	Late *BFDLateness `json:"late,omitempty"`
}

// BFDLateness is how well hostagent's BFD worker kept time.
type BFDLateness struct {
	Sent uint64  `json:"sent"` // packets
	Late uint64  `json:"late"` // timers later than a quarter of the interval
	Max  float64 `json:"maxMs"`
}

func (cfg DropsConfig) validate() error {
	errs := []error{checkName(cfg.Name), checkDaemons(bfdDaemons, cfg.Only), cfg.Timers.validate()}
	for _, name := range cfg.Stress {
		if !slices.ContainsFunc(Stresses, func(s Stress) bool { return s.Name == name }) {
			var names []string
			for _, s := range Stresses {
				names = append(names, s.Name)
			}
			errs = append(errs, fmt.Errorf("stress %q: want one of %q", name, names))
		}
	}
	if cfg.Sessions < 2 || cfg.Sessions > 64 || cfg.For < time.Second {
		errs = append(errs, fmt.Errorf("%d sessions for %v: want 2 to 64, and a second or more", cfg.Sessions, cfg.For))
	}
	if os.Geteuid() != 0 {
		errs = append(errs, ErrNotRoot)
	}
	return errors.Join(errs...)
}

// FalseDrops counts how often BFD sessions fall whose links are sound, while the
// machine is busy: hostagent's, FRR's and BIRD's side by side, all against the
// same kind of peer.
func FalseDrops(ctx context.Context, cfg DropsConfig) (report DropsReport, err error) {
	if err := cfg.validate(); err != nil {
		return report, err
	}
	leave, err := enter(ctx, cfg.Name, cfg.Binaries.Lab)
	if err != nil {
		return report, err
	}
	defer func() { err = leave(err) }()
	report = DropsReport{Started: time.Now(), BFD: cfg.Timers.String(), Sessions: cfg.Sessions, Seconds: cfg.For.Seconds()}
	report.Load[0] = loadAverage()
	for _, stress := range Stresses {
		if len(cfg.Stress) > 0 && !slices.Contains(cfg.Stress, stress.Name) {
			continue
		}
		for _, together := range cfg.turns(stress) {
			results, err := cfg.measure(ctx, stress, together)
			report.Results = append(report.Results, results...)
			if err != nil {
				return report, fmt.Errorf("%s: %w", stress.Name, err)
			}
		}
	}
	report.Load[1] = loadAverage()
	return report, nil
}

// turns returns which daemons are measured together.
func (cfg DropsConfig) turns(stress Stress) [][]Daemon {
	daemons := chosen(bfdDaemons, cfg.Only)
	if stress.Churn == 0 {
		return [][]Daemon{daemons}
	}
	return slices.Collect(slices.Chunk(daemons, 1))
}

func (cfg DropsConfig) measure(ctx context.Context, stress Stress, daemons []Daemon) (results []DropsResult, err error) {
	var stages []*bfdStage
	defer func() {
		for _, s := range stages {
			err = errors.Join(err, s.clear())
		}
	}()
	for _, d := range daemons {
		s, err := setBFDStage(bfdSetting{
			Name: cfg.Name, Binaries: cfg.Binaries, Daemon: d, Uplinks: cfg.Sessions, Timers: cfg.Timers,
			Table: blast.Table{Prefixes: stress.Churn, PerPath: 500},
		})
		if err != nil {
			return nil, err
		}
		stages = append(stages, s)
		if err := s.start(ctx); err != nil {
			return nil, err
		}
	}
	if err := awaitSteady(ctx, stages); err != nil {
		return nil, err
	}
	before, err := allSessions(stages)
	if err != nil {
		return nil, err
	}
	rounds, err := cfg.endure(ctx, stress, stages)
	if err != nil {
		return nil, err
	}
	after, err := allSessions(stages)
	if err != nil {
		return nil, err
	}
	for i, d := range daemons {
		r := DropsResult{Stress: stress.Name, Daemon: d, Rounds: rounds[i]}
		r.count(before[i], after[i])
		if d == HostAgent {
			if r.Late, err = stages[i].lateness(ctx); err != nil {
				return nil, err
			}
		}
		fmt.Fprintf(cfg.Out, "%-6s  %-9s  %5d drops, %4d at worst of one session; the peer was late by %.2f ms at most\n",
			stress.Name, d, r.Drops, r.Worst, r.PeerLate)
		results = append(results, r)
	}
	return results, nil
}

// awaitSteady waits until all sessions are up with their timers, and a while.
func awaitSteady(ctx context.Context, stages []*bfdStage) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errTooLong)
	defer cancel()
	for _, s := range stages {
		if err := s.awaitBFD(ctx); err != nil {
			return err
		}
	}
	return sleep(ctx, time.Second)
}

func allSessions(stages []*bfdStage) ([][]bfdSession, error) {
	var all [][]bfdSession
	for _, s := range stages {
		sessions, err := s.peer.sessions()
		if err != nil {
			return nil, err
		}
		all = append(all, sessions)
	}
	return all, nil
}

// endure has the stress happen for as long as it shall, and returns how often
// the tables of each stage went and came.
func (cfg DropsConfig) endure(ctx context.Context, stress Stress, stages []*bfdStage) (rounds []int, err error) {
	rounds = make([]int, len(stages))
	timed, cancel := context.WithTimeout(ctx, cfg.For)
	defer cancel()
	var churning errgroup.Group
	if stress.Churn > 0 {
		for i, s := range stages {
			churning.Go(func() error { rounds[i] = s.churn(timed); return nil })
		}
	}
	if len(stress.Args) > 0 {
		// In a namespace of ours: what takes these down ends it, whatever happens to us.
		stop, err := startStress(timed, stages[0].middle, stress.Args)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, stop()) }()
	}
	<-timed.Done()
	return rounds, errors.Join(churning.Wait(), ctx.Err())
}

// churn has the first two leaves withdraw and announce their tables.
func (s *bfdStage) churn(ctx context.Context) int {
	const pause = 100 * time.Millisecond
	var group errgroup.Group
	var rounds [2]int
	for i, l := range s.leaves[:len(rounds)] {
		group.Go(func() error { rounds[i] = l.Flap(ctx, pause); return nil })
	}
	_ = group.Wait() // they return none
	return rounds[0] + rounds[1]
}

// startStress starts stress-ng, and returns what ends it.
func startStress(ctx context.Context, ns *netns.NS, args []string) (stop func() error, err error) {
	cmd := exec.CommandContext(ctx, "stress-ng", append(args, "--quiet")...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	if err := ns.Start(cmd); err != nil {
		return nil, fmt.Errorf("starting stress-ng: %w", err)
	}
	return func() error {
		err := cmd.Wait()
		if ctx.Err() != nil {
			return nil // it was told to end
		}
		return fmt.Errorf("stress-ng ended before it was to: %w", err)
	}, nil
}

// lateness asks hostagent.
func (s *bfdStage) lateness(ctx context.Context) (*BFDLateness, error) {
	out, err := s.host.Run(ctx, s.Binaries.HostAgent, "show", "bfd", "-o", "json", "--socket", s.hostagentSocket())
	if err != nil {
		return nil, err
	}
	var bfd struct {
		Peers []struct {
			Sent uint64  `json:"control-packet-output"`
			Late uint64  `json:"lateTimers"`
			Max  float64 `json:"lateMax"`
		}
	}
	if err := json.Unmarshal(out, &bfd); err != nil {
		return nil, fmt.Errorf("reading hostagent show bfd: %w", err)
	}
	l := &BFDLateness{}
	for _, p := range bfd.Peers {
		l.Sent, l.Late, l.Max = l.Sent+p.Sent, l.Late+p.Late, max(l.Max, p.Max)
	}
	return l, nil
}

// count notes how often the sessions fell: each came up again since, or is not
// up now.
func (r *DropsResult) count(before, after []bfdSession) {
	for _, a := range after {
		n := int(a.Ups)
		if i := slices.IndexFunc(before, func(b bfdSession) bool { return b.Peer == a.Peer }); i >= 0 {
			n -= int(before[i].Ups)
		}
		if !a.Up {
			n++
		}
		r.Drops += n
		r.Worst = max(r.Worst, n)
		r.PeerLate = max(r.PeerLate, 1000*a.LateMax.Seconds())
	}
}

// WriteTable writes the measurements for people.
func (r DropsReport) WriteTable(w io.Writer) error {
	fmt.Fprintf(w, "false drops of %d BFD sessions at %s in %.0f s; load average %s before, %s after\n\n",
		r.Sessions, r.BFD, r.Seconds, r.Load[0], r.Load[1])
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "STRESS\tDAEMON\tDROPS\tOF ONE SESSION\tPEER LATE, MS\tCHURN ROUNDS\tLATE TIMERS\tLATEST, MS\t")
	for _, x := range r.Results {
		late, latest := "-", "-"
		if x.Late != nil {
			late, latest = fmt.Sprintf("%d of %d", x.Late.Late, x.Late.Sent), fmt.Sprintf("%.2f", x.Late.Max)
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%.2f\t%d\t%s\t%s\t\n", x.Stress, x.Daemon, x.Drops, x.Worst, x.PeerLate, x.Rounds, late, latest)
	}
	return t.Flush()
}

// WriteJSON writes the report into a file.
func (r DropsReport) WriteJSON(path string) error { return writeJSON(path, r) }
