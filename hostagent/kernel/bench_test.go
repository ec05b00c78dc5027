package kernel_test

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"lastmile/hostagent/kernel"
)

// BenchmarkApply is the way of a full table: in, over to one leaf, back to both, out. An operation is a route.
func BenchmarkApply(b *testing.B) {
	const table = 100_000
	server := newBench(b)
	if _, err := server.sysctls(); err != nil {
		b.Fatal(err)
	}
	fib := server.open()
	both, one, none := hostRoutes(table, leaf0, leaf1), hostRoutes(table, leaf1), hostRoutes(table)
	mixed := hostRoutes(table, leaf0)
	for i := 1; i < table; i += 2 {
		mixed[i].NextHops = one[i].NextHops
	}
	tests := []struct {
		name          string
		before, order func()
	}{
		{"install", func() { server.apply(fib, none...) }, func() { server.apply(fib, both...) }},
		{"leaf-lost", func() { server.apply(fib, both...) }, func() { server.apply(fib, one...) }},
		{"split-sets", func() { server.apply(fib, none...); server.apply(fib, both...) }, func() { server.apply(fib, mixed...) }},
		{"nothing-new", func() { server.apply(fib, both...) }, func() { server.apply(fib, both...) }},
		{"audit", func() { server.apply(fib, both...) }, func() {
			if changed, err := fib.Audit(); changed || err != nil {
				b.Fatal(changed, err)
			}
		}},
		{"remove", func() { server.apply(fib, both...) }, func() { server.apply(fib, none...) }},
	}
	for _, test := range tests {
		b.Run(test.name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				test.before()
				b.StartTimer()
				test.order()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/table, "ns/route")
		})
	}
}

// BenchmarkLeafLost is the time until no route uses a leaf, by the number of routes. The median is what counts: on a machine
// that has other work, the kernel's wait for its other processors (synchronize_net) may take long.
func BenchmarkLeafLost(b *testing.B) {
	tables := map[bool][]int{false: {10, 10_000, 100_000, 500_000}, true: {10, 10_000, 100_000}}
	for _, plain := range []bool{false, true} {
		for _, table := range tables[plain] {
			benchmarkLeafLost(b, table, plain)
		}
	}
}

func benchmarkLeafLost(b *testing.B, table int, plain bool) {
	name := map[bool]string{false: "objects/", true: "multipath/"}[plain]
	b.Run(name+strconv.Itoa(table), func(b *testing.B) {
		server := newBench(b)
		server.options.NoObjects = plain
		if _, err := server.sysctls(); err != nil {
			b.Fatal(err)
		}
		fib := server.open()
		both := hostRoutes(table, leaf0, leaf1)
		var took []time.Duration
		for b.Loop() {
			b.StopTimer()
			fib.LossesKnown()
			server.apply(fib, both...)
			b.StartTimer()
			began := time.Now()
			fib.LeafLost(leaf0)
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Nanoseconds()), "ns/median")
	})
}

// BenchmarkRestart takes over the routes of an earlier run, has the leaves confirm them, and sweeps.
func BenchmarkRestart(b *testing.B) {
	const table = 100_000
	for name, plain := range map[string]bool{"objects": false, "multipath": true} {
		server := newBench(b)
		server.options.NoObjects = plain
		if _, err := server.sysctls(); err != nil {
			b.Fatal(err)
		}
		orders := hostRoutes(table, leaf0, leaf1)
		server.killedRun(orders...)
		var fib *kernel.FIB
		open := func() {
			fib = server.openSourced()
			if fib.Len() != table {
				b.Fatalf("%d routes taken over", fib.Len())
			}
		}
		leave := func() {
			if err := fib.Leave(); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(name+"/take-over", func(b *testing.B) {
			for b.Loop() {
				open()
				b.StopTimer()
				leave()
				b.StartTimer()
			}
		})
		b.Run(name+"/confirm", func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				open()
				sent := fib.Sent()
				b.StartTimer()
				server.apply(fib, orders...)
				server.sweep(fib, orders...)
				b.StopTimer()
				if n := fib.Sent() - sent; n > 0 {
					b.Errorf("%d messages written for nothing that differs", n)
				}
				leave()
				b.StartTimer()
			}
		})
	}
}

// BenchmarkAuditPart is for how long an audit holds up whoever has to answer a fault.
func BenchmarkAuditPart(b *testing.B) {
	for _, table := range []int{10_000, 100_000, 500_000} {
		b.Run(strconv.Itoa(table), func(b *testing.B) {
			server := newBench(b)
			if _, err := server.sysctls(); err != nil {
				b.Fatal(err)
			}
			fib := server.open()
			server.apply(fib, hostRoutes(table, leaf0, leaf1)...)
			var took []time.Duration
			for b.Loop() {
				for done := false; !done; {
					began := time.Now()
					var changed bool
					var err error
					if done, changed, err = fib.AuditPart(); changed || err != nil {
						b.Fatal(changed, err)
					}
					took = append(took, time.Since(began))
				}
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Nanoseconds()), "ns/part-median")
			b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds()), "ns/part-99th")
		})
	}
}
