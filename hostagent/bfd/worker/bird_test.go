package worker_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lastmile/hostagent/bfd"
	"lastmile/hostagent/bfd/worker"
)

// bird is BIRD's BFD on the leaf.
type bird struct {
	t    testing.TB
	c    *cable
	dir  string
	cmd  *exec.Cmd
	done chan struct{}
}

func startBIRD(t testing.TB, c *cable, options string) *bird {
	t.Helper()
	b := &bird{t: t, c: c, dir: t.TempDir()}
	b.start(options)
	t.Cleanup(b.stop)
	return b
}

func (b *bird) start(options string) {
	b.t.Helper()
	b.write(options)
	b.cmd, b.done = exec.Command("bird", "-f", "-c", b.path("conf"), "-s", b.path("ctl")), make(chan struct{})
	if err := b.c.leaf.Start(b.cmd); err != nil {
		b.t.Fatal(err)
	}
	go func() { b.cmd.Wait(); close(b.done) }()
	eventually(b.t, "an answer of BIRD", func() bool {
		_, err := b.ask("show", "status")
		return err == nil
	})
}

func (b *bird) path(name string) string { return filepath.Join(b.dir, name) }

func (b *bird) write(options string) {
	b.t.Helper()
	text := fmt.Sprintf(`router id 192.0.2.1;
protocol device {}
protocol bfd {
	interface "swp1" { %s };
	neighbor %s dev "swp1";
}
`, options, b.c.serverAddr.WithZone(""))
	if err := os.WriteFile(b.path("conf"), []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// configure has the running BIRD read new options.
func (b *bird) configure(options string) {
	b.t.Helper()
	b.write(options)
	if out, err := b.ask("configure"); err != nil || !strings.Contains(out, "Reconfigur") {
		b.t.Fatalf("%s (%v)", out, err)
	}
}

func (b *bird) ask(words ...string) (string, error) {
	out, err := b.c.leaf.Run(b.t.Context(), "birdc", append([]string{"-s", b.path("ctl")}, words...)...)
	return string(out), err
}

// kill ends BIRD without a word to its peers.
func (b *bird) kill() {
	b.t.Helper()
	if err := b.cmd.Process.Kill(); err != nil {
		b.t.Fatal(err)
	}
	<-b.done
}

func (b *bird) stop() {
	select {
	case <-b.done:
	default:
		b.kill()
	}
}

func (b *bird) await(state string) {
	b.t.Helper()
	eventually(b.t, "a session of BIRD that is "+state, func() bool {
		out, err := b.ask("show", "bfd", "sessions")
		return err == nil && strings.Contains(out, " "+state+" ")
	})
}

// TestAdminDownToBIRD: BIRD 2.0.12 says nothing when its own BFD is disabled,
// and takes what we say.
func TestAdminDownToBIRD(t *testing.T) {
	t.Parallel()
	c := newCable(t)
	b := startBIRD(t, c, "interval 100 ms; multiplier 10;")
	a := startAgent(t, c.server, settings{})
	w := worker.Watch{Peer: c.peer(), Timers: timers(100 * time.Millisecond)}
	a.watch(w)
	a.await(bfd.Up)
	b.await("Up")
	w.AdminDown = true
	a.watch(w)
	b.await("Down")
	a.await(bfd.AdminDown)
	w.AdminDown = false
	a.watch(w)
	b.await("Up")
	if s := a.await(bfd.Up); s.Failures != 0 {
		t.Errorf("%d failures, want none", s.Failures)
	}
	for _, word := range []string{"disable", "enable"} {
		if out, err := b.ask(word, "bfd1"); err != nil {
			t.Fatalf("%s (%v)", out, err)
		}
		a.await(map[string]bfd.State{"disable": bfd.Down, "enable": bfd.Up}[word])
	}
	if s := a.session(); s.Failures != 1 {
		t.Errorf("%d failures, want the one of BIRD's silence", s.Failures)
	}
}

func TestSessionWithBIRD(t *testing.T) {
	t.Parallel()
	for role, passive := range map[string]string{"active": "off", "passive": "on"} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			sessionWithBIRD(t, passive)
		})
	}
}

func sessionWithBIRD(t *testing.T, passive string) {
	c := newCable(t)
	b := startBIRD(t, c, "interval 100 ms; multiplier 14; passive "+passive+";")
	a := startAgent(t, c.server, settings{})
	a.watch(worker.Watch{Peer: c.peer(), Timers: timers(200 * time.Millisecond)})
	a.await(bfd.Up)
	b.await("Up")
	eventually(t, "the timers of both", func() bool {
		s := a.session()
		return s.TransmitInterval == 200*time.Millisecond && s.DetectTime == 14*200*time.Millisecond
	})

	// While it is up, each end changes its timers, up and down.
	for _, ms := range []int{500, 100} {
		want := time.Duration(ms) * time.Millisecond
		a.watch(worker.Watch{Peer: c.peer(), Timers: timers(want)})
		eventually(t, "our timers in force", func() bool { return a.session().TransmitInterval == want })
	}
	for _, ms := range []int{400, 50} {
		want := time.Duration(ms) * time.Millisecond
		b.configure(fmt.Sprintf("interval %d ms; multiplier %d; passive %s;", ms, multiplier, passive))
		eventually(t, "BIRD's timers in force", func() bool {
			s := a.session()
			return remote(s) == timers(want) && s.DetectTime == multiplier*max(want, 100*time.Millisecond)
		})
	}
	if s := a.session(); s.State != bfd.Up || s.Ups != 1 || s.Failures != 0 {
		t.Errorf("the session was not up all the time: %+v", s)
	}

	// Either side is started again.
	b.kill()
	if s := a.await(bfd.Down); !s.Change.PathFailed() {
		t.Errorf("BIRD's death is taken for %+v", s.Change)
	}
	b.start("interval 100 ms; multiplier 10; passive " + passive + ";")
	a.await(bfd.Up)
	a.stop()
	b.await("Down")
	a = startAgent(t, c.server, settings{})
	a.watch(worker.Watch{Peer: c.peer(), Timers: timers(200 * time.Millisecond)})
	a.await(bfd.Up)
	b.await("Up")
}
