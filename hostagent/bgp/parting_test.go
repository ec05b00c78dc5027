package bgp_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	packet "github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"lastmile/hostagent/bgp"
)

// endings are the ways in which we end a session that we open again.
var endings = map[string]func(*speaker, *wire){
	"reset":    func(s *speaker, _ *wire) { s.order(request{Reset: &leaf0}) },
	"nonsense": func(_ *speaker, w *wire) { w.Write(append(bytes.Repeat([]byte{0xff}, 16), 0, 19, 99)) },
}

// TestNewConnectionWaitsForTheEndOfTheOld: a leaf that meets our next connection before it has read why the session ended takes
// it for broken, and keeps our routes as those of a server that restarts. So there is none before the leaf has closed the old
// one, or has had its time.
func TestNewConnectionWaitsForTheEndOfTheOld(t *testing.T) {
	t.Setenv("GOMAXPROCS", "1") // the speaker's: what is put off comes later still
	for how, end := range endings {
		for name, closes := range map[string]bool{"closed": true, "left open": false} {
			t.Run(how+", "+name, func(t *testing.T) {
				s, w, leaf := newSession(t)
				l := leaf.listen()
				for range 3 {
					began := time.Now()
					end(s, w)
					if _, err := w.expectEventually(packet.BGP_MSG_NOTIFICATION); err != nil {
						t.Fatal(err)
					}
					least := bgp.Farewell
					if closes {
						least = bgp.Farewell / 2
						l.SetDeadline(began.Add(least))
						if _, err := l.Accept(); err == nil {
							t.Fatal("the next connection came before the leaf had closed the old one")
						}
						w.Close()
					}
					w = leaf.accept(l)
					if took := time.Since(began); took < least {
						t.Errorf("the next connection came after %v, and the leaf had not closed the old one", took)
					}
					if err := w.establish(hello(65001, "10.255.255.1")); err != nil {
						t.Fatal(err)
					}
					s.awaitState(leaf0, bgp.Established)
				}
			})
		}
	}
}

// newSession is a server with a session that its leaf has opened.
func newSession(t *testing.T) (*speaker, *wire, port) {
	t.Helper()
	s, _, leaf := newPort(t)
	s.add(leaf0)
	w := leaf.call()
	if err := w.establish(hello(65001, "10.255.255.1")); err != nil {
		t.Fatal(err)
	}
	s.awaitState(leaf0, bgp.Established)
	return s, w, leaf
}

// end receives what comes until the server has no more to say. The error says why that was no orderly end after a NOTIFICATION.
func (w *wire) end() error {
	_, err := w.expectEventually(packet.BGP_MSG_NOTIFICATION)
	if err == nil {
		_, err = w.receive()
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return fmt.Errorf("the server ended the session with %w", err)
}

// soon says if do has taken less than limit in one of some tries: what takes so long for a reason does so each time, and what a
// busy machine does to one try it does not do to all.
func soon(limit time.Duration, do func() time.Duration) bool {
	for range 5 {
		if do() < limit {
			return true
		}
	}
	return false
}

// TestLeafThatWaitsForTheEnd: a leaf that closes at the end of the connection, not at the NOTIFICATION, gets there at once.
func TestLeafThatWaitsForTheEnd(t *testing.T) {
	s, w, leaf := newSession(t)
	l := leaf.listen()
	if !soon(bgp.Farewell, func() time.Duration {
		began := time.Now()
		s.order(request{Reset: &leaf0})
		if err := w.end(); err != nil {
			t.Fatal(err)
		}
		took := time.Since(began)
		w.Close()
		w = leaf.accept(l)
		if err := w.establish(hello(65001, "10.255.255.1")); err != nil {
			t.Fatal(err)
		}
		s.awaitState(leaf0, bgp.Established)
		return took
	}) {
		t.Errorf("each time it took %v and more", bgp.Farewell)
	}
}

// TestNobodyWaitsForGoBGP: neither the next connection nor the end of the old one comes later for a GoBGP that hangs.
func TestNobodyWaitsForGoBGP(t *testing.T) {
	host, ns := newNS(t, "server"), newNS(t, "leaf")
	connect(t, plug{host, "eth0"}, plug{ns, "swp1"})
	cfg := serverConfig()
	cfg.Hang = 5 * bgp.Farewell
	s, leaf := startSpeaker(t, host, cfg), at(t, ns)
	l := leaf.listen()
	s.add(leaf0)
	w := leaf.accept(l)
	if err := w.establish(hello(65001, "10.255.255.1")); err != nil {
		t.Fatal(err)
	}
	s.awaitState(leaf0, bgp.Established)
	began := time.Now()
	s.order(request{Reset: &leaf0})
	leaf.accept(l)
	if took := time.Since(began); took >= cfg.Hang {
		t.Errorf("the next connection came after %v", took)
	}
	await(t, "the old one to be closed", func() bool { return w.send(packet.NewBGPKeepAliveMessage()) != nil })
	if took := time.Since(began); took >= cfg.Hang {
		t.Errorf("the old one was closed after %v", took)
	}
}

// TestLeafThatSendsHearsWhy: what a leaf sends meets no closed socket before the leaf has had its time to read our last word, which
// is short only when we stop.
func TestLeafThatSendsHearsWhy(t *testing.T) {
	for how, test := range map[string]struct {
		end   func(*speaker)
		limit time.Duration
	}{
		"reset":  {func(s *speaker) { s.order(request{Reset: &leaf0}) }, bgp.Farewell},
		"delete": {func(s *speaker) { s.delete(leaf0) }, bgp.Farewell},
		"stop":   {func(s *speaker) { s.cmd.Process.Signal(syscall.SIGTERM) }, bgp.Goodbye},
	} {
		t.Run(how, func(t *testing.T) {
			var err error
			if !soon(test.limit, func() time.Duration {
				s, w, _ := newSession(t)
				stop, sent := make(chan struct{}), make(chan error)
				go func() { sent <- w.stream(stop) }()
				began := time.Now()
				test.end(s)
				time.Sleep(time.Until(began.Add(test.limit / 3))) // as long as a busy FRR does not read
				close(stop)
				err = errors.Join(<-sent, w.end())
				return time.Since(began)
			}) {
				t.Fatalf("each time it took %v and more", test.limit)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// stream sends until stop is closed.
func (w *wire) stream(stop <-chan struct{}) error {
	for {
		select {
		case <-stop:
			return nil
		default:
			if err := w.send(packet.NewBGPKeepAliveMessage()); err != nil {
				return err
			}
		}
	}
}

// TestStopWaitsForNoPeer: we are gone at once, whether the leaf closes its end or not.
func TestStopWaitsForNoPeer(t *testing.T) {
	t.Setenv("GORACE", "atexit_sleep_ms=0") // a second, where the race detector is built in
	if !soon(bgp.Farewell, func() time.Duration {
		s, _, _ := newSession(t)
		began := time.Now()
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
		return time.Since(began)
	}) {
		t.Errorf("each time it took %v and more", bgp.Farewell)
	}
}

// TestWhatIsNoSessionIsClosedAtOnce: a leaf that opens one connection after the other and closes none holds up no socket of ours.
func TestWhatIsNoSessionIsClosedAtOnce(t *testing.T) {
	s, _, leaf := newPort(t)
	s.add(leaf0)
	sockets := func() int {
		all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	before := sockets()
	for range 50 {
		w := leaf.call()
		if err := w.send(hello(64512, "10.255.255.1")); err != nil {
			t.Fatal(err)
		}
		if err := w.end(); err != nil {
			t.Fatal(err)
		}
	}
	if after := sockets(); after > before+10 {
		t.Errorf("%d files open, where there were %d", after, before)
	}
}

// TestNoDialBesideTheLeafsOwn: a dial that has waited for the leaf to close the session that we have ended leaves the leaf's own
// connection its time.
func TestNoDialBesideTheLeafsOwn(t *testing.T) {
	var took time.Duration
	if !soon(bgp.Farewell, func() time.Duration {
		s, w, leaf := newSession(t)
		l := leaf.listen()
		began := time.Now()
		s.order(request{Reset: &leaf0})
		time.Sleep(bgp.Farewell / 2) // until we would dial, if the leaf had closed it
		called := time.Now()
		if _, err := leaf.call().expect(packet.BGP_MSG_OPEN); err != nil {
			t.Fatal(err)
		}
		w.Close()
		closed := time.Since(began)
		leaf.accept(l)
		took = time.Since(called)
		return closed
	}) {
		t.Fatalf("each time it took %v and more", bgp.Farewell)
	}
	if took < bgp.CollisionWait {
		t.Errorf("we dialled %v after the leaf had", took)
	}
}
