package bgp

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics count, by link, what happens on the sessions.
type Metrics struct {
	received, sent *prometheus.CounterVec // messages, by type
	ended          *prometheus.CounterVec // by who said why, and the NOTIFICATION's code and subcode
	malformed      *prometheus.CounterVec // UPDATEs, by what they were met with
	strangers      *prometheus.CounterVec
}

// NewMetrics makes metrics and registers them.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "hostagent_bgp_" + name, Help: help}, append([]string{"link"}, labels...))
		reg.MustRegister(v)
		return v
	}
	return &Metrics{
		received:  counter("messages_received_total", "BGP messages received.", "type"),
		sent:      counter("messages_sent_total", "BGP messages sent.", "type"),
		ended:     counter("notifications_total", "NOTIFICATIONs that ended a connection, sent or received; code and subcode as in RFC 4271 section 4.5.", "direction", "code", "subcode"),
		malformed: counter("updates_malformed_total", "UPDATEs with an error that the session survived (RFC 7606).", "action"),
		strangers: counter("connections_refused_total", "Connections from other addresses than the leaf's."),
	}
}

// counters are those of one link.
type counters struct {
	received, sent [typeRouteRefresh + 1]prometheus.Counter
	malformed      [treatAsWithdrawal + 1]prometheus.Counter
	strangers      prometheus.Counter
	ended          *prometheus.CounterVec
}

func (m *Metrics) of(link string) *counters {
	c := &counters{strangers: m.strangers.WithLabelValues(link), ended: m.ended.MustCurryWith(prometheus.Labels{"link": link})}
	for kind, name := range map[byte]string{
		typeOpen: "open", typeUpdate: "update", typeNotification: "notification",
		typeKeepalive: "keepalive", typeRouteRefresh: "route_refresh",
	} {
		c.received[kind], c.sent[kind] = m.received.WithLabelValues(link, name), m.sent.WithLabelValues(link, name)
	}
	// Those that say what is wrong; 0 is there before the first of them.
	for _, n := range [][2]string{{"2", "2"}, {"4", "0"}, {"6", "1"}, {"6", "10"}} {
		for _, direction := range []string{"sent", "received"} {
			c.ended.WithLabelValues(direction, n[0], n[1])
		}
	}
	c.malformed[discardAttribute] = m.malformed.WithLabelValues(link, "attribute_discarded")
	c.malformed[treatAsWithdrawal] = m.malformed.WithLabelValues(link, "withdrawn")
	return c
}

// end counts a NOTIFICATION. What a peer can send is of few kinds, whatever it
// sends.
func (c *counters) end(direction string, n *notification) {
	code, subcode := "other", "other"
	if n.code <= errCease {
		code = strconv.Itoa(int(n.code))
		if n.subcode <= 11 { // those that are assigned
			subcode = strconv.Itoa(int(n.subcode))
		}
	}
	c.ended.WithLabelValues(direction, code, subcode).Inc()
}
