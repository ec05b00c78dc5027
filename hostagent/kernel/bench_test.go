package kernel_test

import "testing"

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
