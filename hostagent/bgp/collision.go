package bgp

import (
	"math/rand/v2"
	"time"
)

// verdict is what becomes of a connection once the peer's OPEN has come on it.
type verdict uint8

const (
	proceed verdict = iota // it becomes the session; the other one is closed, if there is one
	yield                  // it is closed; the other one stays
	wait                   // it is closed if the peer's OPEN comes on the other one too
)

// judge resolves the collision of a connection on which the peer's OPEN has
// come with the other one, which is in the given state, Idle if there is none
// (RFC 4271 section 6.8). The connection that the dominant side has opened is
// the one that stays.
//
// A connection in OpenSent is not closed for one that may never be answered:
// hence wait.
func judge(dialled, dominant bool, other State) verdict {
	switch {
	case other < OpenSent:
		return proceed
	case other == Established:
		return yield
	case dialled == dominant:
		return proceed
	case other == OpenSent:
		return wait
	default:
		return yield
	}
}

// dominates says if it is our connection that stays: the side with the higher
// BGP identifier has the say, and the higher AS where they are equal (RFC 6286
// section 2.3).
func dominates(own, peer open) bool {
	if c := own.id.Compare(peer.id); c != 0 {
		return c > 0
	}
	return own.as > peer.as
}

const (
	// grace is how long we wait for the peer to dial, when both sides are ready
	// at the same moment.
	grace = 60 * time.Millisecond
	// collisionWait is how long the other connection has to bring an OPEN.
	collisionWait = 250 * time.Millisecond

	afterRefusal = 25 * time.Millisecond  // first wait, of one that was not let in
	afterEnd     = 100 * time.Millisecond // first wait, of one that was put out again
	mostAtFirst  = 500 * time.Millisecond
	mostLater    = 2 * time.Second
	atFirst      = 10 * time.Second // since the peer was added, or a stable session fell
	stable       = 2 * time.Second
	// Some things stay wrong until somebody configures the peer.
	whileWrong = 30 * time.Second
)

// pace says how long to wait before the next dial: a leaf that begins to take
// connections is not to be kept waiting, nor is one that does not want us to be
// pestered.
type pace struct {
	since time.Time // when the peer was added, or its last stable session fell
	tries int
}

// refused is the wait after a dial that failed. One SYN and its answer cost
// little.
func (p *pace) refused() time.Duration {
	return p.back(afterRefusal, mostAtFirst)
}

// ended is the wait after a connection that was made, and ended before or after
// it was Established; lasted is for how long it was.
func (p *pace) ended(now time.Time, lasted time.Duration) time.Duration {
	if lasted >= stable {
		*p = pace{since: now}
		return jitter(grace)
	}
	if now.Sub(p.since) < atFirst {
		return p.back(afterEnd, mostAtFirst)
	}
	return p.back(afterEnd, mostLater)
}

func (p *pace) back(first, most time.Duration) time.Duration {
	d := min(first<<min(p.tries, 10), most)
	p.tries++
	return jitter(d)
}

// jitter takes up to a quarter off.
func jitter(d time.Duration) time.Duration { return d - rand.N(d/4) }
