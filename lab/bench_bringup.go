package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sync/errgroup"
)

// A BringupReport is what [Bringup] measured.
type BringupReport struct {
	Started    time.Time     `json:"started"`
	Runs       int           `json:"runs"`
	RAInterval float64       `json:"raIntervalSeconds"`
	Results    []BringupTime `json:"results"`
	LinkUps    []LinkUpTime  `json:"linkUps"`
}

// A BringupTime is how long a daemon takes from its start until the route to
// another server is in the kernel over the leaves named, in seconds.
type BringupTime struct {
	Daemon Daemon `json:"daemon"`
	Over   string `json:"over"` // a leaf, or "both"
	Stats
}

// both stands for all leaves in a BringupTime.
const both = "both"

// Bringup measures how long a new server takes from the start of its daemon
// until it has a route to another one over every uplink, with hostagent and
// with FRR by turns, in one fabric. Every start is that of a server the leaves
// have never seen, at a random time between two advertisements of theirs. Then
// each of its links is taken down and up linkRuns times, with either daemon
// running.
func Bringup(ctx context.Context, cfg Config, runs, linkRuns int) (report BringupReport, err error) {
	cfg.Asleep = []string{Newcomer}
	report = BringupReport{Started: time.Now(), Runs: runs, RAInterval: cfg.Topology.RAInterval.Seconds()}
	f, err := Up(ctx, cfg)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(interrupted(ctx, err), f.Close()) }()
	if err := f.AwaitConverged(ctx); err != nil {
		return report, err
	}
	daemons := []Daemon{HostAgent, HostFRR}
	samples := map[Daemon]map[string][]float64{HostAgent: {}, HostFRR: {}}
	for run := range runs {
		for _, d := range daemons {
			times, err := f.bringup(ctx, d)
			if err != nil {
				return report, fmt.Errorf("run %d of %s: %w", run+1, d, err)
			}
			f.say("run %2d  %-9s  leaf1 %6.2f s  leaf2 %6.2f s", run+1, d, times["leaf1"], times["leaf2"])
			for over, seconds := range times {
				samples[d][over] = append(samples[d][over], seconds)
			}
		}
	}
	for _, over := range []string{both, "leaf1", "leaf2"} {
		for _, d := range daemons {
			if runs == 0 {
				break
			}
			report.Results = append(report.Results, BringupTime{d, over, summarise(samples[d][over])})
		}
	}
	for _, d := range daemons {
		if linkRuns == 0 {
			break
		}
		times, err := f.linkUps(ctx, d, linkRuns)
		if err != nil {
			return report, err
		}
		report.LinkUps = append(report.LinkUps, times...)
	}
	return report, nil
}

// bringup measures one start, in seconds by leaf, and stops the daemon again.
func (f *Fabric) bringup(ctx context.Context, d Daemon) (map[string]float64, error) {
	n, _ := f.Topology.Node(Newcomer)
	if err := f.replace(n); err != nil {
		return nil, err
	}
	if err := sleep(ctx, rand.N(f.Topology.RAInterval)); err != nil {
		return nil, err
	}
	// One advertisement may be missed; two of them mean something else.
	limit := 3*f.Topology.RAInterval + 30*time.Second
	timed, cancel := context.WithTimeoutCause(ctx, limit, errTooLong)
	defer cancel()
	group, running := errgroup.WithContext(timed)
	start := time.Now()
	times := map[string]float64{}
	group.Go(func() error { return f.startHostAs(running, n, d) })
	group.Go(func() error { return f.timeHops(running, n, start, times) })
	if err := group.Wait(); err != nil {
		return nil, err
	}
	times[both] = max(times["leaf1"], times["leaf2"])
	if err := f.StopHost(n.Name); err != nil {
		return nil, err
	}
	return times, f.await(timed, func() error { return f.forgotten(timed, n) })
}

// timeHops notes when the route to the other server first had each uplink, in
// seconds after start, by leaf.
func (f *Fabric) timeHops(ctx context.Context, n Node, start time.Time, times map[string]float64) error {
	uplinks := f.Topology.PortsTo(n.Name, LeafFRR, LeafJunos)
	for len(times) < len(uplinks) {
		route, _, err := f.RouteTo(ctx, n.Name, hostPrefix(bms2Address))
		if err != nil {
			return err
		}
		for _, p := range uplinks {
			if _, seen := times[p.To.Name]; !seen && slices.Contains(route.Devices(), p.Interface) {
				times[p.To.Name] = time.Since(start).Seconds()
			}
		}
		if err := sleep(ctx, 5*time.Millisecond); err != nil {
			return fmt.Errorf("%w: the last route was %q", err, route)
		}
	}
	return nil
}

// forgotten returns nil when neither the server nor a leaf has anything left
// of its sessions.
func (f *Fabric) forgotten(ctx context.Context, n Node) error {
	routes, err := f.Routes(ctx, n.Name, 4)
	if err != nil {
		return err
	}
	if len(routes) > 0 {
		return fmt.Errorf("%s still has the route %s", n.Name, routes[0])
	}
	for _, p := range f.Topology.PortsTo(n.Name, LeafFRR, LeafJunos) {
		s, err := f.sessionOn(ctx, p.To.Name, p.Peer.Interface)
		if err != nil {
			return err
		}
		if s != nil && s.Up() {
			return fmt.Errorf("%s still has a session with %s", p.To.Name, n.Name)
		}
	}
	return nil
}

// replace gives a server's uplinks new MAC addresses, and with them new
// link-local ones: to the leaves it is another server.
func (f *Fabric) replace(n Node) error {
	for _, u := range f.uplinks(n) {
		mac := make(net.HardwareAddr, 6)
		for i := range mac {
			mac[i] = byte(rand.N(256))
		}
		mac[0] = mac[0]&^1 | 2 // unicast, locally administered
		err := f.spaces[n.Name].Do(func() error {
			link, err := netlink.LinkByName(u)
			if err != nil {
				return err
			}
			return errors.Join(
				netlink.LinkSetDown(link), netlink.LinkSetHardwareAddr(link, mac), netlink.LinkSetUp(link))
		})
		if err != nil {
			return fmt.Errorf("%s: replacing %s: %w", n.Name, u, err)
		}
	}
	return nil
}

// WriteTable writes the measurements for people, with hostagent's advantage.
func (r BringupReport) WriteTable(w io.Writer) error {
	if len(r.Results) > 0 {
		if err := r.writeStarts(w); err != nil {
			return err
		}
	}
	if len(r.LinkUps) > 0 {
		return writeLinkUps(w, r.LinkUps)
	}
	return nil
}

func (r BringupReport) writeStarts(w io.Writer) error {
	fmt.Fprintf(w, "start of the daemon to ECMP route in the kernel, %d starts each, leaves advertise every %.0f s\n\n",
		r.Runs, r.RAInterval)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "OVER\tDAEMON\tMEDIAN\tWORST\tBEST\tSPREAD\tMEDIAN RATIO\t")
	for _, b := range r.Results {
		fmt.Fprintf(t, "%s\t%s\t%.2f s\t%.2f s\t%.2f s\t%.2f s\t%.1f\t\n",
			b.Over, b.Daemon, b.Median, b.Worst, b.Best, b.Spread, b.Median/r.median(HostAgent, b.Over))
	}
	return t.Flush()
}

func (r BringupReport) median(d Daemon, over string) float64 {
	i := slices.IndexFunc(r.Results, func(b BringupTime) bool { return b.Daemon == d && b.Over == over })
	return r.Results[i].Median
}

// WriteJSON writes the report into a file.
func (r BringupReport) WriteJSON(path string) error { return writeJSON(path, r) }
