package hostagent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"text/tabwriter"
	"time"

	"lastmile/hostagent/bfd"
	"lastmile/hostagent/bfd/worker"
)

// BFD is the answer to `hostagent show bfd`.
type BFD struct {
	Worker BFDWorker `json:"worker"`
	Peers  []BFDPeer `json:"peers"` // by uplink
}

// BFDWorker is the process that BFD runs in.
type BFDWorker struct {
	Running      bool   `json:"running"`
	PID          int    `json:"pid,omitempty"`
	Adopted      bool   `json:"adopted,omitempty"` // from an earlier hostagent
	Scheduling   string `json:"scheduling,omitempty"`
	LockedMemory bool   `json:"lockedMemory,omitempty"`
	Restarts     int    `json:"restarts"`
	Moves        uint64 `json:"moves"`                // times that it was late and was moved to another processor
	Mover        string `json:"mover,omitempty"`      // that moves it: running, or why there is none; left out while there is no session
	Watchdog     bool   `json:"watchdog"`             // it has the one in the kernel
	Unwatched    string `json:"noWatchdog,omitempty"` // why not
	Problem      string `json:"problem,omitempty"`    // why none runs, or not as well as it should
}

// A BFDPeer is the session with the leaf of an uplink. Keys that FRR's `show bfd
// peers json` and `show bfd peers counters json` have are named as there.
// Intervals are in milliseconds, with a fraction where there is one. Times are
// in seconds.
type BFDPeer struct {
	Multihop         bool    `json:"multihop"` // never
	Peer             string  `json:"peer"`
	Local            string  `json:"local,omitempty"`
	VRF              string  `json:"vrf"` // always default
	Interface        string  `json:"interface"`
	ID               uint32  `json:"id"`
	RemoteID         uint32  `json:"remote-id"`
	Passive          bool    `json:"passive-mode"`
	Status           string  `json:"status"` // up, init, down, shutdown; off if not configured, unknown without a worker
	Uptime           *int64  `json:"uptime,omitempty"`
	Downtime         *int64  `json:"downtime,omitempty"`
	Diagnostic       string  `json:"diagnostic"`
	RemoteDiagnostic string  `json:"remote-diagnostic"`
	Receive          float64 `json:"receive-interval"`
	Transmit         float64 `json:"transmit-interval"`
	EchoReceive      float64 `json:"echo-receive-interval"`  // 0: there is no echo function
	EchoTransmit     float64 `json:"echo-transmit-interval"` // the same
	Multiplier       int     `json:"detect-multiplier"`
	RemoteReceive    float64 `json:"remote-receive-interval"`
	RemoteTransmit   float64 `json:"remote-transmit-interval"`
	RemoteEcho       float64 `json:"remote-echo-receive-interval"`
	RemoteMultiplier int     `json:"remote-detect-multiplier"`

	ControlIn          uint64 `json:"control-packet-input"`
	ControlOut         uint64 `json:"control-packet-output"`
	EchoIn             uint64 `json:"echo-packet-input"`
	EchoOut            uint64 `json:"echo-packet-output"`
	SessionUp          uint64 `json:"session-up"`
	SessionDown        uint64 `json:"session-down"`
	ZebraNotifications uint64 `json:"zebra-notifications"` // changes that hostagent was told of

	// What FRR does not show.
	Profile          string            `json:"profile"`
	Strict           bool              `json:"strict,omitempty"`
	DetectTime       float64           `json:"detectTime"`       // milliseconds without a packet after which the leaf is dead
	RemoteDetectTime float64           `json:"remoteDetectTime"` // and after which we are, to the leaf
	Polling          bool              `json:"polling,omitempty"`
	Drops            map[string]uint64 `json:"drops,omitempty"` // packets of the leaf that were not used, by reason
	Expired          uint64            `json:"expired"`         // of session-down: we noticed, not the leaf
	Late             uint64            `json:"lateTimers"`
	LateMax          float64           `json:"lateMax"`        // milliseconds
	Watchdog         string            `json:"watchdog"`       // in the kernel, for this session: off, refused, waiting, on
	WatchdogFirst    uint64            `json:"watchdogFirst"`  // silences it told of before the worker had found them
	WatchdogSecond   uint64            `json:"watchdogSecond"` // and after that
	WatchdogFalse    uint64            `json:"watchdogFalse"`  // while packets came
	Problem          string            `json:"problem,omitempty"`
}

// bfdUplink is what the loop knows of an uplink.
type bfdUplink struct {
	link    string
	leaf    netip.Addr
	local   netip.Addr
	rule    BFDRule
	refused error
	told    uint64
}

// sessionsWithin is how long the worker may take to list its sessions.
const sessionsWithin = 2 * time.Second

func (a *Agent) serveBFD(w http.ResponseWriter, r *http.Request) {
	var uplinks []bfdUplink
	if err := a.inLoop(r.Context(), func(context.Context) { uplinks = a.bfdUplinks() }); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), sessionsWithin)
	defer cancel()
	sessions, err := a.bfd.Sessions(ctx)
	answer := BFD{Worker: describeWorker(a.bfd.Status()), Peers: []BFDPeer{}}
	if err != nil && answer.Worker.Problem == "" {
		answer.Worker.Problem = err.Error()
	}
	for i := range sessions {
		answer.Worker.Moves, answer.Worker.Mover = max(answer.Worker.Moves, sessions[i].Moves), sessions[i].Mover.String()
	}
	for _, u := range uplinks {
		answer.Peers = append(answer.Peers, u.describe(sessions))
	}
	reply(w, answer)
}

// bfdUplinks returns the uplinks that have a leaf, by name.
func (a *Agent) bfdUplinks() []bfdUplink {
	var all []bfdUplink
	for name, u := range a.uplinks {
		if u.leaf.IsValid() {
			all = append(all, bfdUplink{name, u.leaf, u.link.LinkLocal, a.cfg.bfd(name), u.bfd.refused, u.bfd.told})
		}
	}
	slices.SortFunc(all, func(x, y bfdUplink) int { return cmp.Compare(x.link, y.link) })
	return all
}

func describeWorker(s worker.ClientStatus) BFDWorker {
	w := BFDWorker{Running: s.Running, PID: s.PID, Adopted: s.Adopted, Restarts: s.Restarts}
	if s.Running {
		w.Scheduling, w.LockedMemory, w.Problem = s.Scheduling.String(), s.LockedMemory, s.Reason
		w.Watchdog, w.Unwatched = s.Watchdog, s.WatchdogReason
	} else if s.Err != nil {
		w.Problem = s.Err.Error()
	}
	return w
}

// describe puts what is known of the uplink's session in FRR's words.
func (u *bfdUplink) describe(sessions []worker.Session) BFDPeer {
	t := u.rule.timers()
	p := BFDPeer{
		Peer: u.leaf.WithZone("").String(), Local: u.local.WithZone("").String(), VRF: "default", Interface: u.link, Status: "unknown",
		Profile: u.rule.Profile, Strict: u.rule.Strict, DetectTime: milliseconds(worst(t)), RemoteDetectTime: milliseconds(worst(t)),
		Transmit: milliseconds(t.Transmit), Receive: milliseconds(t.Receive), Multiplier: int(t.Multiplier), ZebraNotifications: u.told,
		Diagnostic: bfd.NoDiagnostic.String(), RemoteDiagnostic: bfd.NoDiagnostic.String(), Watchdog: worker.Unguarded.String(),
	}
	if p.Profile == "" {
		p.Profile = anyLeaf
	}
	if !u.rule.enabled() {
		p.Status = "off"
	}
	if u.refused != nil {
		p.Problem = u.refused.Error()
	}
	i := slices.IndexFunc(sessions, func(s worker.Session) bool { return s.Peer == u.leaf })
	if i >= 0 && sessions[i].Known && u.rule.enabled() {
		p.addSession(&sessions[i])
	}
	return p
}

func (p *BFDPeer) addSession(s *worker.Session) {
	p.ID, p.RemoteID, p.Passive, p.Polling = s.Discriminator, s.Remote.Discriminator, s.Passive, s.Polling
	p.Status = s.State.String()
	if s.State == bfd.AdminDown {
		p.Status = "shutdown"
	}
	age := max(int64(time.Since(s.Time())/time.Second), 0)
	if s.State == bfd.Up {
		p.Uptime = &age
	} else {
		p.Downtime = &age
	}
	p.Diagnostic, p.RemoteDiagnostic = s.Diagnostic.String(), s.Remote.Diagnostic.String()
	p.Transmit, p.Receive, p.Multiplier = milliseconds(s.Timers.Transmit), milliseconds(s.Timers.Receive), int(s.Timers.Multiplier)
	p.RemoteTransmit, p.RemoteReceive = milliseconds(s.Remote.DesiredMinTx), milliseconds(s.Remote.RequiredMinRx)
	p.RemoteEcho, p.RemoteMultiplier = milliseconds(s.Remote.RequiredMinEchoRx), int(s.Remote.Multiplier)
	p.ControlIn, p.ControlOut, p.SessionUp, p.SessionDown = s.Received, s.Sent, s.Ups, s.Failures
	if s.State == bfd.Up {
		p.DetectTime = milliseconds(s.DetectTime)
		p.RemoteDetectTime = milliseconds(bfd.DetectTime(s.Timers.Multiplier, s.Timers.Transmit, s.Remote.RequiredMinRx))
	}
	p.Expired, p.Late, p.LateMax = s.Expired, s.Late, milliseconds(s.LateMax)
	p.Watchdog = s.Watchdog.String()
	p.WatchdogFirst, p.WatchdogSecond, p.WatchdogFalse = s.WatchdogFirst, s.WatchdogSecond, s.WatchdogFalse
	for _, d := range bfd.Drops() {
		if n := s.Drops[d]; n > 0 {
			if p.Drops == nil {
				p.Drops = map[string]uint64{}
			}
			p.Drops[d.String()] = n
		}
	}
	if err := s.SendError(); err != nil && p.Problem == "" {
		p.Problem = fmt.Sprintf("%d packets not sent, the last because: %v", s.SendErrors, err)
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// WriteText writes the table that people read.
func (b BFD) WriteText(w io.Writer) error {
	var errs []error
	_, err := fmt.Fprintln(w, b.Worker.text()+"\n")
	errs = append(errs, err)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "UPLINK\tPEER\tSTATUS\tFOR\tSEND/RECEIVE\tDEAD AFTER\tTO THE LEAF\tIN\tOUT\tFAILED\tWATCHDOG\tDIAGNOSTIC")
	for _, p := range b.Peers {
		state := p.Diagnostic + " / " + p.RemoteDiagnostic
		if p.Problem != "" {
			state += " (" + p.Problem + ")"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%gms/%gms x %d\t%gms\t%gms\t%d\t%d\t%d\t%s\t%s\n", p.Interface, p.Peer, p.Status, p.lasts(),
			p.Transmit, p.Receive, p.Multiplier, p.DetectTime, p.RemoteDetectTime, p.ControlIn, p.ControlOut, p.SessionDown, p.Watchdog, state)
	}
	return errors.Join(append(errs, t.Flush())...)
}

func (p *BFDPeer) lasts() string {
	for _, seconds := range []*int64{p.Uptime, p.Downtime} {
		if seconds != nil {
			return (time.Duration(*seconds) * time.Second).String()
		}
	}
	return "-"
}

func (w *BFDWorker) text() string {
	if !w.Running {
		return "no BFD worker runs: " + dash(w.Problem)
	}
	text := fmt.Sprintf("worker %d, scheduling %s", w.PID, w.Scheduling)
	if w.LockedMemory {
		text += ", memory locked"
	}
	if w.Watchdog {
		text += ", watchdog in the kernel"
	}
	if w.Problem != "" {
		text += "; " + w.Problem
	}
	if w.Mover != "" && w.Mover != worker.MoverRuns.String() {
		text += "; no mover: " + w.Mover
	}
	if !w.Watchdog {
		text += "; no watchdog in the kernel: " + w.Unwatched
	}
	return text
}
