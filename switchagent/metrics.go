package switchagent

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lastmile/switchagent/junos"
	"lastmile/switchagent/syslog"
)

// metrics are those of docs/metrics.md.
type metrics struct {
	polls       *prometheus.CounterVec
	rpcs        *prometheus.HistogramVec
	neighbors   *prometheus.GaugeVec
	refused     *prometheus.GaugeVec
	advertisers *prometheus.GaugeVec
	stanzas     prometheus.Gauge
	absent      prometheus.Gauge
	commits     *prometheus.CounterVec
	changes     *prometheus.CounterVec
	dials       *prometheus.CounterVec
	syslog      *prometheus.CounterVec
	up          prometheus.Gauge
	leaf        *prometheus.GaugeVec
	lastSuccess prometheus.Gauge

	inventoryOK    prometheus.Gauge
	inventoryPorts prometheus.Gauge
	keysBad        prometheus.Gauge
	sessions       *prometheus.GaugeVec
	prefixes       *prometheus.GaugeVec
	flaps          *prometheus.GaugeVec
	rejected       *prometheus.GaugeVec
	isolated       prometheus.Gauge
	writer         prometheus.Gauge
	waiting        prometheus.Gauge
	locked         prometheus.Gauge
	quarantined    prometheus.Gauge
	withheld       prometheus.Gauge
	drift          *prometheus.CounterVec
	database       *prometheus.GaugeVec
}

// The label values of polls, commits and dials other than junos.Outcome.
const (
	resultOK        = "ok"
	resultError     = "error"
	resultTruncated = "truncated"
	resultLost      = "lost"
	resultLocked    = "locked"
	resultDirty     = "dirty"
	resultChanged   = "changed"
	resultAwaiting  = "awaiting" // somebody's commit waits for its confirmation
	// resultUnconfirmed is that of a commit on trial that was not confirmed; it was counted as
	// pending before, as one that was is counted as applied.
	resultUnconfirmed = "unconfirmed"
)

var (
	pollResults   = []string{resultOK, resultError, resultTruncated, resultLost}
	commitResults = []string{
		junos.Applied.String(), junos.Refused.String(), resultLocked, resultDirty, resultAwaiting, resultChanged,
		junos.Pending.String(), resultUnconfirmed, junos.Unknown.String(),
	}
	// neighborStates are those of Junos; what else it may say is other.
	neighborStates = []string{"reachable", "stale", "delay", "probe", "unreachable", "incomplete", otherState}
)

const otherState = "other"

// rpcBuckets are in seconds: from a table's to a commit's.
var rpcBuckets = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}

func newMetrics(reg prometheus.Registerer) *metrics {
	counter := func(name, help, label string, values []string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "switchagent", Name: name, Help: help}, []string{label})
		for _, value := range values {
			c.WithLabelValues(value)
		}
		reg.MustRegister(c)
		return c
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "switchagent", Name: name, Help: help}, labels)
		reg.MustRegister(g)
		return g
	}
	m := &metrics{
		polls: counter("polls_total", "Polls of the leaf's tables, by result.", "result", pollResults),
		rpcs: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "switchagent", Name: "rpc_seconds", Help: "Duration of NETCONF operations, failed ones included.", Buckets: rpcBuckets,
		}, []string{"rpc"}),
		neighbors:      gauge("neighbors", "Link-local neighbours on the configured interfaces at the last good poll, by state.", "state"),
		refused:        gauge("neighbors_refused", "Of these, the ones that get no stanza, by reason.", "reason"),
		advertisers:    gauge("advertisers", "Senders of router advertisements on the configured interfaces at the last good poll, by whether the neighbour table has them.", "kind"),
		stanzas:        gauge("stanzas", "Stanzas, which are BGP neighbor statements, of the agent at the last good poll.").WithLabelValues(),
		absent:         gauge("stanzas_absent", "Of these, the ones whose neighbour is gone.").WithLabelValues(),
		commits:        counter("commits_total", "Commits, by result.", "result", commitResults),
		changes:        counter("changes_total", "Stanzas changed by applied commits, by action.", "action", []string{"add", "remove", "edit"}),
		dials:          counter("dials_total", "Attempts to open a session, by result.", "result", dialResults()),
		syslog:         counter("syslog_messages_total", "Syslog messages, by result.", "result", syslog.Results),
		up:             gauge("session_up", "1 while a session with the leaf is open.").WithLabelValues(),
		leaf:           gauge("leaf_info", "What the leaf says about itself; the value is 1.", "host", "model", "version"),
		writer:         gauge("writer", "1 if this agent commits, 0 while it stands by for another.").WithLabelValues(),
		waiting:        gauge("waiting_seconds", "How long the oldest change that is wanted waits for its commit.").WithLabelValues(),
		locked:         gauge("lock_wait_seconds", "How long somebody else's lock or uncommitted edits have kept commits waiting, at the last attempt.").WithLabelValues(),
		quarantined:    gauge("stanzas_quarantined", "Stanzas that the leaf has refused and that are tried again later.").WithLabelValues(),
		withheld:       gauge("removals_held", "Removals that are too many at once to be believed.").WithLabelValues(),
		drift:          counter("drift_total", "Stanzas that somebody else had changed or taken away, by what was done.", "action", []string{driftRestore}),
		database:       gauge("database_bytes", "Size of the configuration database, as far as the leaf tells.", "kind"),
		inventoryOK:    gauge("inventory_good", "1 while the inventory file is the one that is used; 0 while it is bad and the last good one is used, or none is configured.").WithLabelValues(),
		inventoryPorts: gauge("inventory_ports", "Ports in the inventory that is used.").WithLabelValues(),
		keysBad:        gauge("inventory_keys_unreadable", "Ports whose key_file cannot be read.").WithLabelValues(),
		sessions:       gauge("sessions", "BGP sessions of the agent's stanzas, by state; read in every fifth poll.", "state"),
		prefixes:       gauge("prefixes", "Prefixes that the server on an interface announces, by what the leaf does with them; read in every fifth poll.", "link", "result"),
		flaps:          gauge("session_flaps", "How often the leaf has seen the sessions of an interface go down; read in every fifth poll.", "link"),
		rejected:       gauge("rejected_prefixes", "Of the prefixes that the leaf rejects on an interface, what they are; read when their number changes.", "link", "kind"),
		isolated:       gauge("stanzas_accepting_nothing", "Stanzas whose import policy rejects everything.").WithLabelValues(),
		lastSuccess:    gauge("last_success_timestamp_seconds", "Unix time of the last good poll.").WithLabelValues(),
	}
	reg.MustRegister(m.rpcs)
	return m
}

func (m *metrics) connected(f junos.Facts) {
	m.leaf.Reset()
	m.leaf.WithLabelValues(f.Host, f.Model, f.Version).Set(1)
}

// polled shows what a good poll saw and made of it.
func (m *metrics) polled(now time.Time, seen tables, r report, mayTouch func(string) bool) {
	m.polls.WithLabelValues(resultOK).Inc()
	m.lastSuccess.Set(float64(now.UnixNano()) / 1e9)
	m.stanzas.Set(float64(len(seen.stanzas)))
	m.absent.Set(float64(len(r.absent)))
	m.withheld.Set(float64(r.withheld))
	nothing := 0
	for _, s := range seen.stanzas {
		if s.Import == junos.RejectAll {
			nothing++
		}
	}
	m.isolated.Set(float64(nothing))

	states := map[string]int{}
	for _, n := range seen.neighbors {
		switch {
		case !mayTouch(n.Interface):
		case slices.Contains(neighborStates, n.State):
			states[n.State]++
		default:
			states[otherState]++
		}
	}
	for _, state := range neighborStates {
		m.neighbors.WithLabelValues(state).Set(float64(states[state]))
	}
	m.advertised(seen, mayTouch)
	reasons := map[refusal]int{}
	for _, reason := range r.refused {
		reasons[reason]++
	}
	for _, n := range r.crowd {
		reasons[portFull] += n
	}
	for _, reason := range allRefusals {
		m.refused.WithLabelValues(string(reason)).Set(float64(reasons[reason]))
	}
}

// advertised counts who was heard: a stranger is no neighbour, so that what it sends may be forged, or its
// neighbour entry has gone before the advertisement was forgotten.
func (m *metrics) advertised(seen tables, mayTouch func(string) bool) {
	neighbors := map[netip.Addr]bool{}
	for _, n := range seen.neighbors {
		neighbors[n.Addr] = true
	}
	known, strangers := 0, 0
	for _, sender := range seen.advertisers {
		switch {
		case !mayTouch(sender.Zone()):
		case neighbors[sender]:
			known++
		default:
			strangers++
		}
	}
	m.advertisers.WithLabelValues("neighbor").Set(float64(known))
	m.advertisers.WithLabelValues("stranger").Set(float64(strangers))
}

func (m *metrics) pollFailed(err error) {
	result := resultError
	if errors.Is(err, junos.ErrLost) {
		result = resultLost
	} else if errors.Is(err, junos.ErrTruncated) {
		result = resultTruncated
	}
	m.polls.WithLabelValues(result).Inc()
}

func (m *metrics) committed(outcome junos.Outcome, err error, change junos.Change) {
	result := outcome.String()
	switch {
	case errors.Is(err, junos.ErrLocked):
		result = resultLocked
	case errors.Is(err, junos.ErrDirty):
		result = resultDirty
	case errors.Is(err, junos.ErrUnconfirmed):
		result = resultAwaiting
	case errors.Is(err, junos.ErrChanged):
		result = resultChanged
	}
	m.commits.WithLabelValues(result).Inc()
	if outcome == junos.Applied {
		m.changes.WithLabelValues("add").Add(float64(len(change.Add)))
		m.changes.WithLabelValues("remove").Add(float64(len(change.Remove)))
		m.changes.WithLabelValues("edit").Add(float64(len(change.Edit)))
	}
}

func (m *metrics) role(r role) {
	m.writer.Set(0)
	if r.writer {
		m.writer.Set(1)
	}
}

func (m *metrics) usage(u junos.Usage) {
	m.database.WithLabelValues("used").Set(float64(u.Used))
	m.database.WithLabelValues("maximum").Set(float64(u.Maximum))
}

func (m *metrics) inventory(s *stock) {
	m.inventoryPorts.Set(float64(len(s.current.Entries())))
	m.keysBad.Set(float64(len(s.bad)))
	m.inventoryOK.Set(0)
	if s.current != nil && s.err == nil {
		m.inventoryOK.Set(1)
	}
}

// announced shows what the servers announce. Labels are interfaces that have a stanza, of which there are
// as many as the leaf has ports, whatever servers call themselves.
func (m *metrics) announced(links map[string]announced, states map[string]int) {
	for _, state := range []string{"established", "down", otherState} {
		m.sessions.WithLabelValues(state).Set(float64(states[state]))
	}
	m.prefixes.Reset()
	m.flaps.Reset()
	for link, is := range links {
		m.prefixes.WithLabelValues(link, "accepted").Set(float64(is.accepted))
		m.prefixes.WithLabelValues(link, "rejected").Set(float64(is.rejected))
		m.flaps.WithLabelValues(link).Set(float64(is.flaps))
	}
}
