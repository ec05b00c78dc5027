package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A ScaleReport is what [Scale] measured.
type ScaleReport struct {
	Started time.Time `json:"started"`
	Servers int       `json:"servers"`
	// Commits is how many commits the switchagent used for all servers, and
	// Changes how many objects of the router they touched, a neighbour being
	// one: as many as there are servers if none was touched twice.
	Commits int `json:"commits"`
	Changes int `json:"changes"`
	// StanzaSeconds and SessionSeconds are from the first link coming up to
	// the last stanza committed and to the last session Established.
	StanzaSeconds  float64 `json:"stanzaSeconds"`
	SessionSeconds float64 `json:"sessionSeconds"`
	// Touched is how many sessions came up more than once or went down.
	Touched int `json:"sessionsTouchedTwice"`
}

// Crowd returns a fabric of one Junos leaf with its spine and a node that
// stands for many servers: it has a link for each, all of which are down at
// first, and FRR behind them, since as many kernels and daemons would measure
// the machine.
func Crowd(name string, servers int) (Topology, error) {
	if servers < 1 || servers > 1000 {
		return Topology{}, fmt.Errorf("%d servers: want 1 to 1000", servers)
	}
	t := Topology{
		Name: name, RAInterval: 30 * time.Second,
		Nodes: []Node{
			{Name: "spine1", Kind: Spine, AS: 65201, Loopbacks: prefixes("10.255.255.201/32")},
			{Name: "leaf1", Kind: LeafJunos, AS: 65001, Loopbacks: prefixes("10.255.255.1/32")},
			{Name: "crowd", Kind: Server, Daemon: HostFRR, AS: 64512, Loopbacks: prefixes("10.0.1.1/32")},
		},
		Links: []Link{{
			A: addressed("leaf1", "et-0-0-0", "fc00:1::1/64"), B: addressed("spine1", "swp1", "fc00:1::201/64"),
		}},
	}
	for i := range servers {
		t.Links = append(t.Links, Link{
			A: bare("leaf1", fmt.Sprintf("ge-0-0-%d", i)), B: bare("crowd", fmt.Sprintf("eth%d", i)), Down: true,
		})
	}
	return t, nil
}

// Scale lets many servers appear at once on a Junos leaf, and counts what the
// switchagent makes of it. cfg's topology is a Crowd.
func Scale(ctx context.Context, cfg Config) (report ScaleReport, err error) {
	links := cfg.Topology.PortsTo("leaf1", Server)
	report = ScaleReport{Started: time.Now(), Servers: len(links)}
	f, err := Up(ctx, cfg)
	if err != nil {
		return report, err
	}
	whole := ctx
	defer func() { err = errors.Join(interrupted(whole, err), f.Close()) }()
	ctx, cancel := context.WithTimeoutCause(ctx, 5*time.Minute, errTooLong)
	defer cancel()
	// The leaf's ports first: without carrier nothing happens on them yet.
	for _, l := range links {
		if err := f.spaces[l.Node].SetUp(l.Interface); err != nil {
			return report, err
		}
	}
	f.say("%d servers appear", report.Servers)
	start := time.Now()
	for _, l := range links {
		if err := f.spaces[l.Peer.Node].SetUp(l.Peer.Interface); err != nil {
			return report, err
		}
	}
	err = f.await(ctx, func() error { return f.allPeer(ctx, start, &report) })
	if err != nil {
		return report, err
	}
	// What touches a session again would do so soon, in one of the next polls.
	if err := sleep(ctx, 10*time.Second); err != nil {
		return report, err
	}
	return report, f.recount(ctx, &report)
}

// allPeer returns nil when every server has a session, and notes the times.
func (f *Fabric) allPeer(ctx context.Context, start time.Time, report *ScaleReport) error {
	sessions, err := f.Sessions(ctx, "leaf1")
	if err != nil {
		return err
	}
	up := 0
	sessions = slices.DeleteFunc(sessions, func(s Session) bool { return s.Peer == "spine1" })
	for _, s := range sessions {
		if s.Up() {
			up++
		}
	}
	if len(sessions) == report.Servers && report.StanzaSeconds == 0 {
		report.StanzaSeconds = time.Since(start).Seconds()
		f.say("  %6.2f s  all stanzas", report.StanzaSeconds)
	}
	if up < report.Servers {
		return fmt.Errorf("%d stanzas, %d sessions of %d", len(sessions), up, report.Servers)
	}
	report.SessionSeconds = time.Since(start).Seconds()
	f.say("  %6.2f s  all sessions", report.SessionSeconds)
	return nil
}

// recount counts the commits, as the leaf logged them, and the sessions that
// were disturbed.
func (f *Fabric) recount(ctx context.Context, report *ScaleReport) error {
	sessions, err := f.Sessions(ctx, "leaf1")
	if err != nil {
		return err
	}
	for _, s := range sessions {
		if s.Established != 1 || s.Dropped != 0 {
			report.Touched++
		}
	}
	return f.countCommits(report)
}

// countCommits reads the simulated Junos' log for the commits in the
// switchagent's instance.
func (f *Fabric) countCommits(report *ScaleReport) error {
	log, err := os.Open(filepath.Join(f.nodeDir("leaf1"), "junos.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	mine := fmt.Sprintf("msg=committed database=%q", "ephemeral "+instance)
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if !strings.Contains(lines.Text(), mine) {
			continue
		}
		report.Commits++
		_, rest, _ := strings.Cut(lines.Text(), " objects=")
		objects, err := strconv.Atoi(strings.TrimSpace(rest))
		if err != nil {
			return fmt.Errorf("reading the leaf's log: %q: %w", lines.Text(), err)
		}
		report.Changes += objects
	}
	return lines.Err()
}

// WriteTable writes the report for people.
func (r ScaleReport) WriteTable(w io.Writer) error {
	_, err := fmt.Fprintf(w, `%d servers appeared at once on one leaf:
  commits                       %d, touching %d neighbours
  last stanza committed after   %.2f s
  last session Established      %.2f s
  sessions touched twice        %d
`, r.Servers, r.Commits, r.Changes, r.StanzaSeconds, r.SessionSeconds, r.Touched)
	return err
}

// WriteJSON writes the report into a file.
func (r ScaleReport) WriteJSON(path string) error { return writeJSON(path, r) }
