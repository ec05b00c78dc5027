package worker_test

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"lastmile/hostagent/bfd"
	"lastmile/hostagent/bfd/worker"
	"lastmile/lab/netns"
)

// gone says whether the worker of a socket has ended: its lock is free.
func gone(t testing.TB, ns *netns.NS, socket string) bool {
	t.Helper()
	var err error
	doErr := ns.Do(func() error {
		var lock *os.File
		if lock, err = worker.TakeLock(socket); err == nil {
			return lock.Close()
		}
		return nil
	})
	if doErr != nil || err != nil && !errors.Is(err, worker.ErrLocked) {
		t.Fatal(doErr, err)
	}
	return err == nil
}

// heardAdminDown checks that FRR knows that nothing has failed.
func (d *bfdd) heardAdminDown() {
	d.t.Helper()
	d.await("down")
	if p := d.show(); !strings.Contains(p.RemoteDiagnostic, "administrative") {
		d.t.Errorf("FRR heard %q at the end, want administratively down", p.RemoteDiagnostic)
	}
}

func TestStopSaysAdminDown(t *testing.T) {
	t.Parallel()
	socket := socketPath(t)
	c, d, a := besideFRR(t, 100*time.Millisecond, settings{Socket: socket})
	a.stop()
	d.heardAdminDown()
	eventually(t, "the end of the worker", func() bool { return gone(t, c.server, socket) })
	if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
}

// TestRestart: who comes while the worker still says AdminDown need not wait.
func TestRestart(t *testing.T) {
	t.Parallel()
	c := newCable(t)
	startBIRD(t, c, "interval 100 ms; multiplier 10;")
	socket := socketPath(t)
	w := worker.Watch{Peer: c.peer(), Timers: timers(100 * time.Millisecond)}
	a := startAgent(t, c.server, settings{Socket: socket})
	a.watch(w)
	before := a.await(bfd.Up)
	a.stop()
	b := startAgent(t, c.server, settings{Socket: socket})
	if s := b.running(); !s.Adopted {
		t.Errorf("%+v, want the worker that is about to end", s)
	}
	b.watch(w)
	if after := b.await(bfd.Up); after.Discriminator != before.Discriminator || after.Failures != 0 {
		t.Errorf("before:\n%+v\nafter:\n%+v", before, after)
	}
}

func TestOrphanEnds(t *testing.T) {
	t.Parallel()
	socket := socketPath(t)
	c, d, a := besideFRR(t, 100*time.Millisecond, settings{Socket: socket, Orphan: time.Second})
	a.kill()
	if gone(t, c.server, socket) {
		t.Error("the worker ends with hostagent")
	}
	eventually(t, "the end of the worker", func() bool { return gone(t, c.server, socket) })
	d.heardAdminDown()
}

func TestUnclaimedSessionsEnd(t *testing.T) {
	t.Parallel()
	socket := socketPath(t)
	c, d, a := besideFRR(t, 100*time.Millisecond, settings{Socket: socket})
	a.kill()
	b := startAgent(t, c.server, settings{Socket: socket, Claim: 500 * time.Millisecond})
	b.await(bfd.Up)
	eventually(t, "no session", func() bool { return len(b.ask(request{Sessions: true}).Sessions) == 0 })
	d.heardAdminDown()
}

func TestDeadWorkerIsReplaced(t *testing.T) {
	t.Parallel()
	c := newCable(t)
	startBIRD(t, c, "interval 100 ms; multiplier 10;")
	a := startAgent(t, c.server, settings{})
	a.watch(worker.Watch{Peer: c.peer(), Timers: timers(100 * time.Millisecond)})
	before := a.await(bfd.Up)
	pid := a.running().PID
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a session of a new worker", func() bool {
		s := a.session()
		return s.State == bfd.Up && s.Discriminator != before.Discriminator
	})
	if s := a.status(); s.PID == pid || s.Restarts != 1 || s.Adopted {
		t.Errorf("%+v", s)
	}
	unknown := false
	for _, n := range a.told() {
		unknown = unknown || !n.Known
		if n.Failed {
			t.Errorf("a failure was reported: %+v", n)
		}
	}
	if !unknown {
		t.Error("nobody said that the state was unknown for a while")
	}
}

func TestTwoHostagents(t *testing.T) {
	t.Parallel()
	c := newCable(t)
	startBIRD(t, c, "interval 100 ms; multiplier 10;")
	socket := socketPath(t)
	a := startAgent(t, c.server, settings{Socket: socket})
	a.watch(worker.Watch{Peer: c.peer(), Timers: timers(100 * time.Millisecond)})
	a.await(bfd.Up)
	b := startAgent(t, c.server, settings{Socket: socket})
	eventually(t, "a refusal of the second", func() bool {
		return strings.Contains(b.status().Error, "another hostagent")
	})
	b.stop()
	if s := a.session(); s.State != bfd.Up || s.Ups != 1 {
		t.Errorf("the first one's session: %+v", s)
	}
}

// TestOneWorker starts several clients at once.
func TestOneWorker(t *testing.T) {
	t.Parallel()
	ns := netns.ForTest(t, "server")
	socket := socketPath(t)
	var all []*agent
	for range 4 {
		all = append(all, startAgent(t, ns, settings{Socket: socket}))
	}
	eventually(t, "one that is served", func() bool {
		served, refused := 0, 0
		for _, a := range all {
			switch s := a.status(); {
			case s.Running:
				served++
			case strings.Contains(s.Error, "another hostagent"):
				refused++
			}
		}
		if served > 1 {
			t.Fatalf("%d are served", served)
		}
		return served == 1 && refused == 3
	})
}

func TestPortIsTaken(t *testing.T) {
	t.Parallel()
	c := newCable(t)
	c.leaf, c.server = c.server, c.leaf // BIRD is to run beside ours
	startBIRD(t, c, "interval 100 ms; multiplier 10;")
	a := startAgent(t, c.leaf, settings{})
	w := worker.Watch{Peer: c.serverAddr.WithZone("eth0"), Timers: timers(100 * time.Millisecond)}
	a.watch(w)
	eventually(t, "a refusal", func() bool {
		for _, n := range a.told() {
			if strings.Contains(n.Refusal, "does another BFD daemon run") {
				return true
			}
		}
		return false
	})
}

func TestLinkGoesAndComes(t *testing.T) {
	t.Parallel()
	c := newCable(t)
	startBIRD(t, c, "interval 100 ms; multiplier 10;")
	a := startAgent(t, c.server, settings{})
	w := worker.Watch{Peer: c.peer(), Timers: timers(100 * time.Millisecond)}
	a.watch(w)
	first := a.await(bfd.Up)

	// Down, and up again: the same session.
	if err := c.server.SetDown("eth0"); err != nil {
		t.Fatal(err)
	}
	a.await(bfd.Down)
	eventually(t, "errors of sending", func() bool { return a.session().SendErrors > 0 })
	if err := errors.Join(c.server.SetUp("eth0"), c.server.AddAddress("eth0", "fe80::a/64")); err != nil {
		t.Fatal(err)
	}
	if s := a.await(bfd.Up); s.Discriminator != first.Discriminator {
		t.Error("a link that was down has a new session")
	}

	// Made anew under the same name: ordered again, it is another session, and
	// the old one goes.
	if _, err := c.server.Run(t.Context(), "ip", "link", "delete", "eth0"); err != nil {
		t.Fatal(err)
	}
	a.await(bfd.Down)
	c.join(t)
	a.watch(w)
	eventually(t, "a session over the new link", func() bool {
		s := a.session()
		return s.State == bfd.Up && s.Discriminator != first.Discriminator
	})
}

func TestWatchNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	c := newCable(t)
	a := startAgent(t, c.server, settings{})
	if s := a.running(); s.Scheduling != worker.FIFO {
		t.Fatalf("root's worker has no real-time priority: %+v", s)
	}
	good := timers(100 * time.Millisecond)
	for _, test := range []struct {
		peer   string
		timers bfd.Timers
		want   string
	}{
		{"fe80::1%eth7", good, "no such network interface"},
		{"fe80::1", good, "a link-local IPv6 address with its link as zone is wanted"},
		{"2001:db8::1%eth0", good, "a link-local IPv6 address with its link as zone is wanted"},
		{"fe80::1%eth0", bfd.Timers{Transmit: time.Second, Receive: time.Second}, "multiplier 0"},
		{"fe80::1%eth0", timers(3300 * time.Microsecond), "3.3ms: at least 10ms is allowed"},
	} {
		w := worker.Watch{Timers: test.timers}
		if err := w.Peer.UnmarshalText([]byte(test.peer)); err != nil {
			t.Fatal(err)
		}
		if l := a.ask(request{Watch: &w}); !strings.Contains(l.Error, test.want) || !strings.Contains(l.Error, test.peer) {
			t.Errorf("%s %v: %q, want %q", test.peer, test.timers, l.Error, test.want)
		}
	}
}

// dropping is a command that takes a capability away.
func dropping(capability string) []string {
	return []string{"setpriv", "--bounding-set", "-" + capability}
}

// privileges is what a worker lacks, and what becomes of it.
var privileges = map[string]struct {
	wrap   []string
	want   worker.Scheduling
	locked bool
	reason string
}{
	"all":              {nil, worker.FIFO, true, ""},
	"no CAP_SYS_NICE":  {dropping("sys_nice"), worker.Normal, true, "CAP_SYS_NICE is missing"},
	"nice without it":  {append([]string{"nice", "-n", "-20"}, dropping("sys_nice")...), worker.Nice, true, "CAP_SYS_NICE is missing"},
	"no CAP_IPC_LOCK":  {dropping("ipc_lock"), worker.FIFO, false, "CAP_IPC_LOCK"},
	"neither of these": {dropping("sys_nice,-ipc_lock"), worker.Normal, false, "CAP_IPC_LOCK"},
}

func TestWithoutPrivilege(t *testing.T) {
	t.Parallel()
	for name, test := range privileges {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCable(t)
			startBIRD(t, c, "interval 100 ms; multiplier 10;")
			a := startAgent(t, c.server, settings{wrap: test.wrap})
			s := a.running()
			if s.Scheduling != test.want || s.LockedMemory != test.locked || !strings.Contains(s.Reason, test.reason) || (s.Reason == "") != (test.reason == "") {
				t.Errorf("%+v", s)
			}
			const line = "cannot keep time as well as it should"
			a.watch(worker.Watch{Peer: c.peer(), Timers: timers(100 * time.Millisecond)})
			a.await(bfd.Up)
			// The log is another way than the answers, and may take longer.
			if test.reason != "" {
				eventually(t, "a line in the log", func() bool { return strings.Contains(a.stderr.String(), line) })
			}
			if n := strings.Count(a.stderr.String(), line); (n == 1) != (test.reason != "") {
				t.Errorf("%d lines in the log say so", n)
			}
			fast := worker.Watch{Peer: c.peer(), Timers: timers(50 * time.Millisecond)}
			l := a.ask(request{Watch: &fast})
			if test.want == worker.FIFO {
				if l.Error != "" {
					t.Error(l.Error)
				}
				return
			}
			for _, want := range []string{"50ms", "at least 100ms", "CAP_SYS_NICE"} {
				if !strings.Contains(l.Error, want) {
					t.Errorf("%q does not name %s", l.Error, want)
				}
			}
			if s := a.session(); s.State != bfd.Up || s.Timers != timers(100*time.Millisecond) {
				t.Errorf("after the refusal: %+v", s)
			}
		})
	}
}
