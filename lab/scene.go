package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"
)

// A Scene is a thing that the fabric of the talk is expected to do.
type Scene struct {
	Name     string
	Expected string
	play     func(context.Context, *Fabric) (outcome, error)
}

// outcome is what a scene has shown.
type outcome struct {
	holds   bool   // what was seen is what was expected
	seen    string // in one line
	details string // to be shown beside it: tables and the like, or ""
	figures any    // everything measured, for JSON
}

// Scenes returns the six scenes in the order in which they are played: the
// first needs [Newcomer] asleep and starts it.
func Scenes() []Scene {
	return []Scene{discovery(), traffic(), legacy(), failover(), anycast(), repair()}
}

// A Result is what became of a scene.
type Result struct {
	Scene    string  `json:"scene"`
	Expected string  `json:"expected"`
	Seen     string  `json:"seen"`
	Holds    bool    `json:"holds"`
	Seconds  float64 `json:"seconds"` // how long the scene took to play
	Figures  any     `json:"figures,omitempty"`
}

// Play plays a scene in a fabric of the talk. A scene that cannot be played to
// its end does not hold.
func (s Scene) Play(ctx context.Context, f *Fabric) Result {
	start := time.Now()
	out, err := s.play(ctx, f)
	if err != nil {
		out = outcome{seen: err.Error()}
	}
	if out.details != "" {
		f.say("%s", out.details)
	}
	return Result{
		Scene: s.Name, Expected: s.Expected, Seen: out.seen, Holds: out.holds,
		Seconds: time.Since(start).Seconds(), Figures: out.figures,
	}
}

// A Report is what a demo has shown.
type Report struct {
	Fabric  Topology  `json:"fabric"`
	Started time.Time `json:"started"`
	UpTime  float64   `json:"upSeconds"` // until the fabric had converged
	Scenes  []Result  `json:"scenes"`
	AllHold bool      `json:"allHold"`
}

// Newcomer is the server of the talk's fabric that appears in the first scene.
const Newcomer = "bms1"

// Demo brings the fabric up, plays the six scenes, and takes it down whatever
// happened. The report holds the scenes that were played; the error says why
// there are not six.
func Demo(ctx context.Context, cfg Config) (report Report, err error) {
	cfg.Asleep = []string{Newcomer}
	report = Report{Fabric: cfg.Topology, Started: time.Now()}
	f, err := Up(ctx, cfg)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(interrupted(ctx, err), f.Close()) }()
	f.say("waiting for the routes")
	if err := f.AwaitConverged(ctx); err != nil {
		return report, fmt.Errorf("waiting for the routes: %w", err)
	}
	report.UpTime = time.Since(report.Started).Seconds()
	report.AllHold = true
	for i, s := range Scenes() {
		f.say("\nscene %d: %s: %s", i+1, s.Name, s.Expected)
		r := s.Play(ctx, f)
		if ctx.Err() != nil {
			report.AllHold = false
			return report, context.Cause(ctx)
		}
		f.say("  %s: %s", verdict(r.Holds), r.Seen)
		report.Scenes = append(report.Scenes, r)
		report.AllHold = report.AllHold && r.Holds
	}
	return report, nil
}

func verdict(holds bool) string {
	if holds {
		return "holds"
	}
	return "DOES NOT HOLD"
}

// WriteTable writes the scenes as a table for people.
func (r Report) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SCENE\tEXPECTED\tSEEN\tTIME\t")
	for _, s := range r.Scenes {
		mark := ""
		if !s.Holds {
			mark = "DOES NOT HOLD"
		}
		// The last words must not break the table: errors can be long.
		seen := strings.Join(strings.Fields(s.Seen), " ")
		fmt.Fprintf(t, "%s\t%s\t%s\t%.1f s\t%s\n", s.Scene, s.Expected, seen, s.Seconds, mark)
	}
	return t.Flush()
}

// writeJSON writes v into a file, readable for people too.
func writeJSON(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// WriteJSON writes the report into a file.
func (r Report) WriteJSON(path string) error { return writeJSON(path, r) }
