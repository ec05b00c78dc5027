package lab_test

import (
	"bytes"
	"strings"
	"testing"

	"lastmile/lab"
)

// TestTable takes the bench through a table that is loaded at once: what is
// tested is that all daemons run, that the routes are found and that the loss
// of a leaf is seen.
func TestTable(t *testing.T) {
	t.Parallel()
	const size = 1200
	var said bytes.Buffer
	report, err := lab.Table(t.Context(), lab.TableConfig{
		Name: fabricName("table"), Binaries: binaries(t), Sizes: []int{size}, Runs: 1, PerPath: 500, Out: &said,
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	if len(report.Results) != 5 {
		t.Fatalf("%d results", len(report.Results))
	}
	for _, r := range report.Results {
		daemon := r.Daemon == lab.HostAgent || r.Daemon == lab.HostFRR || r.Daemon == lab.HostBIRD
		if r.Prefixes != size || r.Load.Median <= 0 || r.Load.Median > 30 {
			t.Errorf("%s: %d prefixes in %v s", r.Daemon, r.Prefixes, r.Load.Median)
		}
		if daemon != (r.Moved.Median > 0) || daemon != (r.Peak.Median > 1) {
			t.Errorf("%s: %v MB, leaf lost after %v s", r.Daemon, r.Peak.Median, r.Moved.Median)
		}
	}
	var table strings.Builder
	if err := report.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", table.String())
}

func TestTableRefusesWhatItCannotMeasure(t *testing.T) {
	for _, cfg := range []lab.TableConfig{
		{Name: "t", Sizes: []int{0}, Runs: 1, PerPath: 1},
		{Name: "t", Sizes: []int{1_000_001}, Runs: 1, PerPath: 1},
		{Name: "t", Sizes: []int{1}, Runs: 0, PerPath: 1},
		{Name: "t", Sizes: []int{1}, Runs: 1, PerPath: 0},
		{Name: "t", Sizes: []int{1}, Runs: 1, PerPath: 1, Only: []string{"quagga"}},
	} {
		if _, err := lab.Table(t.Context(), cfg); err == nil {
			t.Errorf("%+v is taken", cfg)
		}
	}
}
