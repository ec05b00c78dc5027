package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"lastmile/lab/blast"
)

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
	Occasion
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
	// Which end noticed, by the leaf's count of failures: the leaf, when it heard
	// nothing of the daemon, so the daemon was late; or the daemon, and then the leaf
	// was late or the daemon did not read what came.
	ByLeaf   int `json:"noticedByLeaf"`
	ByServer int `json:"noticedByServer"`
	// PeerLate is by how much the other end, the same before all daemons, was
	// late at worst, since it runs: its sessions may fall for that too.
	PeerLate float64 `json:"peerLateMs"`
	Rounds   int     `json:"rounds,omitempty"` // times that the table went and came, or of long system calls
	Floor    Floor   `json:"floor"`            // of the machine, meanwhile
	// Late are hostagent's timers, since it runs; the others do not tell.
	Late *BFDLateness `json:"late,omitempty"`
}

// BFDLateness is how well hostagent's BFD worker kept time.
type BFDLateness struct {
	Sent uint64  `json:"sent"` // packets
	Late uint64  `json:"late"` // timers later than a quarter of the interval
	Max  float64 `json:"maxMs"`
	// Moves is how often the worker had to go to another processor for that.
	Moves uint64 `json:"moves"`
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
	report = DropsReport{Occasion: begin(), BFD: cfg.Timers.String(), Sessions: cfg.Sessions, Seconds: cfg.For.Seconds()}
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
	report.end()
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
	rounds, floor, err := cfg.endure(ctx, stress, stages)
	if err != nil {
		return nil, err
	}
	after, err := allSessions(stages)
	if err != nil {
		return nil, err
	}
	for i, d := range daemons {
		r := DropsResult{Stress: stress.Name, Daemon: d, Rounds: rounds[i], Floor: floor}
		r.count(before[i], after[i])
		if d == HostAgent {
			if r.Late, err = stages[i].lateness(ctx); err != nil {
				return nil, err
			}
		}
		fmt.Fprintf(cfg.Out, "%-6s  %-9s  %5d drops, %4d at worst of one session; the peer was late by %.2f ms at most, the machine by %.2f\n",
			stress.Name, d, r.Drops, r.Worst, r.PeerLate, floor.One)
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
		Worker struct{ Moves uint64 }
	}
	if err := json.Unmarshal(out, &bfd); err != nil {
		return nil, fmt.Errorf("reading hostagent show bfd: %w", err)
	}
	l := &BFDLateness{Moves: bfd.Worker.Moves}
	for _, p := range bfd.Peers {
		l.Sent, l.Late, l.Max = l.Sent+p.Sent, l.Late+p.Late, max(l.Max, p.Max)
	}
	return l, nil
}

// count notes how often the sessions fell: each came up again since, or is not
// up now.
func (r *DropsResult) count(before, after []bfdSession) {
	for _, a := range after {
		var b bfdSession
		if i := slices.IndexFunc(before, func(b bfdSession) bool { return b.Peer == a.Peer }); i >= 0 {
			b = before[i]
		}
		n := int(a.Ups - b.Ups)
		if !a.Up {
			n++
		}
		r.Drops += n
		r.Worst = max(r.Worst, n)
		noticed := int(a.Expired - b.Expired)
		r.ByLeaf += noticed
		r.ByServer += int(a.Failures-b.Failures) - noticed
		r.PeerLate = max(r.PeerLate, 1000*a.LateMax.Seconds())
	}
}

// WriteTable writes the measurements for people.
func (r DropsReport) WriteTable(w io.Writer) error {
	fmt.Fprintf(w, "false drops of %d BFD sessions at %s in %.0f s; load average %s before, %s after\n\n",
		r.Sessions, r.BFD, r.Seconds, r.Load[0], r.Load[1])
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "STRESS\tDAEMON\tDROPS\tOF ONE SESSION\tNOTICED BY LEAF, SERVER\tPEER LATE, MS\tROUNDS\tLATE TIMERS\tLATEST, MS\tMOVES\tNO PROCESSOR: A CERTAIN ONE, ANY, MS\t")
	for _, x := range r.Results {
		late, latest, moves := "-", "-", "-"
		if x.Late != nil {
			late, latest, moves = fmt.Sprintf("%d of %d", x.Late.Late, x.Late.Sent), fmt.Sprintf("%.2f", x.Late.Max), fmt.Sprint(x.Late.Moves)
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d, %d\t%.2f\t%d\t%s\t%s\t%s\t%.2f, %.2f\t\n", x.Stress, x.Daemon, x.Drops, x.Worst,
			x.ByLeaf, x.ByServer, x.PeerLate, x.Rounds, late, latest, moves, x.Floor.One, x.Floor.All)
	}
	return t.Flush()
}

// WriteJSON writes the report into a file.
func (r DropsReport) WriteJSON(path string) error { return writeJSON(path, r) }
