package worker_test

import (
	"fmt"
	"os/exec"
	"slices"
	"testing"
	"time"

	"lastmile/bpf/uplink"
	"lastmile/hostagent/bfd"
	"lastmile/hostagent/bfd/worker"
)

// BenchmarkDetection silences a leaf, and measures how long after the detect time
// the worker notices and the client is told, with the kernel's watchdog and without.
// The client is a process like any other. An operation is six sessions.
//
//	go test -run '^$' -bench Detection -benchtime 10x ./hostagent/bfd/worker
func BenchmarkDetection(b *testing.B) {
	for _, privileged := range []bool{true, false} {
		for _, hogs := range []int{0, 8} {
			for _, watchdog := range []bool{false, true} {
				with, what := settings{}, "fifo"
				if !privileged {
					with.wrap, what = []string{"setpriv", "--bounding-set", "-sys_nice"}, "normal"
				}
				b.Run(fmt.Sprintf("%s/hogs=%d/watchdog=%t", what, hogs, watchdog), func(b *testing.B) {
					benchmarkDetection(b, with, hogs, watchdog)
				})
			}
		}
	}
}

func benchmarkDetection(b *testing.B, with settings, hogs int, watchdog bool) {
	server, leaf := sixUplinks(b)
	if watchdog {
		with.maps = load(b, server).attach(uplink.Auto).maps
	}
	ends := []*agent{startAgent(b, server, with), startAgent(b, leaf, settings{})}
	a := ends[0]
	if watchdog {
		a.watchdogOn()
	}
	// The leaf waits for us for long: what is measured is how we wait for it.
	watchAll(ends, timersOf(100*time.Millisecond, 20), timersOf(100*time.Millisecond, 3))
	startHogs(b, hogs)
	read := 0
	failures := func() (all []news) {
		told := a.told()
		for _, n := range told[read:] {
			if n.Failed {
				all = append(all, n)
			}
		}
		return all
	}
	var noticed, told []time.Duration
	for b.Loop() {
		eventually(b, "six sessions", func() bool { return a.allUp(watchdog) })
		read = len(a.told())
		time.Sleep(300 * time.Millisecond) // the kernel's timers run from the next packet
		silence(b, leaf, true)
		eventually(b, "six failures", func() bool { return len(failures()) >= uplinks })
		for _, n := range failures() {
			end := n.Change.LastReceived + n.Change.DetectTime
			noticed, told = append(noticed, n.Change.At-end), append(told, n.Told-end)
		}
		silence(b, leaf, false)
	}
	var first, second uint64
	for _, s := range a.ask(request{Sessions: true}).Sessions {
		first, second = first+s.WatchdogFirst, second+s.WatchdogSecond
	}
	reportTimes(b, "noticed", noticed)
	reportTimes(b, "told", told)
	b.ReportMetric(float64(first), "watchdog-first")
	b.ReportMetric(float64(second), "watchdog-second")
	b.ReportMetric(0, "ns/op") // the wait for the sessions to come up
}

// startHogs starts processes that take all the processor there is.
func startHogs(b *testing.B, n int) {
	b.Helper()
	for range n {
		hog := exec.Command("sh", "-c", "while :; do :; done")
		if err := hog.Start(); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { hog.Process.Kill(); hog.Wait() })
	}
}

func reportTimes(b *testing.B, name string, all []time.Duration) {
	slices.Sort(all)
	b.ReportMetric(float64(all[0].Microseconds()), "µs-"+name+"-min")
	b.ReportMetric(float64(all[len(all)/2].Microseconds()), "µs-"+name+"-median")
	b.ReportMetric(float64(all[len(all)*9/10].Microseconds()), "µs-"+name+"-p90")
	b.ReportMetric(float64(all[len(all)-1].Microseconds()), "µs-"+name+"-max")
}

// allUp says whether all sessions run at full speed, and the kernel watches them.
func (a *agent) allUp(watchdog bool) bool {
	n := 0
	for _, s := range a.ask(request{Sessions: true}).Sessions {
		if s.State == bfd.Up && s.DetectTime == 300*time.Millisecond && (s.Watchdog == worker.Guarded) == watchdog {
			n++
		}
	}
	return n == uplinks
}
