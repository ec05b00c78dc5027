package hostagent

import "testing"

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
