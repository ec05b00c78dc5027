package lab

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// discoveryFigures are the times, in seconds after the start of the daemon, at
// which things were first seen so.
type discoveryFigures struct {
	Milestones map[string]float64 `json:"milestonesSeconds"`
	Paths      []Path             `json:"paths"`
}

func discovery() Scene {
	return Scene{
		Name:     "discovery",
		Expected: "both leaves peer with " + Newcomer + ", every table gets the routes",
		play:     playDiscovery,
	}
}

// A milestone is something that becomes true while a server joins.
type milestone struct {
	name  string
	minor bool // not worth a word of its own in the end
	held  func(context.Context) (bool, error)
}

func playDiscovery(ctx context.Context, f *Fabric) (outcome, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 90*time.Second, errTooLong)
	defer cancel()
	milestones := f.joining(Newcomer, "bms2")
	start := time.Now()
	group, joining := errgroup.WithContext(ctx)
	group.Go(func() error { return f.StartHost(joining, Newcomer) })
	reached := map[string]float64{}
	group.Go(func() error { return f.watch(joining, milestones, start, reached) })
	if err := group.Wait(); err != nil {
		return outcome{}, err
	}
	return f.discovered(ctx, milestones, reached)
}

// joining returns what is expected when server joins a fabric in which other
// already is.
func (f *Fabric) joining(server, other string) []milestone {
	var ms []milestone
	add := func(name string, held func(context.Context) (bool, error)) {
		ms = append(ms, milestone{name, strings.HasSuffix(name, "route"), held})
	}
	n, _ := f.Topology.Node(server)
	far, _ := f.Topology.Node(other)
	for _, p := range f.Topology.PortsTo(server, LeafFRR, LeafJunos) {
		leaf, port := p.To, p.Peer.Interface
		if leaf.Kind == LeafJunos {
			add(leaf.Name+" stanza", func(ctx context.Context) (bool, error) {
				s, err := f.sessionOn(ctx, leaf.Name, port)
				return s != nil, err
			})
		}
		add(leaf.Name+" session", func(ctx context.Context) (bool, error) {
			s, err := f.sessionOn(ctx, leaf.Name, port)
			return s != nil && s.Up(), err
		})
		add(leaf.Name+" route", func(ctx context.Context) (bool, error) {
			r, ok, err := f.RouteTo(ctx, leaf.Name, hostPrefix(n.RouterID()))
			return ok && slices.Equal(r.Devices(), []string{port}), err
		})
	}
	ecmp := func(from, to Node) func(context.Context) (bool, error) {
		return func(ctx context.Context) (bool, error) {
			r, ok, err := f.RouteTo(ctx, from.Name, hostPrefix(to.RouterID()))
			return ok && len(missingHops(r, f.uplinks(from))) == 0, err
		}
	}
	add(server+" ECMP route", ecmp(n, far))
	add(other+" ECMP route", ecmp(far, n))
	return ms
}

// watch notes in reached when each milestone was first seen, in seconds after
// start, and returns when all were.
func (f *Fabric) watch(ctx context.Context, ms []milestone, start time.Time, reached map[string]float64) error {
	return f.await(ctx, func() error {
		var missing []string
		for _, m := range ms {
			if _, ok := reached[m.name]; ok {
				continue
			}
			held, err := m.held(ctx)
			if err != nil {
				return err
			}
			if !held {
				missing = append(missing, m.name)
				continue
			}
			reached[m.name] = time.Since(start).Seconds()
			f.say("  %6.2f s  %s", reached[m.name], m.name)
		}
		if len(missing) > 0 {
			return fmt.Errorf("not seen: %s", strings.Join(missing, ", "))
		}
		return nil
	})
}

func (f *Fabric) sessionOn(ctx context.Context, node, iface string) (*Session, error) {
	sessions, err := f.Sessions(ctx, node)
	i := slices.IndexFunc(sessions, func(s Session) bool { return s.Interface == iface })
	if err != nil || i < 0 {
		return nil, err
	}
	return &sessions[i], nil
}

// discovered looks at the tables once all milestones are reached: the legacy
// network must be known by the short path and by the long one over the spine,
// and the kernel must take the short one.
func (f *Fabric) discovered(ctx context.Context, ms []milestone, reached map[string]float64) (outcome, error) {
	var parts []string
	last := 0.0
	for _, m := range ms {
		last = max(last, reached[m.name])
		if !m.minor {
			parts = append(parts, fmt.Sprintf("%s %.1f s", m.name, reached[m.name]))
		}
	}
	out := outcome{holds: true, seen: fmt.Sprintf("%s, all routes %.1f s", strings.Join(parts, ", "), last)}
	paths, text, err := f.showPaths(ctx, "bms1", "bms2", "leaf1", "leaf2")
	if err != nil {
		return outcome{}, err
	}
	out.details = text
	out.figures = discoveryFigures{Milestones: reached, Paths: paths}
	for _, server := range []string{"bms1", "bms2"} {
		r, _, err := f.RouteTo(ctx, server, legacyNet)
		if err != nil {
			return outcome{}, err
		}
		if !slices.Equal(r.Devices(), []string{f.uplinkTo(server, "leaf1")}) {
			out.holds = false
			out.seen += fmt.Sprintf("; but %s takes%s for the legacy network", server, r)
		}
	}
	return out, nil
}

// uplinkTo returns the interface of a server that leads to a leaf.
func (f *Fabric) uplinkTo(server, leaf string) string {
	for _, p := range f.Topology.Ports(server) {
		if p.To.Name == leaf {
			return p.Interface
		}
	}
	return ""
}

func hostPrefix(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }
