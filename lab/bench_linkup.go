package lab

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"
)

// A LinkUpTime is how long a server takes, its daemon running, from the moment
// a leaf's port comes up until something, in seconds.
type LinkUpTime struct {
	Daemon Daemon `json:"daemon"`
	Leaf   string `json:"leaf"`
	To     string `json:"to"` // untilSession or untilRoute
	Stats
}

// What a LinkUpTime is until: the leaf says that the session is Established;
// the route to another server leads over this leaf too, in the kernel.
const (
	untilSession = "Established"
	untilRoute   = "ECMP route"
)

// linkLimit is for one link to come back.
const linkLimit = time.Minute

// linkUps takes each of the newcomer's links down and up, so many times, with
// the daemon running.
func (f *Fabric) linkUps(ctx context.Context, d Daemon, runs int) ([]LinkUpTime, error) {
	n, _ := f.Topology.Node(Newcomer)
	if err := f.startHostAs(ctx, n, d); err != nil {
		return nil, err
	}
	view, err := newKernelView(f.spaces[n.Name])
	if err != nil {
		return nil, err
	}
	defer view.close()
	samples := map[string][]float64{}
	ports := f.Topology.PortsTo(n.Name, LeafFRR, LeafJunos)
	for _, p := range ports {
		if err := f.prepareLeaf(ctx, p); err != nil {
			return nil, err
		}
		if err := f.awaitRoute(ctx, view, p, true); err != nil {
			return nil, err
		}
	}
	for run := range runs {
		for _, p := range ports {
			session, route, err := f.linkUp(ctx, view, p)
			if err != nil {
				return nil, fmt.Errorf("%s, %s up again, run %d: %w", d, p.To.Name, run+1, err)
			}
			f.say("link up %2d  %-9s  %s  session %7.1f ms  route %7.1f ms", run+1, d, p.To.Name, 1000*session, 1000*route)
			samples[p.To.Name+untilSession] = append(samples[p.To.Name+untilSession], session)
			samples[p.To.Name+untilRoute] = append(samples[p.To.Name+untilRoute], route)
		}
	}
	var times []LinkUpTime
	for _, p := range ports {
		for _, to := range []string{untilSession, untilRoute} {
			times = append(times, LinkUpTime{d, p.To.Name, to, summarise(samples[p.To.Name+to])})
		}
	}
	return times, f.StopHost(n.Name)
}

// prepareLeaf makes the leaf's port usable as soon as it is up, without
// duplicate address detection, which takes a second or two and is nothing of
// the server's, and its bgpd say when a session comes up.
func (f *Fabric) prepareLeaf(ctx context.Context, p Port) error {
	if err := f.spaces[p.To.Name].Sysctl("net.ipv6.conf."+p.Peer.Interface+".accept_dad", "0"); err != nil {
		return err
	}
	r, err := f.router(p.To.Name)
	if err != nil {
		return err
	}
	return r.Configure(ctx, fmt.Sprintf("router bgp %d", p.To.AS), "bgp log-neighbor-changes")
}

// linkUp takes one link down at the leaf's end, and up again after a second or
// two, and returns how long the session and the route took, in seconds.
func (f *Fabric) linkUp(ctx context.Context, view *kernelView, p Port) (session, route float64, err error) {
	leaf := f.spaces[p.To.Name]
	if err := leaf.SetDown(p.Peer.Interface); err != nil {
		return 0, 0, err
	}
	if err := f.awaitRoute(ctx, view, p, false); err != nil {
		return 0, 0, err
	}
	if err := sleep(ctx, time.Second+rand.N(time.Second)); err != nil {
		return 0, 0, err
	}
	log := filepath.Join(f.nodeDir(p.To.Name), "bgpd.log")
	before, err := os.Stat(log)
	if err != nil {
		return 0, 0, err
	}
	start := time.Now()
	if err := leaf.SetUp(p.Peer.Interface); err != nil {
		return 0, 0, err
	}
	came := make(chan result, 1)
	go func() {
		err := awaitLine(ctx, log, before.Size(), "%ADJCHANGE: neighbor ", " Up")
		came <- result{time.Since(start).Seconds(), err}
	}()
	if err := f.awaitRoute(ctx, view, p, true); err != nil {
		return 0, 0, err
	}
	route = time.Since(start).Seconds()
	up := <-came
	// What flaps too soon is held back by some.
	return up.seconds, route, firstError(up.err, sleep(ctx, time.Second))
}

type result struct {
	seconds float64
	err     error
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// awaitRoute waits until the server's route to the other one leads over the
// port, or does not.
func (f *Fabric) awaitRoute(ctx context.Context, view *kernelView, p Port, want bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, linkLimit, errTooLong)
	defer cancel()
	index := 0
	err := f.spaces[p.Node].Do(func() error {
		ifi, err := net.InterfaceByName(p.Interface)
		if err == nil {
			index = ifi.Index
		}
		return err
	})
	for err == nil {
		var over devices
		if over, err = view.routeTo(hostPrefix(bms2Address)); err != nil || over[index] == want {
			return err
		}
		err = sleep(ctx, time.Millisecond)
	}
	what := "over"
	if !want {
		what = "not over"
	}
	return fmt.Errorf("waiting for the route %s %s: %w; the leaf's last words: %s", what, p.Interface, err,
		lastLine(filepath.Join(f.nodeDir(p.To.Name), "bgpd.log")))
}

// awaitLine waits until a line with these words, in this order, is appended to
// a log.
func awaitLine(ctx context.Context, path string, from int64, words ...string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, linkLimit, errTooLong)
	defer cancel()
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	for {
		text, err := io.ReadAll(io.NewSectionReader(file, from, 1<<20))
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			if strings.HasSuffix(line, "\n") && hasWords(line, words) {
				return nil
			}
		}
		if err := sleep(ctx, time.Millisecond); err != nil {
			return fmt.Errorf("waiting for %q in %s: %w", words, path, err)
		}
	}
}

func hasWords(line string, words []string) bool {
	for _, w := range words {
		_, rest, found := strings.Cut(line, w)
		if !found {
			return false
		}
		line = rest
	}
	return true
}

// writeLinkUps writes the table for people, with hostagent's advantage.
func writeLinkUps(w io.Writer, times []LinkUpTime) error {
	ours := map[string]float64{}
	for _, x := range times {
		if x.Daemon == HostAgent {
			ours[x.Leaf+x.To] = x.Median
		}
	}
	fmt.Fprintf(w, "\na link comes up, the daemon running, %d times each\n\n", len(times[0].Samples))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "LINK TO\tUNTIL\tDAEMON\tMEDIAN\tWORST\tBEST\tSPREAD\tMEDIAN RATIO\t")
	for _, x := range times {
		fmt.Fprintf(t, "%s\t%s\t%s\t%.0f ms\t%.0f ms\t%.0f ms\t%.0f ms\t%.1f\t\n", x.Leaf, x.To, x.Daemon,
			1000*x.Median, 1000*x.Worst, 1000*x.Best, 1000*x.Spread, x.Median/ours[x.Leaf+x.To])
	}
	return t.Flush()
}
