package worker_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lastmile/bpf/uplink"
	"lastmile/hostagent/bfd"
	"lastmile/hostagent/bfd/worker"
	"lastmile/lab/netns"
)

func monotonic() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err)
	}
	return time.Duration(ts.Nano())
}

// program is what hostagent has on its uplinks.
type program struct {
	t     testing.TB
	ns    *netns.NS
	hooks *uplink.Hooks
	maps  []*os.File
}

// load makes the program and its maps, which are no process's but this one's.
func load(t testing.TB, ns *netns.NS) *program {
	t.Helper()
	p := &program{t: t, ns: ns}
	err := ns.Do(func() (err error) {
		p.hooks, err = uplink.Open(uplink.Options{Watchdog: true, Dir: t.TempDir() + "/none"})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.hooks.Close() })
	sessions, events, err := p.hooks.Watchdog()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sessions.Close(); events.Close() })
	p.maps = []*os.File{sessions, events}
	return p
}

// attach puts the program on the uplinks, or takes it off.
func (p *program) attach(mode uplink.Mode) *program {
	p.t.Helper()
	err := p.ns.Do(func() error {
		all, err := net.Interfaces()
		for _, i := range all {
			if err != nil || !strings.HasPrefix(i.Name, "eth") {
				continue
			}
			var s uplink.State
			s, err = p.hooks.Attach(i.Name, i.Index, mode)
			if err == nil && s.Watchdog != (mode != uplink.Off) {
				err = errors.New("the program has no watchdog")
			}
		}
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return p
}

// guarded waits until the kernel watches the only session.
func (a *agent) guarded(want worker.Watchdog) worker.Session {
	a.t.Helper()
	var s worker.Session
	eventually(a.t, "a session whose watchdog is "+want.String(), func() bool {
		s = a.session()
		return s.Watchdog == want
	})
	return s
}

// wound waits until the kernel's timer runs: an order is for the next packet.
func (a *agent) wound() {
	a.t.Helper()
	n := a.guarded(worker.Guarded).Received
	eventually(a.t, "two more packets", func() bool { return a.session().Received >= n+2 })
}

// watchdogOn hands the client's maps over.
func (a *agent) watchdogOn() {
	a.t.Helper()
	a.ask(request{Watchdog: "maps"})
	eventually(a.t, "a worker with a watchdog", func() bool { return a.status().Watchdog })
}

func (a *agent) wantNoFalls(s worker.Session, false uint64) {
	a.t.Helper()
	if s.State != bfd.Up || s.Ups != 1 || s.Failures != 0 || s.WatchdogFalse != false || s.WatchdogFirst+s.WatchdogSecond != 0 {
		a.t.Errorf("want a session that was up all the time, and %d false events: %+v", false, s)
	}
}

// silence has the leaf send nothing, while the carrier stays.
func silence(t testing.TB, leaf *netns.NS, on bool) {
	t.Helper()
	rule := "delete table inet silence"
	if on {
		rule = "add table inet silence; add chain inet silence o { type filter hook output priority 0; policy drop; }"
	}
	if _, err := leaf.Run(t.Context(), "nft", rule); err != nil {
		t.Fatal(err)
	}
}

func TestWatchdogTellsOfSilence(t *testing.T) {
	t.Parallel()
	for _, mode := range []uplink.Mode{uplink.Generic, uplink.Native} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			c := newCable(t)
			startBFDD(t, c, "receive-interval 50", "transmit-interval 50")
			a := startAgent(t, c.server, settings{maps: load(t, c.server).attach(mode).maps})
			a.watchdogOn()
			a.watch(worker.Watch{Peer: c.peer(), Timers: timers(50 * time.Millisecond)})
			for n := range uint64(2) {
				a.wound()
				silence(t, c.leaf, true)
				s := a.await(bfd.Down)
				if s.Change.Cause != bfd.Expired || s.Change.At-s.Change.LastReceived < s.Change.DetectTime {
					t.Errorf("it was called dead by %+v", s.Change)
				}
				eventually(t, "word of the watchdog", func() bool {
					s = a.session()
					return s.WatchdogFirst+s.WatchdogSecond > n
				})
				if s.WatchdogFirst+s.WatchdogSecond != n+1 || s.WatchdogFalse != 0 || s.Failures != n+1 {
					t.Errorf("%d failures: %+v", n+1, s)
				}
				eventually(t, "a watchdog that is off", func() bool { return a.session().Watchdog == worker.Unguarded })
				silence(t, c.leaf, false)
			}
			a.await(bfd.Up)
			peer := c.peer()
			a.ask(request{Unwatch: &peer})
			eventually(t, "no session", func() bool { return len(a.ask(request{Sessions: true}).Sessions) == 0 })
		})
	}
}

// TestProgramComesAndGoes: what is on the link decides how fast a fault is seen at
// most, and never that there is one.
func TestProgramComesAndGoes(t *testing.T) {
	t.Parallel()
	c := newCable(t)
	startBIRD(t, c, "interval 50 ms; multiplier 10;")
	p := load(t, c.server)
	a := startAgent(t, c.server, settings{maps: p.maps})
	a.watch(worker.Watch{Peer: c.peer(), Timers: timers(50 * time.Millisecond)})
	a.await(bfd.Up)
	if s := a.running(); s.Watchdog || s.WatchdogReason == "" || a.session().Watchdog != worker.Unguarded {
		t.Errorf("a watchdog that nobody handed over: %+v", s)
	}
	a.watchdogOn()
	a.guarded(worker.Waiting) // there is no program
	p.attach(uplink.Generic)
	a.wantNoFalls(a.guarded(worker.Guarded), 0)

	// Another program in its place, from one frame to the next.
	p.attach(uplink.Auto)
	time.Sleep(2 * multiplier * 50 * time.Millisecond)
	a.wantNoFalls(a.guarded(worker.Guarded), 0)

	for n, mode := range []uplink.Mode{uplink.Native, uplink.TCX} {
		a.wound()
		p.attach(uplink.Off)
		a.wantNoFalls(a.guarded(worker.Waiting), uint64(n+1))
		p.attach(mode)
		a.wantNoFalls(a.guarded(worker.Guarded), uint64(n+1))
	}
	a.ask(request{Watchdog: "the administrator took it away"})
	eventually(t, "a worker without one", func() bool {
		s := a.status()
		return !s.Watchdog && s.WatchdogReason == "the administrator took it away"
	})
	a.wantNoFalls(a.guarded(worker.Unguarded), 2)
}

// TestWatchdogFollowsTimers: an order that is out of date would be an event that
// is false.
func TestWatchdogFollowsTimers(t *testing.T) {
	t.Parallel()
	c := newCable(t)
	b := startBIRD(t, c, "interval 50 ms; multiplier 10;")
	a := startAgent(t, c.server, settings{maps: load(t, c.server).attach(uplink.Auto).maps})
	a.watchdogOn()
	for _, ms := range []int{50, 600, 100} {
		want := time.Duration(ms) * time.Millisecond
		a.watch(worker.Watch{Peer: c.peer(), Timers: timers(want)})
		eventually(t, "our timers in force", func() bool { return a.session().DetectTime == 10*want })
		a.guarded(worker.Guarded)
	}
	for _, theirs := range []struct{ ms, multiplier int }{{300, 20}, {100, 5}, {100, 20}} {
		b.configure(fmt.Sprintf("interval %d ms; multiplier %d;", theirs.ms, theirs.multiplier))
		want := time.Duration(theirs.ms*theirs.multiplier) * time.Millisecond
		eventually(t, "BIRD's timers in force", func() bool { return a.session().DetectTime == want })
	}
	a.wound()
	a.wantNoFalls(a.session(), 0)
	b.kill()
	s := a.await(bfd.Down)
	if s.Change.DetectTime != 2*time.Second || s.Change.At-s.Change.LastReceived < s.Change.DetectTime {
		t.Errorf("%+v", s.Change)
	}
	eventually(t, "word of the watchdog", func() bool { s := a.session(); return s.WatchdogFirst+s.WatchdogSecond == 1 })
}

// TestNextHostagentBringsOtherMaps: those that the worker had are dead, as after a
// release with maps of another shape, or where nothing can be pinned.
func TestNextHostagentBringsOtherMaps(t *testing.T) {
	t.Parallel()
	c := newCable(t)
	startBIRD(t, c, "interval 50 ms; multiplier 10;")
	socket := socketPath(t)
	first := load(t, c.server).attach(uplink.Auto)
	a := startAgent(t, c.server, settings{Socket: socket, maps: first.maps})
	w := worker.Watch{Peer: c.peer(), Timers: timers(50 * time.Millisecond)}
	a.watchdogOn()
	a.watch(w)
	a.guarded(worker.Guarded)
	a.kill()
	if err := first.hooks.Close(); err != nil {
		t.Fatal(err)
	}
	second := load(t, c.server)
	b := startAgent(t, c.server, settings{Socket: socket, maps: second.maps})
	if s := b.running(); !s.Adopted || s.Watchdog {
		t.Errorf("%+v, want an adopted worker with maps of no use", s)
	}
	b.watch(w)
	b.watchdogOn()
	b.wantNoFalls(b.guarded(worker.Waiting), 0)
	second.attach(uplink.Auto)
	b.wantNoFalls(b.guarded(worker.Guarded), 0)

	// A worker that has died: the next one gets them too.
	if err := unix.Kill(b.running().PID, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another worker with a watchdog", func() bool { s := b.status(); return s.Restarts == 1 && s.Watchdog })
	b.guarded(worker.Guarded)
}

// TestWatchdogWithoutPrivilege: the two files are all that is needed.
func TestWatchdogWithoutPrivilege(t *testing.T) {
	t.Parallel()
	c := newCable(t)
	startBIRD(t, c, "interval 100 ms; multiplier 10;")
	a := startAgent(t, c.server, settings{
		maps: load(t, c.server).attach(uplink.Auto).maps,
		wrap: []string{"setpriv", "--bounding-set", "-all,+net_bind_service", "--inh-caps", "-all"},
	})
	a.watchdogOn()
	a.watch(worker.Watch{Peer: c.peer(), Timers: timers(100 * time.Millisecond)})
	a.wound()
	silence(t, c.leaf, true)
	a.await(bfd.Down)
	eventually(t, "word of the watchdog", func() bool { s := a.session(); return s.WatchdogFirst+s.WatchdogSecond == 1 })
}
