package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"lastmile/lab/netns"
)

// A Stress is what else a server does while its BFD sessions are watched.
type Stress struct {
	Name string
	Args []string // of stress-ng; none for nothing
	// Churn is how many routes the leaves announce and withdraw all the time.
	// The daemons have it by turns, each for itself.
	Churn int
	// Scanned is how many routes the kernel looks at, in one system call that it does
	// not interrupt, whenever a link of another namespace goes down; 0 for no such link.
	Scanned int
}

// Stresses are those that are measured.
var Stresses = []Stress{
	{Name: "idle"},
	{Name: "cpu 4", Args: []string{"--cpu", "4"}},
	{Name: "cpu 16", Args: []string{"--cpu", "16"}},
	{Name: "mix", Args: strings.Fields("--cpu 2 --vm 2 --vm-bytes 256M --switch 2 --pipe 2 --sock 2")},
	{Name: "churn", Churn: 100_000},
	{Name: "calls", Scanned: 500_000},
}

// endure has the stress happen for as long as it shall, and returns how often
// the tables of each stage went and came, or the link went down.
func (cfg DropsConfig) endure(ctx context.Context, stress Stress, stages []*bfdStage) (rounds []int, f Floor, err error) {
	rounds = make([]int, len(stages))
	var calls *longCalls
	if stress.Scanned > 0 {
		if calls, err = startLongCalls(stages[0].middle, stress.Scanned); err != nil {
			return nil, f, err
		}
		defer func() { err = errors.Join(err, calls.end()) }()
	}
	floor, err := startFloor(cfg.Binaries.RTFloor)
	if err != nil {
		return nil, f, err
	}
	defer func() {
		var e error
		f, e = floor.end()
		err = errors.Join(err, e)
	}()
	timed, cancel := context.WithTimeout(ctx, cfg.For)
	defer cancel()
	if len(stress.Args) > 0 {
		// In a namespace of ours: what takes these down ends it, whatever happens to us.
		stop, err := startStress(timed, stages[0].middle, stress.Args)
		if err != nil {
			return nil, f, err
		}
		defer func() { err = errors.Join(err, stop()) }()
	}
	var group errgroup.Group
	for i, s := range stages {
		if stress.Churn > 0 {
			group.Go(func() error { rounds[i] = s.churn(timed); return nil })
		}
	}
	if calls != nil {
		n, e := calls.make(timed)
		for i := range rounds {
			rounds[i] = n
		}
		err = e
	}
	<-timed.Done()
	return rounds, f, errors.Join(err, group.Wait(), ctx.Err())
}

// churn has the first two leaves withdraw and announce their tables.
func (s *bfdStage) churn(ctx context.Context) int {
	const pause = 100 * time.Millisecond
	var group errgroup.Group
	var rounds [2]int
	for i, l := range s.leaves[:len(rounds)] {
		group.Go(func() error { rounds[i] = l.Flap(ctx, pause); return nil })
	}
	_ = group.Wait() // they return none
	return rounds[0] + rounds[1]
}

// startStress starts stress-ng, and returns what ends it.
func startStress(ctx context.Context, ns *netns.NS, args []string) (stop func() error, err error) {
	cmd := exec.CommandContext(ctx, "stress-ng", append(args, "--quiet")...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	if err := ns.Start(cmd); err != nil {
		return nil, fmt.Errorf("starting stress-ng: %w", err)
	}
	return func() error {
		err := cmd.Wait()
		if ctx.Err() != nil {
			return nil // it was told to end
		}
		return fmt.Errorf("stress-ng ended before it was to: %w", err)
	}, nil
}
