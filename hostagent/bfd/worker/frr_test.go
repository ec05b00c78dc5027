package worker_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"lastmile/hostagent/bfd"
	"lastmile/hostagent/bfd/worker"
	"lastmile/lab/frr"
	"lastmile/lab/netns"
)

// bfdd is FRR's BFD on the leaf.
type bfdd struct {
	t      testing.TB
	router *frr.Router
	peer   string // our address, as FRR's configuration names the session
}

// bfddPeer is what `show bfd peers json` says of a session.
type bfddPeer struct {
	Status            string
	Diagnostic        string
	RemoteDiagnostic  string `json:"remote-diagnostic"`
	Uptime            int
	ReceiveInterval   int `json:"remote-receive-interval"`
	TransmitInterval  int `json:"remote-transmit-interval"`
	RemoteMultiplier  int `json:"remote-detect-multiplier"`
	SessionDown       int
	ControlPacketsIn  int
	RemoteDiscr       uint32 `json:"remote-id"`
	OwnDiscr          uint32 `json:"id"`
	OwnReceive        int    `json:"receive-interval"`
	OwnTransmit       int    `json:"transmit-interval"`
	SessionDownEvents int    `json:"session-down"`
}

func startBFDD(t testing.TB, c *cable, lines ...string) *bfdd {
	t.Helper()
	d := &bfdd{t: t, router: frr.ForTest(t, frr.Config{NS: c.leaf, BFD: true})}
	d.peer = fmt.Sprintf(" peer %s interface swp1", c.serverAddr.WithZone(""))
	d.set(append([]string{fmt.Sprint("detect-multiplier ", multiplier)}, lines...)...)
	return d
}

// besideFRR brings a session with FRR's bfdd up, in which both send every so often.
func besideFRR(t *testing.T, every time.Duration, s settings) (*cable, *bfdd, *agent) {
	t.Helper()
	c, ms := newCable(t), every.Milliseconds()
	d := startBFDD(t, c, fmt.Sprint("receive-interval ", ms), fmt.Sprint("transmit-interval ", ms))
	a := startAgent(t, c.server, s)
	a.watch(worker.Watch{Peer: c.peer(), Timers: timers(every)})
	a.await(bfd.Up)
	d.await("up")
	return c, d, a
}

// set changes the configuration of the session.
func (d *bfdd) set(lines ...string) {
	d.t.Helper()
	config := []string{"bfd", d.peer}
	for _, l := range lines {
		config = append(config, "  "+l)
	}
	if err := d.router.Configure(d.t.Context(), config...); err != nil {
		d.t.Fatal(err)
	}
}

func (d *bfdd) show() (p bfddPeer) {
	d.t.Helper()
	out, err := d.router.Vtysh(d.t.Context(), "show bfd peers json")
	if err != nil {
		d.t.Fatal(err)
	}
	var peers []bfddPeer
	if err := json.Unmarshal(out, &peers); err != nil || len(peers) != 1 {
		d.t.Fatalf("%s (%v)", out, err)
	}
	p = peers[0]
	if out, err = d.router.Vtysh(d.t.Context(), "show bfd peers counters json"); err != nil {
		d.t.Fatal(err)
	}
	var counters []bfddPeer
	if err := json.Unmarshal(out, &counters); err != nil || len(counters) != 1 {
		d.t.Fatalf("%s (%v)", out, err)
	}
	p.SessionDownEvents = counters[0].SessionDownEvents
	return p
}

func (d *bfdd) await(status string) {
	d.t.Helper()
	eventually(d.t, "an FRR session that is "+status, func() bool { return d.show().Status == status })
}

func TestSessionWithFRR(t *testing.T) {
	t.Parallel()
	for _, role := range []string{"active", "passive"} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			c := newCable(t)
			mode := "no passive-mode"
			if role == "passive" {
				mode = "passive-mode"
			}
			d := startBFDD(t, c, "receive-interval 50", "transmit-interval 60", "detect-multiplier 14", mode)
			a := startAgent(t, c.server, settings{})
			a.watch(worker.Watch{Peer: c.peer(), Timers: bfd.Timers{Transmit: 70 * time.Millisecond, Receive: 80 * time.Millisecond, Multiplier: 15}})
			a.await(bfd.Up)
			d.await("up")
			eventually(t, "the timers of both", func() bool {
				s := a.session()
				return s.TransmitInterval == 70*time.Millisecond && s.DetectTime == 14*80*time.Millisecond &&
					remote(s) == bfd.Timers{Transmit: 60 * time.Millisecond, Receive: 50 * time.Millisecond, Multiplier: 14}
			})
			eventually(t, "our timers in FRR", func() bool {
				p := d.show()
				return p.TransmitInterval == 70 && p.ReceiveInterval == 80 && p.RemoteMultiplier == 15
			})
		})
	}
}

func TestTimersChangeWhileUp(t *testing.T) {
	t.Parallel()
	c, d, a := besideFRR(t, 300*time.Millisecond, settings{})
	for _, ms := range []int{100, 1000, 200} {
		want := time.Duration(ms) * time.Millisecond
		a.watch(worker.Watch{Peer: c.peer(), Timers: timers(want)})
		eventually(t, fmt.Sprintf("our %v in FRR", want), func() bool {
			p := d.show()
			return p.TransmitInterval == ms && p.ReceiveInterval == ms
		})
		eventually(t, fmt.Sprintf("our %v in force", want), func() bool {
			return a.session().TransmitInterval == max(want, 300*time.Millisecond)
		})
	}
	for _, ms := range []int{100, 1000, 200} {
		want := time.Duration(ms) * time.Millisecond
		d.set(fmt.Sprintf("receive-interval %d", ms), fmt.Sprintf("transmit-interval %d", ms))
		eventually(t, fmt.Sprintf("FRR's %v in force", want), func() bool {
			s := a.session()
			return s.Remote.DesiredMinTx == want && s.DetectTime == multiplier*max(want, 200*time.Millisecond)
		})
	}
	if s := a.session(); s.State != bfd.Up || s.Ups != 1 || s.Failures != 0 {
		t.Errorf("the session was not up all the time: %+v", s)
	}
	if p := d.show(); p.SessionDownEvents != 0 {
		t.Errorf("FRR lost the session %d times", p.SessionDownEvents)
	}
}

func TestAdminDown(t *testing.T) {
	t.Parallel()
	c, d, a := besideFRR(t, 100*time.Millisecond, settings{})
	w := worker.Watch{Peer: c.peer(), Timers: timers(100 * time.Millisecond)}

	d.set("shutdown")
	if s := a.await(bfd.Down); s.Change.Cause != bfd.PeerAdminDown || s.Change.PathFailed() {
		t.Errorf("FRR's AdminDown is taken for %+v", s.Change)
	}
	d.set("no shutdown")
	a.await(bfd.Up)

	w.AdminDown = true
	a.watch(w)
	a.await(bfd.AdminDown)
	eventually(t, "our AdminDown in FRR", func() bool {
		p := d.show()
		return p.Status == "down" && strings.Contains(p.RemoteDiagnostic, "administrative")
	})
	w.AdminDown = false
	a.watch(w)
	a.await(bfd.Up)
	if s := a.session(); s.Failures != 0 {
		t.Errorf("%d failures, want none", s.Failures)
	}
	a.ask(request{Unwatch: &w.Peer})
	eventually(t, "no session", func() bool { return len(a.ask(request{Sessions: true}).Sessions) == 0 })
	d.heardAdminDown()
}

// TestFRRRestarts ends bfdd in order and without a word, and starts it again. To
// FRR 8.4.4 both are the same: it says nothing.
func TestFRRRestarts(t *testing.T) {
	t.Parallel()
	c, d, a := besideFRR(t, 100*time.Millisecond, settings{})
	first := a.session()
	for i, end := range []func() error{d.router.Stop, func() error { return killIn(c.leaf) }} {
		d.await("up")
		if err := end(); err != nil {
			t.Fatal(err)
		}
		if s := a.await(bfd.Down); !s.Change.PathFailed() || s.Change.Cause != bfd.Expired {
			t.Errorf("end %d is taken for %+v", i, s.Change)
		}
		d = startBFDD(t, c, "receive-interval 100", "transmit-interval 100")
		a.await(bfd.Up)
	}
	d.await("up")
	if s := a.session(); s.Discriminator != first.Discriminator || s.Failures != 2 || s.Ups != 3 {
		t.Errorf("one session, two failures, up three times are wanted: %+v", s)
	}
}

func killIn(ns *netns.NS) error {
	pids, err := ns.Pids()
	errs := []error{err}
	for _, pid := range pids {
		errs = append(errs, syscall.Kill(pid, syscall.SIGKILL))
	}
	return errors.Join(errs...)
}

func TestSilenceIsAFailure(t *testing.T) {
	t.Parallel()
	c := newCable(t)
	startBFDD(t, c, "receive-interval 50", "transmit-interval 50")
	a := startAgent(t, c.server, settings{})
	a.watch(worker.Watch{Peer: c.peer(), Timers: timers(50 * time.Millisecond)})
	a.await(bfd.Up)
	const detect = multiplier * 50 * time.Millisecond
	eventually(t, "the timers wanted", func() bool { return a.session().DetectTime == detect })
	// The carrier stays, and nothing comes any more.
	if _, err := c.leaf.Run(t.Context(), "nft", "add table inet t; add chain inet t o { type filter hook output priority 0; policy drop; }"); err != nil {
		t.Fatal(err)
	}
	s := a.await(bfd.Down)
	if !s.Change.PathFailed() || s.Change.Cause != bfd.Expired || s.Change.DetectTime != detect {
		t.Errorf("%+v", s.Change)
	}
	if silence := s.Change.At - s.Change.LastReceived; silence < s.Change.DetectTime {
		t.Errorf("it was called dead after %v of silence, less than %v", silence, s.Change.DetectTime)
	}
	for _, n := range a.told() {
		if n.State == bfd.Down && n.Failed {
			return
		}
	}
	t.Error("the failure is in no news")
}

func TestKilledHostagentKeepsItsSessions(t *testing.T) {
	t.Parallel()
	socket := socketPath(t)
	c, d, a := besideFRR(t, 100*time.Millisecond, settings{Socket: socket})
	w := worker.Watch{Peer: c.peer(), Timers: timers(100 * time.Millisecond)}
	before := a.session()
	pid := a.running().PID

	a.kill()
	time.Sleep(2 * time.Second) // twice a detection time with nobody there
	b := startAgent(t, c.server, settings{Socket: socket, Claim: time.Minute})
	if s := b.running(); !s.Adopted || s.PID != pid {
		t.Fatalf("%+v, want worker %d adopted", s, pid)
	}
	after := b.await(bfd.Up)
	if after.Claimed {
		t.Error("the session is claimed before anybody has")
	}
	if after.Discriminator != before.Discriminator || after.Ups != 1 || after.Failures != 0 {
		t.Errorf("before:\n%+v\nafter:\n%+v", before, after)
	}
	b.watch(w)
	eventually(t, "the claimed session", func() bool { return b.session().Claimed })
	if p := d.show(); p.Status != "up" || p.SessionDownEvents != 0 || p.RemoteDiscr != before.Discriminator {
		t.Errorf("FRR noticed: %+v", p)
	}
	var told bool
	for _, n := range b.told() {
		told = told || n.Known && n.State == bfd.Up
	}
	if !told {
		t.Error("the adopted session is in no news")
	}
}
