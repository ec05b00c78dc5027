package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// The addresses of the talk that the scenes are about.
var (
	bms2Address    = netip.MustParseAddr("10.0.2.2")
	anycastAddress = netip.MustParseAddr("192.168.0.250")
	legacyAddress  = netip.MustParseAddr("192.168.101.20")
	legacyNet      = netip.MustParsePrefix("192.168.101.0/24")
)

var errTooLong = errors.New("it took too long")

// fairShare is the least part of the whole that each of two ways must carry
// to count as used: among the calls of a scene, chance alone does not leave
// one with less.
const fairShare = 0.2

func shared(counts map[string]int, ways []string) bool {
	total := 0
	for _, n := range counts {
		total += n
	}
	return !slices.ContainsFunc(ways, func(w string) bool {
		return float64(counts[w]) < fairShare*float64(total) || counts[w] == 0
	})
}

type trafficFigures struct {
	Sessions int            `json:"sessions"`
	Packets  map[string]int `json:"packetsByUplink"`
}

func traffic() Scene {
	return Scene{
		Name:     "traffic and ECMP",
		Expected: "TCP from bms1 to bms2 arrives over both uplinks",
		play:     playTraffic,
	}
}

func playTraffic(ctx context.Context, f *Fabric) (out outcome, err error) {
	const sessions = 200
	bms2, _ := f.Topology.Node("bms2")
	uplinks := f.uplinks(bms2)
	var what []counted
	for _, u := range uplinks {
		what = append(what, counted{u, fmt.Sprintf("iifname %q tcp dport %d", u, trafficPort)})
	}
	packets, err := f.counting(ctx, "bms2", what, func() error {
		return f.callAll(ctx, "bms1", []string{"bms2"}, bms2Address, sessions)
	})
	if err != nil {
		return outcome{}, err
	}
	var parts []string
	for _, u := range uplinks {
		parts = append(parts, fmt.Sprintf("%d packets on %s", packets[u], u))
	}
	return outcome{
		holds:   shared(packets, uplinks),
		seen:    fmt.Sprintf("%d sessions: %s", sessions, strings.Join(parts, ", ")),
		figures: trafficFigures{sessions, packets},
	}, nil
}

// counting counts packets into a node while do runs.
func (f *Fabric) counting(ctx context.Context, node string, what []counted, do func() error) (packets map[string]int, err error) {
	c, err := f.count(ctx, node, what...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := do(); err != nil {
		return nil, err
	}
	return c.Packets(ctx)
}

// callAll makes n TCP sessions to servers that listen for as long.
func (f *Fabric) callAll(ctx context.Context, from string, to []string, addr netip.Addr, n int) error {
	_, err := f.answers(ctx, from, to, netip.AddrPortFrom(addr, trafficPort), n)
	return err
}

// answers is callAll that tells how many sessions each server answered.
func (f *Fabric) answers(ctx context.Context, from string, to []string, addr netip.AddrPort, n int) (by map[string]int, err error) {
	hangUp, err := f.listening(addr, to...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, hangUp()) }()
	return f.calls(ctx, from, addr, n)
}

type legacyFigures struct {
	Sessions int `json:"sessions"`
	Spine    int `json:"packetsOverSpine"`
	Direct   int `json:"packetsFromLegacyIntoBms2"`
}

func legacy() Scene {
	return Scene{
		Name:     "legacy",
		Expected: "legacy reaches bms2, none of it over the spine",
		play:     playLegacy,
	}
}

func playLegacy(ctx context.Context, f *Fabric) (outcome, error) {
	const sessions = 50
	var arrived map[string]int
	either := fmt.Sprintf("ip saddr %s", legacyAddress)
	spine, err := f.counting(ctx, "spine1", []counted{
		{"out", either},
		{"back", fmt.Sprintf("ip daddr %s", legacyAddress)},
	}, func() (err error) {
		arrived, err = f.counting(ctx, "bms2", []counted{{"in", either}}, func() error {
			return f.callAll(ctx, "legacy", []string{"bms2"}, bms2Address, sessions)
		})
		return err
	})
	if err != nil {
		return outcome{}, err
	}
	long := spine["out"] + spine["back"]
	return outcome{
		holds:   long == 0 && arrived["in"] > 0,
		seen:    fmt.Sprintf("%d sessions: %d packets arrived, %d crossed the spine", sessions, arrived["in"], long),
		figures: legacyFigures{sessions, long, arrived["in"]},
	}, nil
}

type anycastFigures struct {
	Answered map[string]int `json:"answered"`
}

func anycast() Scene {
	return Scene{
		Name:     "anycast",
		Expected: "both servers answer legacy at " + anycastAddress.String(),
		play:     playAnycast,
	}
}

func playAnycast(ctx context.Context, f *Fabric) (outcome, error) {
	const sessions = 100
	servers := []string{"bms1", "bms2"}
	answered, err := f.answers(ctx, "legacy", servers, netip.AddrPortFrom(anycastAddress, trafficPort), sessions)
	if err != nil {
		return outcome{}, err
	}
	return outcome{
		holds:   shared(answered, servers),
		seen:    fmt.Sprintf("bms1 answered %d of %d, bms2 %d", answered["bms1"], sessions, answered["bms2"]),
		figures: anycastFigures{answered},
	}, nil
}

type failoverFigures struct {
	Sent        int     `json:"probesSent"`
	LostBefore  int     `json:"lostBefore"`
	LostOut     int     `json:"lostOnTheWayOut"`
	LostBack    int     `json:"lostOnTheWayBack"`
	OutSeconds  float64 `json:"outSeconds"`  // link down to short path gone from the kernel
	BackSeconds float64 `json:"backSeconds"` // link up to short path in the kernel again
}

func failover() Scene {
	return Scene{
		Name:     "failover",
		Expected: "few probes lost when the link goes, none when it returns",
		play:     playFailover,
	}
}

func playFailover(ctx context.Context, f *Fabric) (outcome, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*time.Minute, errTooLong)
	defer cancel()
	p, err := f.newProber("bms1", "legacy", netip.AddrPortFrom(legacyAddress, trafficPort))
	if err != nil {
		return outcome{}, err
	}
	probing, stop := context.WithCancel(ctx)
	var probes []probe
	var group errgroup.Group
	group.Go(func() (err error) { probes, err = p.Run(probing); return err })
	flap, err := f.flap(ctx, "bms1", "leaf1")
	stop()
	if err := errors.Join(err, group.Wait()); err != nil {
		return outcome{}, err
	}
	return flap.judge(probes), nil
}

// A flap is when what happened to a link.
type flap struct{ start, down, moved, up, returned time.Time }

// flap takes the link between a server and a leaf down at the leaf's end, and
// up again when the server has moved its routes to the legacy network away; it
// returns when they are back.
func (f *Fabric) flap(ctx context.Context, server, leaf string) (flap, error) {
	uplink := f.uplinkTo(server, leaf)
	port := f.uplinkTo(leaf, server)
	usesUplink := func(want bool) func() error {
		return func() error {
			r, ok, err := f.RouteTo(ctx, server, legacyNet)
			if err == nil && (!ok || slices.Equal(r.Devices(), []string{uplink}) != want || len(r.Hops) == 0) {
				err = fmt.Errorf("%s has the route %s", server, r)
			}
			return err
		}
	}
	t := flap{start: time.Now()}
	if err := sleep(ctx, time.Second); err != nil {
		return t, err
	}
	t.down = time.Now()
	f.say("  taking down %s of %s", port, leaf)
	if err := f.spaces[leaf].SetDown(port); err != nil {
		return t, err
	}
	if err := f.await(ctx, usesUplink(false)); err != nil {
		return t, err
	}
	t.moved = time.Now()
	if err := sleep(ctx, 2*time.Second); err != nil {
		return t, err
	}
	t.up = time.Now()
	f.say("  bringing it up again")
	if err := f.spaces[leaf].SetUp(port); err != nil {
		return t, err
	}
	if err := f.await(ctx, usesUplink(true)); err != nil {
		return t, err
	}
	t.returned = time.Now()
	if err := f.AwaitConverged(ctx); err != nil {
		return t, err
	}
	return t, sleep(ctx, 2*time.Second)
}

// judge tells what the probes saw of the flap.
func (t flap) judge(probes []probe) outcome {
	g := failoverFigures{
		Sent:        len(probes),
		LostBefore:  lost(probes, t.start, t.down),
		LostOut:     lost(probes, t.down, t.up),
		LostBack:    lost(probes, t.up, time.Time{}),
		OutSeconds:  t.moved.Sub(t.down).Seconds(),
		BackSeconds: t.returned.Sub(t.up).Seconds(),
	}
	// More than a second of probes is no failover but an outage.
	holds := g.LostBefore == 0 && g.LostOut < 100 && g.LostBack == 0
	return outcome{
		holds: holds,
		seen: fmt.Sprintf("%d of %d probes lost out, %d back; short path again after %.1f s",
			g.LostOut, g.Sent, g.LostBack, g.BackSeconds),
		figures: g,
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
