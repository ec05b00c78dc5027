package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A ScaleReport is what [Scale] measured.
type ScaleReport struct {
	Started time.Time `json:"started"`
	Servers int       `json:"servers"`
	// Commits is how many commits the switchagent used for all servers.
	Commits int `json:"commits"`
	// StanzaSeconds and SessionSeconds are from the first link coming up to
	// the last stanza committed and to the last session Established.
	StanzaSeconds  float64 `json:"stanzaSeconds"`
	SessionSeconds float64 `json:"sessionSeconds"`
	// Touched is how many sessions came up more than once or went down.
	Touched int `json:"sessionsTouchedTwice"`
}

// Crowd returns a fabric of one Junos leaf and a node that stands for many
// servers: it has a link for each, all of which are down at first, and FRR
// behind them, since as many kernels and daemons would measure the machine.
func Crowd(name string, servers int) (Topology, error) {
	if servers < 1 || servers > 1000 {
		return Topology{}, fmt.Errorf("%d servers: want 1 to 1000", servers)
	}
	t := Topology{
		Name: name, RAInterval: 30 * time.Second,
		Nodes: []Node{
			{Name: "leaf1", Kind: LeafJunos, AS: 65001, Loopbacks: prefixes("10.255.255.1/32")},
			{Name: "crowd", Kind: Server, Daemon: HostFRR, AS: 64512, Loopbacks: prefixes("10.0.1.1/32")},
		},
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
	report = ScaleReport{Started: time.Now(), Servers: len(cfg.Topology.Links)}
	f, err := Up(ctx, cfg)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	ctx, cancel := context.WithTimeoutCause(ctx, 5*time.Minute, errTooLong)
	defer cancel()
	// The leaf's ports first: without carrier nothing happens on them yet.
	for _, l := range cfg.Topology.Links {
		if err := f.spaces[l.A.Node].SetUp(l.A.Interface); err != nil {
			return report, err
		}
	}
	f.say("%d servers appear", report.Servers)
	start := time.Now()
	for _, l := range cfg.Topology.Links {
		if err := f.spaces[l.B.Node].SetUp(l.B.Interface); err != nil {
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
	log, err := os.Open(filepath.Join(f.nodeDir("leaf1"), "junos.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "msg=committed") && strings.Contains(lines.Text(), "database="+instance) {
			report.Commits++
		}
	}
	return lines.Err()
}

// WriteTable writes the report for people.
func (r ScaleReport) WriteTable(w io.Writer) error {
	_, err := fmt.Fprintf(w, `%d servers appeared at once on one leaf:
  commits                       %d
  last stanza committed after   %.2f s
  last session Established      %.2f s
  sessions touched twice        %d
`, r.Servers, r.Commits, r.StanzaSeconds, r.SessionSeconds, r.Touched)
	return err
}

// WriteJSON writes the report into a file.
func (r ScaleReport) WriteJSON(path string) error { return writeJSON(path, r) }
