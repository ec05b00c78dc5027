package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// failoverFigures are those of one way in which a link dies.
type failoverFigures struct {
	Sent        int     `json:"probesSent"`
	LostBefore  int     `json:"lostBefore"` // more than 100 ms before the link goes
	LostOut     int     `json:"lostOnTheWayOut"`
	LostBack    int     `json:"lostOnTheWayBack"`
	OutSeconds  float64 `json:"outSeconds"`  // link down to short path gone from the kernel
	BackSeconds float64 `json:"backSeconds"` // link up to short path in the kernel again
}

func failover() Scene {
	return Scene{
		Name:     "failover",
		Expected: "few probes lost when the link goes or falls silent, none when it returns",
		play:     playFailover,
	}
}

// flapped are the figures of the scene: the link loses its carrier, and then all
// packets with its carrier kept.
type flapped struct {
	Carrier failoverFigures `json:"carrierLoss"`
	Silent  failoverFigures `json:"silentLoss"`
}

func playFailover(ctx context.Context, f *Fabric) (outcome, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 3*time.Minute, errTooLong)
	defer cancel()
	var g flapped
	carrier, err := f.probedFlap(ctx, CarrierLoss, &g.Carrier)
	if err != nil {
		return outcome{}, err
	}
	silent, err := f.probedFlap(ctx, SilentLoss, &g.Silent)
	if err != nil {
		return outcome{}, fmt.Errorf("%s: %w", SilentLoss, err)
	}
	return outcome{
		holds:   carrier.holds && silent.holds,
		seen:    fmt.Sprintf("link gone: %s; silent: %s", carrier.seen, silent.seen),
		figures: g,
	}, nil
}

// probedFlap has the link to leaf1 die and live again while probes go from bms1
// to the legacy network.
func (f *Fabric) probedFlap(ctx context.Context, fault Fault, figures *failoverFigures) (outcome, error) {
	p, err := f.newProber("bms1", "legacy", netip.AddrPortFrom(legacyAddress, trafficPort))
	if err != nil {
		return outcome{}, err
	}
	probing, stop := context.WithCancel(ctx)
	var probes []probe
	var group errgroup.Group
	group.Go(func() (err error) { probes, err = p.Run(probing); return err })
	flap, err := f.flap(ctx, fault, "bms1", "leaf1")
	stop()
	if err := errors.Join(err, group.Wait()); err != nil {
		return outcome{}, err
	}
	limit := time.Second // more is no failover but an outage
	if fault == SilentLoss {
		limit += f.Topology.BFD.DetectTime()
	}
	out := flap.judge(probes, limit)
	*figures = out.figures.(failoverFigures)
	return out, nil
}

// A flap is when what happened to a link.
type flap struct{ start, down, moved, up, returned time.Time }

// flap has the link between a server and a leaf die at the leaf's end, and live
// again when the server has moved its routes to the legacy network away; it
// returns when they are back.
func (f *Fabric) flap(ctx context.Context, fault Fault, server, leaf string) (flap, error) {
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
	f.say("  %s on %s of %s", fault, port, leaf)
	t.down = time.Now()
	if err := f.fail(ctx, fault, leaf, port); err != nil {
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
	f.say("  it is sound again")
	if err := f.heal(ctx, fault, leaf, port); err != nil {
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

// muteTable is where a port's packets are dropped: before anything sees those
// that come in, and behind everything for those that go out, those of the kernel
// too. The other end of the link keeps its carrier.
const muteTable = "netdev lastmile_lab"

// fail has a port of a node die, in one way or the other.
func (f *Fabric) fail(ctx context.Context, fault Fault, node, port string) error {
	if fault == CarrierLoss {
		return f.spaces[node].SetDown(port)
	}
	_, err := f.spaces[node].Run(ctx, "nft", fmt.Sprintf(`table %s {
		chain in { type filter hook ingress device "%s" priority 0; policy drop; }
		chain out { type filter hook egress device "%[2]s" priority 0; policy drop; }
	}`, muteTable, port))
	return err
}

// heal ends what fail did.
func (f *Fabric) heal(ctx context.Context, fault Fault, node, port string) error {
	if fault == CarrierLoss {
		return f.spaces[node].SetUp(port)
	}
	_, err := f.spaces[node].Run(ctx, "nft", "delete table "+muteTable)
	return err
}

// underway is for how long before the link goes a probe counts as lost on the
// way out: it, or its answer, may have been on that link.
const underway = 20 * time.Millisecond

// judge tells what the probes saw of the flap, of which those of limit may be
// lost.
func (t flap) judge(probes []probe, limit time.Duration) outcome {
	out := t.down.Add(-underway)
	g := failoverFigures{
		Sent:        len(probes),
		LostBefore:  lost(probes, t.start, out),
		LostOut:     lost(probes, out, t.up),
		LostBack:    lost(probes, t.up, time.Time{}),
		OutSeconds:  t.moved.Sub(t.down).Seconds(),
		BackSeconds: t.returned.Sub(t.up).Seconds(),
	}
	holds := g.LostBefore == 0 && g.LostOut < int(limit/probeEvery) && g.LostBack == 0
	seen := fmt.Sprintf("%d of %d probes lost out, %d back", g.LostOut, g.Sent, g.LostBack)
	if g.LostBefore > 0 {
		seen += fmt.Sprintf("; %d lost before anything happened", g.LostBefore)
	}
	return outcome{holds: holds, seen: seen, figures: g}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
