package switchagent

import (
	"errors"
	"maps"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"lastmile/switchagent/junos"
)

// described is a registerer that notes what is registered, as name or name{labels}.
type described map[string]bool

var descriptionOf = regexp.MustCompile(`fqName: "(\w+)".*variableLabels: (\{[^}]*\})`)

func (d described) Register(c prometheus.Collector) error {
	descriptions := make(chan *prometheus.Desc, 10)
	c.Describe(descriptions)
	close(descriptions)
	for one := range descriptions {
		m := descriptionOf.FindStringSubmatch(one.String())
		d[m[1]+strings.TrimSuffix(m[2], "{}")] = true
	}
	return nil
}

func (d described) Unregister(prometheus.Collector) bool { return false }

func (d described) MustRegister(all ...prometheus.Collector) {
	for _, c := range all {
		d.Register(c)
	}
}

// TestMetricsAreDocumented: the tables of docs/metrics.md name every metric with its labels, and no other.
func TestMetricsAreDocumented(t *testing.T) {
	registered := described{"switchagent_build_info": true} // of every daemon's registry
	newMetrics(registered)
	text, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := described{}
	for _, row := range regexp.MustCompile("(?m)^\\| `[^|]+").FindAllString(string(text), -1) {
		for _, name := range regexp.MustCompile("`(switchagent_[^`]+)`").FindAllStringSubmatch(row, -1) {
			documented[name[1]] = true
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(registered)), slices.Sorted(maps.Keys(documented))); diff != "" {
		t.Errorf("(-registered +documented):\n%s", diff)
	}
	for _, value := range slices.Concat(pollResults, commitResults) {
		if !strings.Contains(string(text), "`"+value+"`") {
			t.Errorf("docs/metrics.md does not explain %s", value)
		}
	}
}

func TestMetricsOfAPoll(t *testing.T) {
	m := newMetrics(prometheus.NewRegistry())
	seen := tables{
		neighbors: []junos.Neighbor{
			router(peer(1, 1)), router(peer(1, 2)), {Addr: netip.MustParseAddr("fe80::2"), Interface: "ge-0/0/1.0", State: "no-route"},
			{Addr: netip.MustParseAddr("fe80::2"), Interface: "xe-0/0/0.0", State: "stale"}, // not ours
		},
		stanzas: []junos.Stanza{stanza(peer(1, 1)), stanza(peer(3, 3))},
	}
	p := testPolicy().plan(epoch, seen, nil)
	m.polled(epoch, seen, p, testPolicy().mayTouch)
	want := `
# HELP switchagent_neighbors Link-local neighbours on the configured interfaces at the last good poll, by state.
# TYPE switchagent_neighbors gauge
switchagent_neighbors{state="delay"} 0
switchagent_neighbors{state="incomplete"} 0
switchagent_neighbors{state="other"} 1
switchagent_neighbors{state="probe"} 0
switchagent_neighbors{state="reachable"} 2
switchagent_neighbors{state="stale"} 0
switchagent_neighbors{state="unreachable"} 0
`
	if err := testutil.CollectAndCompare(m.neighbors, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	for gauge, want := range map[prometheus.Collector]float64{
		m.stanzas: 2, m.absent: 1, m.lastSuccess: float64(epoch.Unix()),
		m.polls.WithLabelValues(resultOK): 1, m.refused.WithLabelValues("unresolved"): 1, m.refused.WithLabelValues("duplicate"): 1,
	} {
		if got := testutil.ToFloat64(gauge); got != want {
			t.Errorf("%v, want %v", got, want)
		}
	}
}

// TestMetricsOfASession tells a story and reads it from the counters.
func TestMetricsOfASession(t *testing.T) {
	f := newFakeLeaf()
	f.plug(peer(1, 1), peer(2, 2))
	f.outcomes = []func(*fakeLeaf, junos.Change) (junos.Outcome, error){refused}
	run(t, f, func(t *testing.T, a running) {
		want := func(name string, c prometheus.Collector, want float64) {
			t.Helper()
			if got := testutil.ToFloat64(c); got != want {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
		m := a.metrics
		a.after(10 * time.Second)
		want("commits locked", m.commits.WithLabelValues(resultLocked), 1)
		want("commits applied", m.commits.WithLabelValues(junos.Applied.String()), 1)
		want("adds", m.changes.WithLabelValues("add"), 2)
		want("session up", m.up, 1)
		clear(f.neighbors)
		clear(f.up)
		a.after(70 * time.Second)
		want("removes", m.changes.WithLabelValues("remove"), 2)
		f.lost, f.noDial = true, errors.New("connection refused")
		a.after(2100 * time.Millisecond) // a poll, and no dial that succeeds
		want("session up", m.up, 0)
		want("polls lost", m.polls.WithLabelValues(resultLost), 1)
		f.noDial, f.closed = nil, f.dials
		a.after(time.Minute)
		want("session up", m.up, 1)
		want("dials", m.dials.WithLabelValues(resultOK), 2)
	})
}
