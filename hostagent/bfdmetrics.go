package hostagent

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lastmile/hostagent/bfd"
	"lastmile/hostagent/bfd/worker"
)

// bfdCollector asks the worker for its counters whenever somebody reads the
// metrics: they are where the sessions are.
type bfdCollector struct{ agent *Agent }

// scrapeWithin is how long the worker may take to answer a reader of metrics. It
// needs microseconds; what it does not answer is left out.
const scrapeWithin = time.Second

func bfdDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("hostagent_bfd_"+name, help, labels, nil)
}

var (
	bfdState      = bfdDesc("session_state", "The state that the BFD session with the uplink's leaf is in is 1.", "link", "state")
	bfdSent       = bfdDesc("packets_sent_total", "BFD packets sent.", "link")
	bfdReceived   = bfdDesc("packets_received_total", "BFD packets of the leaf that were used.", "link")
	bfdDropped    = bfdDesc("packets_dropped_total", "BFD packets that were not used, of the leaf and of nobody's.", "link", "reason")
	bfdLost       = bfdDesc("packets_lost_total", "BFD packets that the worker was too slow to read.", "link")
	bfdSendErrors = bfdDesc("send_errors_total", "BFD packets that the kernel refused to send.", "link")
	bfdLate       = bfdDesc("late_timers_total", "Timers that came late by more than a quarter of the transmit interval.", "link")
	bfdLateMax    = bfdDesc("late_timer_max_seconds", "The latest that a timer ever came.", "link")
	bfdFailures   = bfdDesc("session_failures_total", "Sessions that were up and failed.", "link")
	bfdDetect     = bfdDesc("detect_time_seconds", "How long after its last packet the leaf is called dead, as negotiated; 0 while it is not heard.", "link")
	bfdWorkerRuns = bfdDesc("worker_running", "Whether a BFD worker runs.")
	bfdScheduling = bfdDesc("worker_scheduling", "How the BFD worker is scheduled is 1: fifo, or without the privilege nice or normal.", "mode")
	bfdLocked     = bfdDesc("worker_memory_locked", "Whether the BFD worker's memory is locked.")
	bfdWatchdog   = bfdDesc("worker_watchdog", "Whether the BFD worker has the watchdog in the kernel, or why not.", "reason")
	bfdWatched    = bfdDesc("session_watchdog", "What the watchdog in the kernel does for the session with the uplink's leaf is 1.", "link", "state")
	bfdTold       = bfdDesc("watchdog_events_total", "Silences of the leaf that the watchdog told of, before the worker had found them, after that, and wrongly.", "link", "event")
	bfdMoves      = bfdDesc("worker_moves_total", "Times that the BFD worker was late and was moved to another processor.")
	bfdMover      = bfdDesc("worker_mover", "Whether the BFD worker has its mover, or why not.", "reason")
	bfdRestarts   = bfdDesc("worker_restarts_total", "BFD workers that died and were replaced.")
)

// Describe implements prometheus.Collector.
func (c bfdCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		bfdState, bfdSent, bfdReceived, bfdDropped, bfdLost, bfdSendErrors, bfdLate, bfdLateMax, bfdFailures, bfdDetect,
		bfdWatched, bfdTold, bfdWorkerRuns, bfdScheduling, bfdLocked, bfdWatchdog, bfdMoves, bfdMover, bfdRestarts,
	} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c bfdCollector) Collect(out chan<- prometheus.Metric) {
	client := c.agent.bfdClient()
	if client == nil {
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	s := client.Status()
	gauge(bfdWorkerRuns, number(s.Running))
	gauge(bfdLocked, number(s.Running && s.LockedMemory))
	out <- prometheus.MustNewConstMetric(bfdRestarts, prometheus.CounterValue, float64(s.Restarts))
	for _, mode := range []worker.Scheduling{worker.FIFO, worker.Nice, worker.Normal} {
		gauge(bfdScheduling, number(s.Running && s.Scheduling == mode), mode.String())
	}
	if !s.Running {
		return
	}
	gauge(bfdWatchdog, number(s.Watchdog), s.WatchdogReason)
	ctx, cancel := context.WithTimeout(context.Background(), scrapeWithin)
	defer cancel()
	sessions, err := client.Sessions(ctx)
	if err != nil {
		return // worker_running says so, or will
	}
	links := map[string]bool{}
	var moves uint64 // the worker's, told with each session
	for i := range sessions {
		collectSession(out, &sessions[i], links)
		moves = max(moves, sessions[i].Moves)
	}
	if len(sessions) > 0 {
		out <- prometheus.MustNewConstMetric(bfdMoves, prometheus.CounterValue, float64(moves))
		gauge(bfdMover, number(sessions[0].Mover == worker.MoverRuns), sessions[0].Mover.String())
	}
}

// collectSession sends what is counted of a session. links holds those that have
// been told of: another session there, of an adopted worker, is not a second
// leaf.
func collectSession(out chan<- prometheus.Metric, s *worker.Session, links map[string]bool) {
	link := s.Peer.Zone()
	if !s.Known || !s.Claimed || links[link] {
		return
	}
	links[link] = true
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, append([]string{link}, labels...)...)
	}
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), append([]string{link}, labels...)...)
	}
	for _, state := range []bfd.State{bfd.AdminDown, bfd.Down, bfd.Init, bfd.Up} {
		gauge(bfdState, number(s.State == state), state.String())
	}
	for _, state := range []worker.Watchdog{worker.Unguarded, worker.Refused, worker.Waiting, worker.Guarded} {
		gauge(bfdWatched, number(s.Watchdog == state), state.String())
	}
	count(bfdTold, s.WatchdogFirst, "first")
	count(bfdTold, s.WatchdogSecond, "second")
	count(bfdTold, s.WatchdogFalse, "false")
	for _, d := range bfd.Drops() {
		count(bfdDropped, s.Drops[d]+s.Link.Drops[d], d.String())
	}
	count(bfdSent, s.Sent)
	count(bfdReceived, s.Received)
	count(bfdLost, s.Link.Lost)
	count(bfdSendErrors, s.SendErrors)
	count(bfdLate, s.Late)
	count(bfdFailures, s.Failures)
	gauge(bfdLateMax, s.LateMax.Seconds())
	gauge(bfdDetect, s.DetectTime.Seconds())
}
