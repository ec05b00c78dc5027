package hostagent

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"lastmile/hostagent/kernel"
)

type registerer = prometheus.Registerer

// metrics are the agent's; all are set by the loop.
type metrics struct {
	uplinkUp     *prometheus.GaugeVec
	sessionUp    *prometheus.GaugeVec
	kept         *prometheus.GaugeVec
	received     *prometheus.GaugeVec
	routes       prometheus.Gauge
	announced    prometheus.Gauge
	transitions  *prometheus.CounterVec
	otherRouters *prometheus.CounterVec
	looped       *prometheus.CounterVec
	rejected     *prometheus.CounterVec
	fibErrors    prometheus.Counter
	repairs      prometheus.Counter
	objects      prometheus.Gauge

	reloaded       prometheus.Gauge
	faults         *prometheus.CounterVec
	bfdTransitions *prometheus.CounterVec
	detected       prometheus.Histogram
	toKernel       *prometheus.HistogramVec
}

// overruns counts what its socket lost of the kernel's news.
func overruns(w *kernel.Watcher) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "hostagent_netlink_overruns_total",
		Help: "Times that the kernel had more news of links, addresses and neighbours than the socket could hold; all was read again.",
	}, func() float64 { return float64(w.Overruns()) })
}

func newMetrics(reg registerer) *metrics {
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "hostagent_" + name, Help: help}, labels)
		reg.MustRegister(v)
		return v
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "hostagent_" + name, Help: help}, labels)
		reg.MustRegister(v)
		return v
	}
	m := &metrics{
		uplinkUp:     gauge("uplink_up", "Whether the uplink has carrier and a link-local address.", "link"),
		sessionUp:    gauge("bgp_session_up", "Whether the BGP session with the uplink's leaf is Established.", "link"),
		kept:         gauge("bgp_routes_kept", "Whether the routes of the uplink's leaf are kept while its BGP restarts.", "link"),
		received:     gauge("bgp_prefixes_received", "Prefixes that the uplink's leaf announces and that are accepted.", "link"),
		routes:       gauge("routes", "Prefixes routed over at least one leaf.").WithLabelValues(),
		announced:    gauge("announced_prefixes", "Prefixes announced to the leaves.").WithLabelValues(),
		transitions:  counter("bgp_session_transitions_total", "Sessions that came up or went down.", "link", "to"),
		otherRouters: counter("nd_other_router_advertisements_total", "Advertisements of a router other than the one peered with.", "link"),
		looped:       counter("bgp_announcements_looped_total", "Announcements passed over because our own AS stands in the path more often than allowas_in.", "link"),
		rejected:     counter("bgp_announcements_rejected_total", "Announcements that the import rules rejected.", "link"),
		fibErrors:    counter("fib_errors_total", "Batches of routes that the kernel refused in part or whole; they are tried again.").WithLabelValues(),
		objects:      gauge("nexthop_objects", "Whether routes share next-hop objects; if not, losing a leaf costs one message a route.").WithLabelValues(),
		repairs:      counter("fib_repairs_total", "Audits that found routes or next hops missing in the kernel.").WithLabelValues(),

		reloaded:       gauge("config_last_reload_success", "Whether the last reload of the configuration was taken over.").WithLabelValues(),
		faults:         counter("faults_total", "Leaves taken out of the routes, by what noticed first that they were dead.", "link", "detector"),
		bfdTransitions: counter("bfd_session_transitions_total", "Changes of state of BFD sessions.", "link", "to", "cause"),
	}
	m.reloaded.Set(1)
	m.detected = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "hostagent_bfd_detection_seconds",
		Help:    "From the last packet received of a leaf to its BFD session's end.",
		Buckets: []float64{.02, .03, .035, .04, .05, .1, .15, .2, .3, .5, .9, 1, 1.5, 3, 5},
	})
	m.toKernel = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "hostagent_fault_to_kernel_seconds",
		Help:    "From when a fault was noticed to when no group of next hops in the kernel had the leaf.",
		Buckets: []float64{.0001, .0002, .0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1},
	}, []string{"detector"})
	for _, detector := range detectors {
		m.toKernel.WithLabelValues(detector)
	}
	reg.MustRegister(m.detected, m.toKernel)
	return m
}

var detectors = []string{byCarrier, byBFD, byNeighbour, byBGP}

// begin has the counters of a link there at 0 before the first event, which
// would be no increase of a series that begins with it.
func (m *metrics) begin(link string) {
	for _, detector := range detectors {
		m.faults.WithLabelValues(link, detector)
	}
	for _, to := range []string{"up", "down"} {
		m.transitions.WithLabelValues(link, to)
	}
	for _, counter := range []*prometheus.CounterVec{m.otherRouters, m.looped, m.rejected} {
		counter.WithLabelValues(link)
	}
}

// forget ends the gauges of an uplink that is gone; counters go on if it
// comes back.
func (m *metrics) forget(link string) {
	for _, gauge := range []*prometheus.GaugeVec{m.uplinkUp, m.sessionUp, m.kept, m.received} {
		gauge.DeleteLabelValues(link)
	}
}

// report brings health and gauges up to date.
func (a *Agent) report() {
	a.setHealth(a.unhealthy())
	received := map[string]int{}
	for _, p := range a.rib.Peers() {
		received[p.Addr.Zone()] = p.Prefixes
		if u := a.byLeaf(p.Addr); u != nil {
			u.looped.add(a.metrics.looped.WithLabelValues(u.link.Name), p.Looped)
			u.rejected.add(a.metrics.rejected.WithLabelValues(u.link.Name), p.Rejected)
		}
	}
	for name, u := range a.uplinks {
		a.metrics.uplinkUp.WithLabelValues(name).Set(number(u.stop != nil))
		a.metrics.sessionUp.WithLabelValues(name).Set(number(u.established()))
		a.metrics.kept.WithLabelValues(name).Set(number(!u.keptUntil.IsZero()))
		a.metrics.received.WithLabelValues(name).Set(float64(received[name]))
	}
	a.metrics.routes.Set(float64(a.auditor.Len()))
	a.metrics.announced.Set(float64(len(a.announced)))
}

// tally is how much of a count that begins anew with each session has been added
// to a counter.
type tally uint64

func (t *tally) add(to prometheus.Counter, now uint64) {
	if now < uint64(*t) {
		*t = 0
	}
	to.Add(float64(now - uint64(*t)))
	*t = tally(now)
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// unhealthy says what keeps the server from being reachable, "" if nothing
// does. One session is enough: a leaf that is down is no fault of the server.
func (a *Agent) unhealthy() string {
	var faults []string
	for _, name := range slices.Sorted(maps.Keys(a.uplinks)) {
		u := a.uplinks[name]
		if u.established() && u.waitsFor != forStrictBFD {
			return ""
		}
		faults = append(faults, name+": "+u.status())
	}
	if faults == nil {
		return fmt.Sprintf("no interface matches uplinks %q", a.cfg.Uplinks)
	}
	return "no uplink has a session: " + strings.Join(faults, "; ")
}
