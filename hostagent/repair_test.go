package hostagent

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"lastmile/bpf/etherfix"
	bpf "lastmile/bpf/uplink"
	"lastmile/hostagent/kernel"
)

// programmed stands for the programs on the uplinks: what they are asked for, and what is on which.
type programmed struct {
	on       map[string]bpf.Mode
	index    map[string]int
	refuse   map[string]error
	only     bool // the watchdog
	asked    int
	noTimers bool
	closed   bool
}

func newProgrammed(left ...string) *programmed {
	p := &programmed{on: map[string]bpf.Mode{}, index: map[string]int{}, refuse: map[string]error{}}
	for _, name := range left {
		p.on[name] = bpf.Generic
	}
	return p
}

func (p *programmed) Attach(name string, index int, mode bpf.Mode) (bpf.State, error) {
	p.asked++
	s := bpf.State{Interface: name, Index: index}
	if mode == bpf.Off {
		s.Status = bpf.Disabled
		return s, p.Detach(name)
	}
	if err := p.refuse[name]; err != nil {
		s.Status = bpf.Failed
		if errors.Is(err, bpf.ErrOccupied) {
			s.Status = bpf.Occupied
		}
		return s, err
	}
	p.on[name], p.index[name] = mode, index
	s.Status, s.Mode, s.Program = bpf.Attached, bpf.Generic, "uplink_frags"
	s.Repair, s.Watchdog = !p.only, true
	return s, nil
}

func (p *programmed) Detach(name string) error { delete(p.on, name); return nil }

func (p *programmed) Watchdog() (sessions, events *os.File, err error) {
	if p.noTimers {
		return nil, nil, errors.New("this kernel has no BPF timers (before 5.15)")
	}
	return os.Stdin, os.Stdin, nil
}

func (p *programmed) Names() ([]string, error) { return slices.Sorted(maps.Keys(p.on)), nil }

func (p *programmed) Counters(name string) (c etherfix.Counters, err error) {
	if _, ok := p.on[name]; ok {
		c.Seen = 100
		c.Verdicts[etherfix.RepairPlain], c.Verdicts[etherfix.RepairQinQ], c.Verdicts[etherfix.DoubtLength] = 7, 2, 1
	}
	return c, nil
}

func (p *programmed) Close() error { p.closed = true; return nil }

func link(name string, index int) map[string]kernel.Link {
	return map[string]kernel.Link{name: {Name: name, Index: index, Up: true}}
}

// plug brings a link up; the first has index 1.
func (w *world) plug(name string) {
	index := len(w.state.Links) + 1
	w.state.Links[name] = kernel.Link{Name: name, Index: index, Up: true, LinkLocal: netip.MustParseAddr("fe80::aa")}
	w.onKernel(w.ctx, w.state)
}

func (p *programmed) expect(t *testing.T, want string) {
	t.Helper()
	if got := fmt.Sprint(p.on, p.index); got != want {
		t.Errorf("on the links is %s, want %s", got, want)
	}
}

func TestRepairIsAttachedAndAttachedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p := newWorld(t, "eth*"), newProgrammed("eth7", "old0")
		w.repairs.open = func() (hooks, error) { return p, nil }
		w.onKernel(w.ctx, kernel.State{Links: link("eth0", 3)})
		p.expect(t, "map[eth0:auto eth7:generic] map[eth0:3]") // eth7 may come back, old0 is no uplink
		w.onKernel(w.ctx, kernel.State{Links: link("eth0", 4)})
		p.expect(t, "map[eth0:auto eth7:generic] map[eth0:4]")
		if n := strings.Count(w.log.String(), "frames are repaired"); n != 2 {
			t.Errorf("said %d times that frames are repaired:\n%s", n, &w.log)
		}
		if err := w.closeHooks(); err != nil || !p.closed {
			t.Error(err, p.closed)
		}
	})
}

// TestRepairFails: BGP goes on, one warning, a metric and a note; and it is tried again, not with every news.
func TestRepairFails(t *testing.T) {
	for status, why := range map[string]error{
		"occupied": fmt.Errorf("attaching: %w", bpf.ErrOccupied),
		"failed":   errors.New("operation not permitted"),
	} {
		t.Run(status, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testRepairFails(t, status, why) })
		})
	}
}

func testRepairFails(t *testing.T, status string, why error) {
	w, p := newWorld(t, "eth*"), newProgrammed()
	w.repairs.open = func() (hooks, error) { return p, nil }
	p.refuse["eth0"] = why
	w.plug("eth0")
	for range 5 {
		w.onKernel(w.ctx, w.state)
	}
	if p.asked != 1 {
		t.Errorf("asked %d times", p.asked)
	}
	w.expectDiscovery(t, "eth0")
	if n := strings.Count(w.log.String(), "level=WARN"); n != 1 || !strings.Contains(w.log.String(), "repair="+status) {
		t.Errorf("%d warnings, want one:\n%s", n, &w.log)
	}
	if notes := w.Notes(); len(notes) != 1 || notes[0] != "eth0: repair "+status+": "+why.Error() {
		t.Errorf("notes %q", notes)
	}
	want := `# HELP hostagent_repair_attached Whether the program is on the uplink that repairs frames; state says more.
# TYPE hostagent_repair_attached gauge
hostagent_repair_attached{link="eth0",mode="",state="` + status + `"} 0
`
	if err := testutil.GatherAndCompare(w.registry, strings.NewReader(want), "hostagent_repair_attached", "hostagent_repair_seen_total"); err != nil {
		t.Error(err)
	}
	time.Sleep(reattachAfter)
	w.attachRetry() // still no
	delete(p.refuse, "eth0")
	time.Sleep(reattachAfter)
	w.attachRetry()
	if p.on["eth0"] != bpf.Auto || w.Notes() != nil || strings.Count(w.log.String(), "level=WARN") != 1 {
		t.Errorf("on %v, notes %q:\n%s", p.on, w.Notes(), &w.log)
	}
}

func TestRepairCannotBeOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p := newWorld(t, "eth*"), newProgrammed()
		tried := 0
		var fault error = bpf.ErrRunning // `hostagent repair detach` may hold it for a moment
		w.repairs.open = func() (hooks, error) { tried++; return p, fault }
		w.onKernel(w.ctx, kernel.State{})
		w.plug("eth0")
		w.onKernel(w.ctx, w.state)
		if tried != 1 || len(w.Notes()) != 1 || strings.Count(w.log.String(), "level=WARN") != 1 {
			t.Errorf("tried %d times, notes %q:\n%s", tried, w.Notes(), &w.log)
		}
		fault = nil
		time.Sleep(reattachAfter)
		w.attachRetry()
		p.expect(t, "map[eth0:auto] map[eth0:1]")
	})
}

func TestRepairIsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p := newWorld(t, "eth*"), newProgrammed("eth0", "old0")
		w.cfg.Repair.Mode = "off"
		w.repairs.open = func() (hooks, error) { return p, nil }
		w.plug("eth0")
		p.expect(t, "map[] map[]")
		if _, err := w.repairByHand("eth0", false); err == nil {
			t.Error("attached by hand")
		}
		if strings.Contains(w.log.String(), "level=WARN") || w.Notes() != nil {
			t.Error(&w.log, w.Notes())
		}
	})
}

func TestRepairByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p := newWorld(t, "eth*"), newProgrammed()
		w.repairs.open = func() (hooks, error) { return p, nil }
		w.plug("eth0")
		w.plug("eth1")
		if links, err := w.repairByHand("eth1", true); err != nil || fmt.Sprint(links) != "[eth1]" {
			t.Error(links, err)
		}
		w.onKernel(w.ctx, w.state)
		time.Sleep(2 * reattachAfter)
		w.attachRetry()
		p.expect(t, "map[eth0:auto] map[eth0:1 eth1:2]")
		if links, err := w.repairByHand("", false); err != nil || fmt.Sprint(links) != "[eth0 eth1]" {
			t.Error(links, err)
		}
		p.expect(t, "map[eth0:auto eth1:auto] map[eth0:1 eth1:2]")
		if _, err := w.repairByHand("eth9", true); err == nil {
			t.Error("no error for an uplink that is not there")
		}
	})
}

// TestManyErrorsAreOneLine in the table and in /healthz, whose lines are an uplink each.
func TestManyErrorsAreOneLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p := newWorld(t, "eth*"), newProgrammed()
		w.repairs.open = func() (hooks, error) { return p, nil }
		p.refuse["eth0"] = errors.Join(errors.New("native: no"), errors.New("generic: no"))
		w.plug("eth0")
		if notes := w.Notes(); len(notes) != 1 || notes[0] != "eth0: repair failed: native: no; generic: no" {
			t.Errorf("notes %q", notes)
		}
		state, err := w.repairState()
		if err != nil {
			t.Fatal(err)
		}
		if got := state.Uplinks["eth0"].Problem; got != "native: no; generic: no" {
			t.Errorf("problem %q", got)
		}
	})
}

func TestShowRepair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p := newWorld(t, "eth*"), newProgrammed()
		w.repairs.open = func() (hooks, error) { return p, nil }
		p.refuse["eth1"] = bpf.ErrOccupied
		w.plug("eth0")
		w.plug("eth1")
		state, err := w.repairState()
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		if err := state.WriteText(&text); err != nil {
			t.Fatal(err)
		}
		want := `UPLINK  REPAIR    MODE     SEEN  REPAIRED             DOUBTFUL      PROBLEM
eth0    attached  generic  100   9 (plain 7, qinq 2)  1 (length 1)  -
eth1    occupied  -        0     0                    0             another XDP program is there, and stays
`
		if text.String() != want {
			t.Errorf("got\n%s\nwant\n%s", &text, want)
		}
		answer := httptest.NewRecorder()
		w.serveRepair(answer, httptest.NewRequest(http.MethodGet, "/repair", nil))
		body, _ := io.ReadAll(answer.Body)
		if !strings.Contains(string(body), `"repaired":{"802.1q":0,"plain":7,"qinq":2}`) {
			t.Errorf("%d: %s", answer.Code, body)
		}
		want = `# HELP hostagent_repair_repaired_total IPv4 packets in frames marked as IPv6 that were repaired, in any mode; kind is by the VLAN tags that the program was shown.
# TYPE hostagent_repair_repaired_total counter
hostagent_repair_repaired_total{kind="802.1q",link="eth0",mode="generic"} 0
hostagent_repair_repaired_total{kind="plain",link="eth0",mode="generic"} 7
hostagent_repair_repaired_total{kind="qinq",link="eth0",mode="generic"} 2
`
		if err := testutil.GatherAndCompare(w.registry, strings.NewReader(want), "hostagent_repair_repaired_total"); err != nil {
			t.Error(err)
		}
	})
}
