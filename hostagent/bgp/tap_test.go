package bgp

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// newLoop is a Speaker without GoBGP, whose loop runs until the test ends, with
// a connection that is Established.
func newLoop(t testing.TB) (*Speaker, *connection) {
	t.Helper()
	s, err := New(Config{AS: 64512, RouterID: netip.MustParseAddr("10.0.1.1")})
	if err != nil {
		t.Fatal(err)
	}
	c := &connection{peer: leaf, options: DefaultOptions(), state: Established, updates: s.updates, counters: s.cfg.Metrics.of("eth0")}
	s.peers[leaf] = &peer{addr: leaf, PeerState: PeerState{Peer: leaf, State: Established}, conns: []*connection{c}}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	go s.loop(ctx)
	return s, c
}

func numbered(i int) Update {
	return Update{Peer: leaf, Withdrawn: prefixes(fmt.Sprintf("10.0.%d.%d/32", i/256, i%256))}
}

// A reader that does not read makes the connections wait, and loses nothing.
func TestUpdatesWaitForTheReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newLoop(t)
		const n = 3 * maxQueued
		sent := make(chan int, n)
		go func() {
			for i := range n {
				s.updates <- update{c, numbered(i)}
				sent <- i
			}
		}()
		synctest.Wait()
		if got := len(sent); got != maxQueued {
			t.Errorf("%d updates were taken, want %d", got, maxQueued)
		}
		for i := range n {
			if got := (<-s.news).(Update); got.Withdrawn[0] != numbered(i).Withdrawn[0] {
				t.Fatalf("update %d: %v", i, got.Withdrawn)
			}
		}
	})
}

// What nobody has read when a session ends is not worth reading any more; what
// other peers say is.
func TestUpdatesAreVoidAfterTheirSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newLoop(t)
		other := Update{Peer: leaf.WithZone("eth1"), EndOfRIB: true}
		s.updates <- update{c, numbered(0)}
		s.updates <- update{c, other}
		s.updates <- update{c, numbered(1)}
		if !s.emit(t.Context(), ended{c, fmt.Errorf("it has")}) {
			t.Fatal("the loop has ended")
		}
		synctest.Wait()
		if got, ok := (<-s.news).(Update); !ok || got.Peer != other.Peer {
			t.Errorf("first: %+v", got)
		}
		if got, ok := (<-s.news).(PeerState); !ok || got.State != Idle || got.Reason != "it has" {
			t.Errorf("second: %+v", got)
		}
		select {
		case s.updates <- update{c, numbered(2)}: // the connection was faster than its end
		case <-t.Context().Done():
		}
		synctest.Wait()
		select {
		case n := <-s.news:
			t.Errorf("third: %+v", n)
		default:
		}
	})
}

// While an Update waits, GoBGP hears from the leaf.
func TestWaitingUpdatesFeedTheHoldTimer(t *testing.T) {
	ours, theirs := pipe(t)
	updates := make(chan update)
	tap := newTap(&connection{peer: leaf, updates: updates}, peerOpen(), Config{})
	tap.machine = &machine{tcp: ours}
	ctx, cancel := context.WithCancelCause(t.Context())
	delivered := make(chan error)
	go func() { delivered <- tap.deliver(ctx, numbered(0)) }()
	theirs.SetReadDeadline(time.Now().Add(20 * time.Second))
	f := newFramer(theirs)
	for range 2 {
		if m, err := f.next(); err != nil || m.kind() != typeKeepalive {
			t.Fatalf("%x, %v", m, err)
		}
	}
	<-updates
	if err := <-delivered; err != nil {
		t.Error(err)
	}
	go func() { delivered <- tap.deliver(ctx, numbered(1)) }()
	cancel(errStopped)
	if err := <-delivered; err != errStopped {
		t.Errorf("ended with %v", err)
	}
}

// pipe is a TCP connection with itself.
func pipe(t testing.TB) (a, b *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialled, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialled.Close(); accepted.Close() })
	return dialled.(*net.TCPConn), accepted.(*net.TCPConn)
}
