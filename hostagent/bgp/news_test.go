package bgp

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// What nobody has read of a peer when it is deleted is not read: it may have
// been added anew by then.
func TestNewsOfADeletedPeerIsNotLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newLoop(t)
		other := Update{Peer: leaf.WithZone("eth1"), EndOfRIB: true}
		err := s.ask(t.Context(), func() error {
			p := s.peers[leaf]
			p.end = func(error) {}
			s.tell(PeerState{Peer: leaf, State: Established})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		s.updates <- update{c, numbered(0)}
		if err := s.ask(t.Context(), func() error { s.tell(other); return nil }); err != nil {
			t.Fatal(err)
		}
		if err := s.DeletePeer(t.Context(), leaf, BFDDown); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got, ok := (<-s.news).(Update); !ok || got.Peer != other.Peer {
			t.Errorf("first: %+v", got)
		}
		if got, ok := (<-s.news).(PeerState); !ok || got.Peer != leaf || got.State != Idle || got.Reason != "BFD down" {
			t.Errorf("second: %+v", got)
		}
	})
}

// A peer that sends no End-of-RIB marker is taken to be done after a while, and
// one that has sent it is not told of twice.
func TestEndOfRIBOfAPeerThatDoesNotSay(t *testing.T) {
	for _, says := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s, c := newLoop(t)
			err := s.ask(t.Context(), func() error {
				p := s.peers[leaf]
				p.State, c.open = OpenConfirm, &open{id: netip.MustParseAddr("10.0.0.9")}
				s.established(p, c)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			<-s.news // Established
			began := time.Now()
			if says {
				s.updates <- update{c, Update{Peer: leaf, EndOfRIB: true}}
			}
			if got, ok := (<-s.news).(Update); !ok || !got.EndOfRIB || (time.Since(began) == endOfRIBWait) == says {
				t.Errorf("after %v: %+v", time.Since(began), got)
			}
			select {
			case n := <-s.news:
				t.Errorf("after the end: %+v", n)
			case <-time.After(time.Hour):
			}
		})
	}
}

// Stale routes are those of all updates before the session ended, read or not,
// also when the peer's next connection is on its way.
func TestUpdatesOfAPeerThatRestartsAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newLoop(t)
		s.updates <- update{c, numbered(0)}
		s.enters(t, time.Minute, Idle)
		s.enters(t, 0, Connect, OpenSent)
		if got, ok := (<-s.news).(Update); !ok || got.Withdrawn[0] != numbered(0).Withdrawn[0] {
			t.Errorf("first: %+v", got)
		}
		if got, ok := (<-s.news).(PeerState); !ok || got.Stale != time.Minute {
			t.Errorf("second: %+v", got)
		}
	})
}

// Those of a session of which nothing is kept are void, whenever they were sent.
func TestUpdatesOfAPeerThatEndsAreVoid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newLoop(t)
		s.updates <- update{c, numbered(0)}
		s.enters(t, time.Minute, Idle)
		s.enters(t, 0, OpenConfirm)
		s.peers[leaf].conns[0].open = &open{}
		s.enters(t, 0, Established)
		s.updates <- update{c, numbered(1)}
		s.enters(t, 0, Idle)
		for _, want := range []State{Idle, OpenConfirm, Established, Idle} {
			if got, ok := (<-s.news).(PeerState); !ok || got.State != want {
				t.Errorf("%+v, want state %v", got, want)
			}
		}
	})
}

// enters takes the peer to one state after the other.
func (s *Speaker) enters(t *testing.T, stale time.Duration, states ...State) {
	t.Helper()
	err := s.ask(t.Context(), func() error {
		s.peers[leaf].stale = stale
		for _, state := range states {
			s.enter(s.peers[leaf], state, time.Now())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
