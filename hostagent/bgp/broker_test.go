package bgp_test

import (
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"lastmile/hostagent/bgp"
)

// Both sides dial at once, again and again: there is one session each time, and
// it is made without a relapse.
func TestCollisionStorm(t *testing.T) {
	s, _, leaf := newPort(t)
	l := leaf.listen()
	var running sync.WaitGroup
	defer running.Wait()
	for round := range 200 {
		// Below and above ours, 10.0.1.1.
		r := newRival([]string{"10.0.0.9", "10.0.1.9"}[round%2])
		// The leaf dials as soon as we have dialled, or at about the same time.
		onAccept := round%4 < 2
		done := make(chan struct{})
		running.Go(func() {
			defer close(done)
			var calls sync.WaitGroup
			defer calls.Wait()
			call := func() {
				c, err := leaf.dial("fe80::1", "fe80::a", 179)
				if err != nil {
					return // the peer is not there yet, or no more
				}
				w := leaf.wire(c)
				r.begin(w, true)
				calls.Go(func() { r.speak(w) })
			}
			if !onAccept {
				calls.Go(func() {
					<-time.After(rand.N(35 * time.Millisecond))
					call()
				})
			}
			l.SetDeadline(time.Time{})
			for {
				c, err := l.Accept()
				if errors.Is(err, net.ErrClosed) {
					return
				} else if err != nil {
					return // the deadline at the end of the round
				}
				w := leaf.wire(c)
				r.begin(w, false)
				if onAccept {
					call()
				}
				calls.Go(func() { r.speak(w) })
			}
		})
		from := len(s.log)
		s.add(leaf0)
		s.awaitState(leaf0, bgp.Established)
		await(t, "the leaf's side of the session", func() bool { return r.sessions() == 1 })
		s.delete(leaf0)
		s.awaitState(leaf0, bgp.Idle)
		l.SetDeadline(time.Unix(1, 0))
		<-done
		var states []bgp.State
		for _, line := range s.log[from:] {
			if line.State != nil {
				states = append(states, line.State.State)
			}
		}
		// Nothing but the deletion ends the session.
		if i := slices.Index(states, bgp.Established); i != len(states)-2 {
			t.Errorf("round %d: %v", round, states)
		}
	}
}
