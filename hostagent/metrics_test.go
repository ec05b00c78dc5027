package hostagent

import (
	"log/slog"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// TestOverrunsAreCounted reads the metric from where the kernel's news are followed.
func TestOverrunsAreCounted(t *testing.T) {
	w := newWorld(t)
	families, err := w.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "hostagent_netlink_overruns_total" && f.Metric[0].Counter.GetValue() == float64(w.watcher.Overruns()) {
			return
		}
	}
	t.Error("there is no such metric")
}

func TestGaugesFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		w.report()
		w.link("eth0", false, 1)
		w.unplug("eth1")
		want := map[string]float64{"uplink_up eth0": 0, "bgp_session_up eth0": 0, "bgp_prefixes_received eth0": 0, "bgp_routes_kept eth0": 0}
		if diff := cmp.Diff(want, w.gauges(t)); diff != "" {
			t.Errorf("gauges (-want +got):\n%s", diff)
		}
	})
}

// Counters are there before what they count.
func TestCountersBeginAtZero(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "eth0", "ens1")
		w.link("eth0", true, 0)
		for name, want := range map[string]int{
			"hostagent_faults_total":                         2 * 4,
			"hostagent_fault_to_kernel_seconds":              4,
			"hostagent_bgp_session_transitions_total":        2 * 2,
			"hostagent_nd_other_router_advertisements_total": 2,
			"hostagent_bgp_announcements_rejected_total":     2,
		} {
			if n, err := testutil.GatherAndCount(w.registry, name); err != nil || n != want {
				t.Errorf("%s has %d series, want %d (%v)", name, n, want, err)
			}
		}
	})
}

// TestMetricsAreDocumented: the tables of docs/metrics.md name every metric with its labels, and no other.
func TestMetricsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `[^|]+").FindAllString(string(text), -1) {
		for _, name := range regexp.MustCompile("`(hostagent_[^`]+)`").FindAllStringSubmatch(row, -1) {
			documented[name[1]] = true
		}
	}
	descriptions := make(chan *prometheus.Desc, 100)
	reg := collecting{Registerer: prometheus.NewRegistry(), to: descriptions}
	New(DefaultConfig(), slog.New(slog.DiscardHandler), reg)
	close(descriptions)
	registered := map[string]bool{"hostagent_build_info": true} // of every daemon's registry
	name := regexp.MustCompile(`fqName: "(\w+)".*variableLabels: (\{[^}]*\})`)
	for d := range descriptions {
		m := name.FindStringSubmatch(d.String())
		if m == nil {
			t.Fatalf("no name in %s", d)
		}
		registered[m[1]+strings.TrimSuffix(m[2], "{}")] = true
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(registered)), slices.Sorted(maps.Keys(documented))); diff != "" {
		t.Errorf("(-registered +documented):\n%s", diff)
	}
}

// collecting writes down what is registered.
type collecting struct {
	prometheus.Registerer
	to chan *prometheus.Desc
}

func (c collecting) MustRegister(all ...prometheus.Collector) {
	for _, one := range all {
		one.Describe(c.to)
	}
}
