package nd

import "github.com/prometheus/client_golang/prometheus"

// Metrics counts what all Speakers of a process send, hear and drop.
type Metrics struct {
	sent, received, dropped *prometheus.CounterVec
}

// NewMetrics registers the counters. Reg may be nil: nobody sees them then.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	counter := func(name, help, label string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"link", label})
		if reg != nil {
			reg.MustRegister(c)
		}
		return c
	}
	return &Metrics{
		sent: counter("hostagent_nd_sent_total",
			"Router discovery messages sent, by link and type.", "type"),
		received: counter("hostagent_nd_received_total",
			"Valid router discovery messages received, by link and type.", "type"),
		dropped: counter("hostagent_nd_dropped_total",
			"Router discovery messages dropped as RFC 4861 section 6.1 demands, by link and reason.", "reason"),
	}
}
