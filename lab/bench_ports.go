package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"lastmile/lab/junos"
)

// PortsConfig says what [Ports] measures.
type PortsConfig struct {
	Binaries Binaries
	Ports    int
	Over     time.Duration // in which they come up, evenly
	Runs     int
	Out      io.Writer
}

// A PortsReport is what [Ports] measured.
type PortsReport struct {
	Occasion
	Ports   int           `json:"ports"`
	Over    float64       `json:"overSeconds"`
	Results []PortsResult `json:"results"`
}

// A PortsResult is that of one kind of stanza; a sample is that of one run.
type PortsResult struct {
	Inventory bool  `json:"inventory"` // stanzas have an AS, limits and a policy
	Commits   Stats `json:"commits"`
	Polls     Stats `json:"polls"`
	// Last is the seconds from the first port's coming up until the last session is Established,
	// Wait the median of all ports' from a port's coming up until its own is, and Longest the worst.
	Last    Stats `json:"lastSessionSeconds"`
	Wait    Stats `json:"waitSeconds"`
	Longest Stats `json:"longestWaitSeconds"`
	// In and Out are megabytes on the wire to and from the leaf in that time, SSH's included.
	In   Stats `json:"toLeafMB"`
	Out  Stats `json:"fromLeafMB"`
	CPU  Stats `json:"cpuSeconds"` // of the switchagent
	Peak Stats `json:"peakMB"`
	// Disturbed is how many sessions that were up commits have touched, in all runs.
	Disturbed int `json:"disturbed"`
}

// A portsRun is one run's figures.
type portsRun struct {
	commits, polls, last, wait, longest, in, out, cpu, peak float64

	disturbed int
}

// Ports lets many ports of one leaf come up within seconds, a server at each, and counts what the
// switchagent makes of it. The simulated leaf is in this process, before a World, where a session
// is up as soon as its stanza is committed: it needs no privileges.
func Ports(ctx context.Context, cfg PortsConfig) (report PortsReport, err error) {
	if cfg.Ports < 1 || cfg.Ports > 3072 || cfg.Over < 0 || cfg.Runs < 1 {
		return report, fmt.Errorf("%d ports over %s, %d runs: want 1 to 3072 over 0s or more, and 1 or more", cfg.Ports, cfg.Over, cfg.Runs)
	}
	report = PortsReport{Occasion: begin(), Ports: cfg.Ports, Over: cfg.Over.Seconds()}
	for _, inventory := range []bool{false, true} {
		var runs []portsRun
		for run := range cfg.Runs {
			r, err := cfg.run(ctx, inventory)
			if err != nil {
				return report, interrupted(ctx, fmt.Errorf("run %d: %w", run+1, err))
			}
			fmt.Fprintf(cfg.Out, "inventory %-5v  run %d  %2.0f commits  last session after %5.2f s  longest wait %.2f s  %.2f MB to the leaf, %.2f MB from it\n",
				inventory, run+1, r.commits, r.last, r.longest, r.in, r.out)
			runs = append(runs, r)
		}
		report.Results = append(report.Results, summarisePorts(inventory, runs))
	}
	report.end()
	return report, nil
}

func summarisePorts(inventory bool, runs []portsRun) PortsResult {
	of := func(f func(portsRun) float64) Stats {
		var samples []float64
		for _, r := range runs {
			samples = append(samples, f(r))
		}
		return summarise(samples)
	}
	x := PortsResult{
		Inventory: inventory,
		Commits:   of(func(r portsRun) float64 { return r.commits }), Polls: of(func(r portsRun) float64 { return r.polls }),
		Last: of(func(r portsRun) float64 { return r.last }), Wait: of(func(r portsRun) float64 { return r.wait }),
		Longest: of(func(r portsRun) float64 { return r.longest }),
		In:      of(func(r portsRun) float64 { return r.in }), Out: of(func(r portsRun) float64 { return r.out }),
		CPU: of(func(r portsRun) float64 { return r.cpu }), Peak: of(func(r portsRun) float64 { return r.peak }),
	}
	for _, r := range runs {
		x.Disturbed += r.disturbed
	}
	return x
}

// portsInventory lists a server for each port, with an address and a shared one.
func portsInventory(ports int) string {
	var b strings.Builder
	b.WriteString("port,server,as,prefixes,shared\n")
	for i := range ports {
		fmt.Fprintf(&b, "%s,bms%d,%d,10.%d.%d.%d/32,192.168.0.250/32\n", junos.SyntheticPort(i), i, 4_200_000_000+i, 1+i>>16, i>>8&0xff, i&0xff)
	}
	return b.String()
}

// run is one switchagent before one leaf.
func (cfg PortsConfig) run(ctx context.Context, inventory bool) (r portsRun, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, cfg.Over+5*time.Minute, errTooLong)
	defer cancel()
	dir, err := os.MkdirTemp("", "lastmile-ports-")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	more := fmt.Sprintf("max_sessions: %d\nunknown: accept\n", cfg.Ports)
	if inventory {
		path := filepath.Join(dir, inventoryFile)
		if err := os.WriteFile(path, []byte(portsInventory(cfg.Ports)), 0o600); err != nil {
			return r, err
		}
		more = fmt.Sprintf("max_sessions: %d\ninventory: %s\n", cfg.Ports, path)
	}
	s, err := startSidecar(filepath.Join(dir, "leaf"), cfg.Binaries.SwitchAgent, cfg.Ports, more)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.await(ctx, func() error { return s.polling(ctx) }); err != nil {
		return r, err
	}
	return r, s.portsComeUp(ctx, cfg, &r)
}

// portsComeUp plugs one server in after the other, and waits for the sessions.
func (s *sidecar) portsComeUp(ctx context.Context, cfg PortsConfig, r *portsRun) error {
	servers := junos.SyntheticNeighbors(cfg.Ports, cfg.Ports)
	before, err := s.sample(ctx)
	if err != nil {
		return err
	}
	in, out := s.leaf.in.Load(), s.leaf.out.Load()
	start := time.Now()
	plugged := make([]time.Time, len(servers))
	for i, server := range servers {
		if err := sleep(ctx, time.Until(start.Add(cfg.Over*time.Duration(i)/time.Duration(len(servers))))); err != nil {
			return err
		}
		plugged[i] = time.Now()
		if err := s.leaf.world.Plug(server.Interface, server.Address, server.MAC); err != nil {
			return err
		}
	}
	err = s.await(ctx, func() error {
		if up := s.leaf.world.EstablishedCount(); up < len(servers) {
			return fmt.Errorf("%d sessions of %d: %s", up, len(servers), lastLine(s.log))
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.in, r.out = megabytes(int(s.leaf.in.Load()-in)), megabytes(int(s.leaf.out.Load()-out))
	// What touches a session again would do so soon, in one of the next polls.
	if err := sleep(ctx, 5*time.Second); err != nil {
		return err
	}
	after, err := s.sample(ctx)
	if err != nil {
		return err
	}
	r.cpu, r.peak = (after.usage.cpu - before.usage.cpu).Seconds(), megabytes(after.usage.peak)
	r.polls = after.polls - before.polls
	r.disturbed = len(s.leaf.world.Disturbed())
	return s.committedPorts(servers, start, plugged, r)
}

// committedPorts tells from the leaf's commits when each session came up: with its stanza.
func (s *sidecar) committedPorts(servers []junos.Neighbor, start time.Time, plugged []time.Time, r *portsRun) error {
	index := map[string]int{}
	for i, server := range servers {
		index[server.Interface] = i
	}
	var waits []float64
	for _, c := range s.leaf.device.History() {
		added := 0
		for line := range strings.Lines(c.Diff) {
			_, rest, found := strings.Cut(line, "local-interface ")
			if !found || !strings.HasPrefix(line, "+") {
				continue
			}
			i, known := index[strings.TrimSuffix(strings.TrimSpace(rest), ";")]
			if !known {
				return fmt.Errorf("a commit has %q, which is no port", strings.TrimSpace(line))
			}
			waits = append(waits, c.Time.Sub(plugged[i]).Seconds())
			added++
		}
		if added > 0 {
			r.commits++
			r.last = c.Time.Sub(start).Seconds()
		}
	}
	if len(waits) != len(servers) {
		return fmt.Errorf("%d stanzas were committed for %d ports", len(waits), len(servers))
	}
	w := summarise(waits)
	r.wait, r.longest = w.Median, w.Worst
	return nil
}

// WriteTable writes the measurements for people.
func (r PortsReport) WriteTable(w io.Writer) error {
	fmt.Fprintf(w, "%d ports come up within %.0f s, a server at each; medians (spread) of %d runs; load average %s before, %s after\n\n",
		r.Ports, r.Over, len(r.Results[0].Commits.Samples), r.Load[0], r.Load[1])
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "INVENTORY\tCOMMITS\tPOLLS\tLAST SESSION, S\tMEDIAN WAIT, S\tLONGEST WAIT, S\tTO LEAF, MB\tFROM LEAF, MB\tCPU S\tPEAK MB\tDISTURBED\t")
	for _, x := range r.Results {
		fmt.Fprintf(t, "%v\t%.0f (%.0f)\t%.0f\t%.2f (%.2f)\t%.2f (%.2f)\t%.2f (%.2f)\t%.2f\t%.2f\t%.2f\t%.1f\t%d\t\n", x.Inventory,
			x.Commits.Median, x.Commits.Spread, x.Polls.Median, x.Last.Median, x.Last.Spread, x.Wait.Median, x.Wait.Spread,
			x.Longest.Median, x.Longest.Spread, x.In.Median, x.Out.Median, x.CPU.Median, x.Peak.Median, x.Disturbed)
	}
	return t.Flush()
}

// WriteJSON writes the report into a file.
func (r PortsReport) WriteJSON(path string) error { return writeJSON(path, r) }
