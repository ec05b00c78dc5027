package hostagent

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	bpf "lastmile/bpf/uplink"
)

// TestPartsOfTheProgram: each of the two parts can be had without the other.
func TestPartsOfTheProgram(t *testing.T) {
	for _, test := range []struct {
		repair, watchdog string
		want             bpf.Options
		place            bpf.Mode
		unwatched        string
	}{
		{"auto", "auto", bpf.Options{Repair: true, Watchdog: true}, bpf.Auto, ""},
		{"tcx", "on", bpf.Options{Repair: true, Watchdog: true}, bpf.TCX, ""},
		{"native", "off", bpf.Options{Repair: true}, bpf.Native, "bfd_watchdog: off: switched off in the configuration"},
		{"off", "auto", bpf.Options{}, bpf.Off, "repair.mode: off: switched off in the configuration"},
		{"off", "off", bpf.Options{}, bpf.Off, "bfd_watchdog: off: switched off in the configuration"},
		{"off", "on", bpf.Options{Watchdog: true}, bpf.Auto, ""},
	} {
		c := Config{Repair: RepairConfig{Mode: test.repair}, BFDWatchdog: test.watchdog}
		if got := c.programs(); got != test.want || c.place() != test.place || brief(c.unwatched()) != test.unwatched {
			t.Errorf("repair %s, watchdog %s: %+v at %s (%v)", test.repair, test.watchdog, got, c.place(), c.unwatched())
		}
	}
}

// expectWatchdog compares what the worker was told of its watchdog: whether there
// are the two maps, and why not.
func (w *world) expectWatchdog(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, w.Agent.bfd.(*fakeBFD).watchdog); diff != "" {
		t.Errorf("the worker was told (-want +got):\n%s", diff)
	}
}

// TestWatchdogIsHandedOver: once, and when there is news.
func TestWatchdogIsHandedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p := newWorld(t, "eth*"), newProgrammed()
		var fault error = bpf.ErrRunning
		w.repairs.open = func() (hooks, error) { return p, fault }
		again := func() {
			time.Sleep(reattachAfter)
			w.attachRetry()
		}
		w.openHooks() // Run does it before BFD begins
		w.handWatchdog()
		again()
		w.plug("eth0")
		w.expectWatchdog(t, "false false "+bpf.ErrRunning.Error())
		fault = nil
		again()
		again()
		w.expectWatchdog(t, "false false "+bpf.ErrRunning.Error(), "true true <nil>")
	})
}

func TestWatchdogBeforeBFD(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "eth*")
		worker := w.Agent.bfd
		w.Agent.bfd = nil
		w.openHooks()
		w.Agent.bfd = worker
		w.expectWatchdog(t)
		w.handWatchdog() // as startBFD does
		w.expectWatchdog(t, "true true <nil>")
	})
}

func TestNoWatchdog(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(*Config, *programmed)
		want    string
	}{
		"the repair is off":        {func(c *Config, _ *programmed) { c.Repair.Mode = "off" }, "repair.mode: off: switched off in the configuration"},
		"it is off":                {func(c *Config, _ *programmed) { c.BFDWatchdog = "off" }, "bfd_watchdog: off: switched off in the configuration"},
		"the kernel has no timers": {func(_ *Config, p *programmed) { p.noTimers = true }, "this kernel has no BPF timers (before 5.15)"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, p := newWorld(t, "eth*"), newProgrammed()
				test.prepare(&w.cfg, p)
				w.repairs.open = func() (hooks, error) { return p, nil }
				w.plug("eth0")
				w.expectWatchdog(t, "false false "+test.want)
			})
		})
	}
}

// TestWatchdogAlone: the program is on the uplink for BFD only, and nobody is told
// that frames are repaired.
func TestWatchdogAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p := newWorld(t, "eth*"), newProgrammed()
		w.cfg.Repair.Mode, w.cfg.BFDWatchdog, p.only = "off", "on", true
		w.repairs.open = func() (hooks, error) { return p, nil }
		w.plug("eth0")
		p.expect(t, "map[eth0:auto] map[eth0:1]")
		w.expectWatchdog(t, "true true <nil>")
		state, err := w.repairState()
		if u := state.Uplinks["eth0"]; err != nil || u.Status != bpf.Disabled || !u.Watchdog || !strings.Contains(u.Problem, "repair.mode is off") {
			t.Errorf("%+v (%v)", u, err)
		}
		want := `# HELP hostagent_repair_attached Whether the program is on the uplink that repairs frames; state says more.
# TYPE hostagent_repair_attached gauge
hostagent_repair_attached{link="eth0",mode="generic",state="off"} 0
`
		if err := testutil.GatherAndCompare(w.registry, strings.NewReader(want), "hostagent_repair_attached"); err != nil {
			t.Error(err)
		}
		if w.Notes() != nil || strings.Contains(w.log.String(), "frames are repaired") || strings.Contains(w.log.String(), "level=WARN") {
			t.Error(w.Notes(), &w.log)
		}
		for _, detach := range []bool{true, false} {
			if _, err := w.repairByHand("", detach); err != nil {
				t.Error(err)
			}
		}
		p.expect(t, "map[eth0:auto] map[eth0:1]")
	})
}

// TestRepairWithoutWatchdog: what is wrong with one part is not wrong with the other.
func TestRepairWithoutWatchdog(t *testing.T) {
	full := errors.New("making the timers: cannot allocate memory")
	for name, test := range map[string]struct {
		fault func(bpf.Options) error
		want  string // of the watchdog
	}{
		"all is well":          {func(bpf.Options) error { return nil }, "<nil>"},
		"no watchdog":          {func(o bpf.Options) error { return map[bool]error{true: full}[o.Watchdog] }, full.Error()},
		"nothing at all":       {func(bpf.Options) error { return full }, ""},
		"somebody else has it": {func(o bpf.Options) error { return map[bool]error{true: bpf.ErrRunning}[o.Watchdog] }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, p := DefaultConfig(), newProgrammed()
			h, err := cfg.openParts(func(o bpf.Options) (hooks, error) { return p, test.fault(o) })
			if opened := err == nil; opened != (test.want != "") {
				t.Fatal(err)
			}
			if err != nil {
				return
			}
			if _, _, err := h.Watchdog(); fmt.Sprint(err) != test.want {
				t.Errorf("the watchdog: %v, want %s", err, test.want)
			}
			if err := h.Close(); err != nil || !p.closed {
				t.Error(err, p.closed)
			}
		})
	}
}
