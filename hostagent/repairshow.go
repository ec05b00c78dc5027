package hostagent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lastmile/bpf/etherfix"
	bpf "lastmile/bpf/uplink"
)

// Repair is the answer to `hostagent show repair`, by uplink.
type Repair struct {
	Uplinks map[string]UplinkRepair `json:"uplinks"`
}

// UplinkRepair is the program on one uplink and what it has counted. The counts go on when hostagent is restarted.
type UplinkRepair struct {
	Status   bpf.Status        `json:"status"`            // attached, off, occupied or failed
	Mode     bpf.Mode          `json:"mode,omitempty"`    // native, generic or tcx
	Program  string            `json:"program,omitempty"` // the variant that the kernel and the driver take
	Pinned   bool              `json:"pinned"`            // it stays when hostagent ends
	Watchdog bool              `json:"watchdog"`          // BFD sessions are watched here
	Problem  string            `json:"problem,omitempty"` // why it is not as it should be
	Seen     uint64            `json:"seen"`              // frames; attached as tcx, a repaired one twice
	Repaired map[string]uint64 `json:"repaired"`          // by kind: plain, 802.1q, qinq, less what tag the card took off
	Doubtful map[string]uint64 `json:"doubtful"`          // passed on as they are, by reason
}

// repairState describes the programs. It reads the counters, and is not for the loop.
func (a *Agent) repairState() (Repair, error) {
	out := Repair{Uplinks: map[string]UplinkRepair{}}
	shown := a.repairs.shown.Load()
	if shown == nil {
		return out, nil
	}
	var errs []error
	for name, s := range shown.states {
		counters, err := shown.counters(name)
		errs = append(errs, err)
		r := UplinkRepair{
			Status: s.shown(), Mode: s.Mode, Program: s.Program, Watchdog: s.Watchdog,
			Pinned: s.Status == bpf.Attached && s.Unpinned == nil, Problem: s.why(),
			Seen: counters.Seen, Repaired: map[string]uint64{}, Doubtful: map[string]uint64{},
		}
		for _, v := range etherfix.Verdicts() {
			switch {
			case v.Repaired():
				r.Repaired[v.String()] = counters.Verdicts[v]
			case v.Doubtful():
				r.Doubtful[v.String()] = counters.Verdicts[v]
			}
		}
		out.Uplinks[name] = r
	}
	return out, errors.Join(errs...)
}

// shown is the status of the repair, which may be off in a program that watches BFD. What parts an earlier run's program
// has that cannot be replaced is not known.
func (s repaired) shown() bpf.Status {
	if s.Status == bpf.Attached && !s.Repair && s.err == nil {
		return bpf.Disabled
	}
	return s.Status
}

func (s *shownRepairs) counters(name string) (etherfix.Counters, error) {
	if s.hooks == nil {
		return etherfix.Counters{}, nil
	}
	return s.hooks.Counters(name)
}

// WriteText writes the table that people read.
func (r Repair) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "UPLINK\tREPAIR\tMODE\tSEEN\tREPAIRED\tDOUBTFUL\tPROBLEM")
	for _, name := range slices.Sorted(maps.Keys(r.Uplinks)) {
		u := r.Uplinks[name]
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%s\t%s\n",
			name, u.Status, dash(string(u.Mode)), u.Seen, sums(u.Repaired), sums(u.Doubtful), dash(u.Problem))
	}
	return t.Flush()
}

// sums is the sum of counts, and what it is made of.
func sums(counts map[string]uint64) string {
	var total uint64
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		if n := counts[kind]; n > 0 {
			total += n
			parts = append(parts, fmt.Sprintf("%s %d", kind, n))
		}
	}
	if total == 0 {
		return "0"
	}
	return fmt.Sprintf("%d (%s)", total, strings.Join(parts, ", "))
}

func (a *Agent) serveRepair(w http.ResponseWriter, _ *http.Request) {
	answer, err := a.repairState()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	reply(w, answer)
}

// orderRepair takes the orders of `hostagent repair`.
func (a *Agent) orderRepair(w http.ResponseWriter, r *http.Request) {
	what := r.PathValue("what")
	if what != "attach" && what != "detach" {
		http.NotFound(w, r)
		return
	}
	var links []string
	var err error
	link := r.URL.Query().Get("link")
	order := func(context.Context) { links, err = a.repairByHand(link, what == "detach") }
	if failed := a.inLoop(r.Context(), order); failed != nil {
		http.Error(w, failed.Error(), http.StatusServiceUnavailable)
		return
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	reply(w, links)
}

// OrderRepair has the daemon behind the socket take the program off an uplink ("detach") until it is told to put it on again
// ("attach") or is restarted. An empty link is all of them. It returns which.
func OrderRepair(ctx context.Context, socket, what, link string) (links []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	answer, err := request(ctx, http.MethodPost, socket, "repair/"+what+"?"+url.Values{"link": {link}}.Encode())
	return links, decode(answer, err, &links)
}

// ErrRepairRuns says that a daemon holds the programs.
var ErrRepairRuns = bpf.ErrRunning

// DetachRepair takes the programs off that a hostagent has left which does not run any more, in this network namespace: of
// one interface, or of all if link is empty. It returns which. It is an error if it cannot see what there is, or if a program
// of ours stays that has no pin here. A daemon that runs is [ErrRepairRuns].
func DetachRepair(link string) (links []string, err error) {
	return bpf.DetachLeft(bpf.DefaultDir, link)
}

// Repair metrics, read when they are asked for.
var (
	repairAttached = prometheus.NewDesc("hostagent_repair_attached",
		"Whether the program is on the uplink that repairs frames; state says more.", []string{"link", "mode", "state"}, nil)
	repairSeen = prometheus.NewDesc("hostagent_repair_seen_total",
		"Frames that the program on the uplink has looked at, in any mode since it was first attached; mode is the present one.", []string{"link", "mode"}, nil)
	repairRepaired = prometheus.NewDesc("hostagent_repair_repaired_total",
		"IPv4 packets in frames marked as IPv6 that were repaired, in any mode; kind is by the VLAN tags that the program was shown.", []string{"link", "mode", "kind"}, nil)
	repairDoubtful = prometheus.NewDesc("hostagent_repair_doubtful_total",
		"Frames marked as IPv6 that are not, and were passed on as they are, in any mode.", []string{"link", "mode", "reason"}, nil)
)

type repairCollector struct{ agent *Agent }

func (repairCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{repairAttached, repairSeen, repairRepaired, repairDoubtful} {
		to <- d
	}
}

func (c repairCollector) Collect(to chan<- prometheus.Metric) {
	state, err := c.agent.repairState()
	if err != nil {
		to <- prometheus.NewInvalidMetric(repairSeen, err)
		return
	}
	for link, u := range state.Uplinks {
		mode := string(u.Mode)
		to <- prometheus.MustNewConstMetric(repairAttached, prometheus.GaugeValue, number(u.Status == bpf.Attached), link, mode, string(u.Status))
		if u.Status != bpf.Attached {
			continue
		}
		count := func(d *prometheus.Desc, n uint64, labels ...string) {
			to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), append([]string{link, mode}, labels...)...)
		}
		count(repairSeen, u.Seen)
		for kind, n := range u.Repaired {
			count(repairRepaired, n, kind)
		}
		for reason, n := range u.Doubtful {
			count(repairDoubtful, n, reason)
		}
	}
}
