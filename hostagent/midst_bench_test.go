package hostagent

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lastmile/hostagent/bfd"
	"lastmile/hostagent/bgp"
	"lastmile/hostagent/kernel"
	"lastmile/hostagent/rib"
)

// stopwatch is a FIB that notes when it has first taken a leaf out.
type stopwatch struct {
	*kernel.FIB
	leaf netip.Addr
	at   atomic.Pointer[time.Time]
}

func (s *stopwatch) LeafLost(leaf netip.Addr) {
	s.FIB.LeafLost(leaf)
	if now := time.Now(); leaf == s.leaf {
		s.at.CompareAndSwap(nil, &now)
	}
}

// processorTime is that of the calling thread: other programs are at work, too.
func processorTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(err)
	}
	return time.Duration(t.Nano())
}

// midst is what one run told.
type midst struct {
	wait time.Duration // from the worker's news until the leaf is in no group that has others
	work time.Duration // that the loop was at
	gap  time.Duration // the longest between two looks for faults, in the loop's processor time
}

// failWhile has BFD of the first leaf fail while do is done in the loop.
func (w *busy) failWhile(after time.Duration, do func(context.Context)) (m midst) {
	watch := &stopwatch{FIB: w.fib, leaf: netip.MustParseAddr(busyLeaves[0])}
	w.Agent.fib = watch
	ctx, cancel := context.WithCancel(w.ctx)
	ended, done := make(chan struct{}), make(chan struct{})
	go func() { runtime.LockOSThread(); w.loop(ctx, w.news); close(ended) }()
	w.queries <- func(ctx context.Context) {
		began, looked := time.Now(), processorTime()
		w.look = func() { now := processorTime(); m.gap, looked = max(m.gap, now-looked), now }
		do(ctx)
		w.look()
		w.look, m.work = func() {}, time.Since(began)
		close(done)
	}
	time.Sleep(after)
	at := time.Now()
	w.bfds <- newsOf(busyLeaves[0], failure(bfd.Expired))
	for watch.at.Load() == nil {
		time.Sleep(100 * time.Microsecond)
	}
	m.wait = watch.at.Load().Sub(at)
	<-done
	for w.Alive(ctx) != nil { // the turn is over
	}
	cancel()
	<-ended
	return m
}

// again has a leaf in use as before any fault.
func (w *busy) again(b testing.TB, i, routes int) {
	leaf := netip.MustParseAddr(busyLeaves[i])
	if u := w.uplinks[leaf.Zone()]; u.fault != "" || !u.established() || w.Agent.rib.Held(leaf) != rib.Free {
		w.goes(i)
		w.comes(i, routes)
	}
	if got, _ := w.fib.Lookup(busyPrefix(7)); !slices.Contains(got.NextHops, leaf) {
		b.Fatalf("%s is not back: %v", leaf, got)
	}
}

// BenchmarkFaultInTheMidst is how long a leaf that BFD finds dead stays in the kernel's groups while the loop is at something that
// takes as long as the table is large.
func BenchmarkFaultInTheMidst(b *testing.B) {
	for _, plain := range []bool{false, true} {
		size, mode := 500_000, "objects/"
		if plain {
			size, mode = 100_000, "multipath/"
		}
		w := newBusy(b, kernel.Options{NoObjects: plain})
		for i := range busyLeaves {
			w.comes(i, size)
		}
		for _, c := range w.midstCases(b, size) {
			b.Run(mode+c.name, func(b *testing.B) { w.benchmarkMidst(b, size, c) })
		}
	}
}

type midstCase struct {
	name   string
	before func()
	do     func(ctx context.Context)
}

func (w *busy) midstCases(b *testing.B, size int) []midstCase {
	second, turn := netip.MustParseAddr(busyLeaves[1]), 0
	again := func() { w.again(b, 1, size) }
	return []midstCase{
		{"reinstall", func() { // somebody removes everything
			what := "nexthop"
			if !w.fib.Objects() {
				what = "route"
			}
			if _, err := w.host.Run(w.ctx, "ip", what, "flush", "proto", "199"); err != nil {
				b.Fatal(err)
			}
		}, func(context.Context) {
			for w.audit(); w.auditing; w.auditPart() {
				w.look()
				w.Agent.meanwhile()
			}
		}},
		{"source", nil, func(ctx context.Context) {
			turn++
			w.loopback = []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("10.0.0.%d/32", 1+turn%2))}
			w.cfg.RouterID = w.loopback[0].Addr()
			w.Agent.adoptLoopback(ctx)
		}},
		{"leaf-lost", again, func(ctx context.Context) {
			w.onBGP(ctx, bgp.PeerState{Peer: second, State: bgp.Idle, Since: time.Now()})
		}},
		{"leaf-returns", func() { again(); w.apply(w.Agent.rib.SetHold(second, rib.Spare)) },
			func(context.Context) { w.apply(w.Agent.rib.SetHold(second, rib.Free)) }},
		{"sweep", func() { again(); w.restart = restart{until: time.Now()} }, func(context.Context) { w.settle() }},
	}
}

func (w *busy) benchmarkMidst(b *testing.B, size int, c midstCase) {
	var waits, works, gaps []time.Duration
	work := 20 * time.Millisecond // the fault is at any time of it
	for b.Loop() {
		b.StopTimer()
		w.again(b, 0, size)
		if c.before != nil {
			c.before()
		}
		b.StartTimer()
		m := w.failWhile(rand.N(work), c.do)
		work = m.work
		waits, works, gaps = append(waits, m.wait), append(works, m.work), append(gaps, m.gap)
	}
	for _, all := range [][]time.Duration{waits, works, gaps} {
		slices.Sort(all)
	}
	ms := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }
	b.ReportMetric(ms(waits[len(waits)/2]), "wait-ms")
	b.ReportMetric(ms(waits[len(waits)-1]), "most-ms")
	b.ReportMetric(ms(works[len(works)/2]), "work-ms")
	b.ReportMetric(ms(gaps[len(gaps)-1]), "gap-cpu-ms")
	b.ReportMetric(0, "ns/op")
}
