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

// underway is for how long before the link goes a probe counts as lost on the
// way out: it, or its answer, may have been on that link.
const underway = 20 * time.Millisecond

// judge tells what the probes saw of the flap.
func (t flap) judge(probes []probe) outcome {
	out := t.down.Add(-underway)
	g := failoverFigures{
		Sent:        len(probes),
		LostBefore:  lost(probes, t.start, out),
		LostOut:     lost(probes, out, t.up),
		LostBack:    lost(probes, t.up, time.Time{}),
		OutSeconds:  t.moved.Sub(t.down).Seconds(),
		BackSeconds: t.returned.Sub(t.up).Seconds(),
	}
	// More than a second of probes is no failover but an outage.
	holds := g.LostBefore == 0 && g.LostOut < 100 && g.LostBack == 0
	seen := fmt.Sprintf("%d of %d probes lost out, %d back; short path again after %.1f s",
		g.LostOut, g.Sent, g.LostBack, g.BackSeconds)
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
