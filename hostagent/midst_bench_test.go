package hostagent

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lastmile/hostagent/bfd"
	"lastmile/hostagent/bfd/worker"
	"lastmile/hostagent/bgp"
	"lastmile/hostagent/kernel"
	"lastmile/hostagent/rib"
	"lastmile/lab/netns"
)

// stopwatch is a FIB that notes when it has taken a leaf out.
type stopwatch struct {
	*kernel.FIB
	mu   sync.Mutex
	lost map[netip.Addr]time.Time
}

func (s *stopwatch) LeafLost(leaf netip.Addr) {
	s.FIB.LeafLost(leaf)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.lost[leaf]; !ok {
		s.lost[leaf] = time.Now()
	}
}

// busy is an agent with a table of the kernel's own, three leaves, and nothing else that is real.
type busy struct {
	*world
	host  *netns.NS
	fib   *stopwatch
	bfds  chan worker.News
	links chan kernel.State
	news  chan bgp.News

	heeded time.Duration // when faults were heeded last, by the loop's processor time; 0 while nothing is measured
	gap    time.Duration // the longest time between two such
}

// heed is meanwhile, and notes how long it was not called.
func (w *busy) heed() {
	if w.heeded > 0 {
		w.gap = max(w.gap, processorTime()-w.heeded)
	}
	w.Agent.meanwhile()
	if w.heeded > 0 {
		w.heeded = processorTime()
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

var busyLeaves = []string{"fe80::1%eth0", "fe80::2%eth1", "fe80::3%eth2"}

func newBusy(b testing.TB, o kernel.Options) *busy {
	host, leaf := netns.ForTest(b, "host"), netns.ForTest(b, "leaf")
	for i := range busyLeaves {
		if err := netns.Veth(host, fmt.Sprint("eth", i), leaf, fmt.Sprint("swp", i)); err != nil {
			b.Fatal(err)
		}
	}
	if err := host.AddAddress("lo", "10.0.0.1/32"); err != nil {
		b.Fatal(err)
	}
	if err := host.AddAddress("lo", "10.0.0.2/32"); err != nil {
		b.Fatal(err)
	}
	w := &busy{world: newWorld(b, "eth*"), host: host, bfds: make(chan worker.News), links: make(chan kernel.State, 1), news: make(chan bgp.News)}
	o.Heed = w.heed
	table0 := w.cfg.table()
	table0.Heed = w.heed
	w.Agent.rib = rib.New(table0)
	var table *kernel.FIB
	err := host.Do(func() (err error) {
		if _, err := (&kernel.Sysctls{Plain: o.NoObjects}).Set([]string{"eth0", "eth1", "eth2"}); err != nil {
			return err
		}
		if table, err = kernel.OpenFIB(slog.New(slog.DiscardHandler), o); err != nil {
			return err
		}
		return table.Adopt()
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := table.Close(); err != nil {
			b.Error(err)
		}
	})
	w.fib = &stopwatch{FIB: table, lost: map[netip.Addr]time.Time{}}
	w.Agent.fib, w.auditor, w.heritage = w.fib, table, table
	for i := range busyLeaves {
		link := kernel.Link{Name: fmt.Sprint("eth", i), Up: true, LinkLocal: netip.MustParseAddr("fe80::a").WithZone(fmt.Sprint("eth", i))}
		err := host.Do(func() error {
			ifi, err := net.InterfaceByName(link.Name)
			if err == nil {
				link.Index = ifi.Index
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
		w.state.Links[link.Name] = link
	}
	w.state.Loopback = []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32")}
	w.Agent.onKernel(w.ctx, w.state)
	return w
}

// up brings a leaf up with a table.
func (w *busy) up(b testing.TB, i, routes int) {
	leaf := netip.MustParseAddr(busyLeaves[i])
	w.hear(busyLeaves[i])
	w.session(busyLeaves[i], bgp.Established)
	w.tell(i, routes)
	w.onBGP(w.ctx, bgp.Update{Peer: leaf, EndOfRIB: true})
	w.admit()
	w.bfdUp(busyLeaves[i])
	if n := w.fib.Len(); n != routes {
		b.Fatalf("%d routes", n)
	}
}

func (w *busy) tell(i, routes int) {
	leaf := netip.MustParseAddr(busyLeaves[i])
	const each = 500
	for first := 0; first < routes; first += each {
		u := bgp.Update{Peer: leaf}
		attributes := &bgp.Attributes{ASPath: []uint32{uint32(65001 + i), uint32(4200000000 + first)}, Length: 2, LocalPref: 100}
		for n := first; n < min(first+each, routes); n++ {
			var raw [4]byte
			binary.BigEndian.PutUint32(raw[:], 20<<24+uint32(n))
			u.Announced = append(u.Announced, bgp.Route{Prefix: netip.PrefixFrom(netip.AddrFrom4(raw), 32), Attributes: attributes})
		}
		w.onBGP(w.ctx, u)
	}
}

// fail has BFD of a leaf fail while do is done in the loop, and returns how long it took from the worker's news.
func (w *busy) fail(b testing.TB, i int, after time.Duration, do func(context.Context)) (wait, took time.Duration) {
	leaf := netip.MustParseAddr(busyLeaves[i])
	w.fib.mu.Lock()
	delete(w.fib.lost, leaf)
	w.fib.mu.Unlock()
	ctx, cancel := context.WithCancel(w.ctx)
	ended := make(chan struct{})
	go func() { runtime.LockOSThread(); w.loop(ctx, sources{w.links, w.bfds, w.news}); close(ended) }()
	began := time.Now()
	done := make(chan struct{})
	w.queries <- func(ctx context.Context) {
		w.heeded = processorTime()
		do(ctx)
		w.heed()
		w.heeded, took = 0, time.Since(began)
		close(done)
	}
	time.Sleep(after)
	at := time.Now()
	w.bfds <- newsOf(busyLeaves[i], failure(bfd.Expired))
	for {
		w.fib.mu.Lock()
		out, ok := w.fib.lost[leaf]
		w.fib.mu.Unlock()
		if ok {
			wait = out.Sub(at)
			break
		}
		time.Sleep(time.Millisecond)
	}
	<-done
	for w.Alive(ctx) != nil {
	}
	cancel()
	<-ended
	return wait, took
}

// BenchmarkFaultInTheMidst is how long a leaf that BFD finds dead stays in the kernel's groups while the loop does something with
// half a million routes.
func BenchmarkFaultInTheMidst(b *testing.B) {
	const table = 500_000
	for _, plain := range []bool{false, true} {
		size := table
		mode := "objects"
		if plain {
			size, mode = table/5, "multipath"
		}
		w := newBusy(b, kernel.Options{NoObjects: plain})
		for i := range busyLeaves {
			w.up(b, i, size)
		}
		flush := func() {
			if !plain {
				if _, err := w.host.Run(w.ctx, "ip", "nexthop", "flush", "proto", "199"); err != nil {
					b.Fatal(err)
				}
			} else if _, err := w.host.Run(w.ctx, "ip", "route", "flush", "proto", "199"); err != nil {
				b.Fatal(err)
			}
		}
		n := 0
		for _, c := range []struct {
			name   string
			before func()
			do     func(ctx context.Context)
		}{
			{"reinstall", flush, func(context.Context) {
				for w.audit(); w.auditing; w.auditPart() {
					w.heed()
				}
			}},
			{"source", nil, func(ctx context.Context) {
				n++
				w.loopback = []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("10.0.0.%d/32", 1+n%2))}
				w.cfg.RouterID = w.loopback[0].Addr()
				w.Agent.adoptLoopback(ctx)
			}},
			{"leaf-lost", func() { w.back(b, 1, size) }, func(ctx context.Context) {
				w.onBGP(ctx, bgp.PeerState{Peer: netip.MustParseAddr(busyLeaves[1]), State: bgp.Idle, Since: time.Now()})
			}},
			{"leaf-returns", func() {
				w.back(b, 1, size)
				w.apply(w.Agent.rib.SetHold(netip.MustParseAddr(busyLeaves[1]), 1))
			}, func(context.Context) { w.apply(w.Agent.rib.SetHold(netip.MustParseAddr(busyLeaves[1]), 0)) }},
			{"sweep", func() { w.back(b, 1, size); w.restart = restart{until: time.Now()} }, func(context.Context) { w.settle() }},
			{"show", nil, func(context.Context) { w.Agent.rib.Prefixes() }},
		} {
			b.Run(mode+"/"+c.name, func(b *testing.B) {
				var waits, tooks []time.Duration
				last := 20 * time.Millisecond
				w.gap = 0
				for b.Loop() {
					b.StopTimer()
					w.back(b, 0, size)
					if c.before != nil {
						c.before()
					}
					b.StartTimer()
					wait, took := w.fail(b, 0, rand.N(last), c.do)
					last = took
					waits, tooks = append(waits, wait), append(tooks, took)
				}
				slices.Sort(waits)
				slices.Sort(tooks)
				ms := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }
				b.ReportMetric(ms(waits[len(waits)/2]), "ms-median")
				b.ReportMetric(ms(waits[len(waits)-1]), "ms-most")
				b.ReportMetric(ms(w.gap), "cpu-ms-gap")
				b.ReportMetric(ms(tooks[len(tooks)/2]), "ms-work")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// back makes sure that a leaf is used as before any fault.
func (w *busy) back(b testing.TB, i, routes int) {
	u := w.uplinks[fmt.Sprint("eth", i)]
	if u.fault == "" && u.established() && w.Agent.rib.Held(u.leaf) == 0 {
		return
	}
	leaf := busyLeaves[i]
	w.session(leaf, bgp.Idle)
	w.learn(w.ctx)
	w.session(leaf, bgp.Established)
	w.tell(i, routes)
	w.onBGP(w.ctx, bgp.Update{Peer: u.leaf, EndOfRIB: true})
	w.admit()
	w.bfdUp(leaf)
	w.admit()
	if got, _ := w.auditor.Lookup(netip.MustParsePrefix("20.0.0.7/32")); !slices.Contains(got.NextHops, u.leaf) {
		b.Fatalf("%s is not back: %v, %s", leaf, got, u.waitsFor)
	}
}
