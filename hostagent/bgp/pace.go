package bgp

import (
	"math/rand/v2"
	"time"
)

const (
	// grace is how long we wait for the peer to dial, when both sides are ready
	// at the same moment.
	grace = 30 * time.Millisecond
	// collisionWait is how long the other connection has to bring an OPEN.
	collisionWait = 250 * time.Millisecond

	// The shortest and the longest wait before the next dial: after one that
	// was not let in, which costs the peer one segment, and after a connection
	// that the peer took and ended, which may cost it a line in its log.
	refusedLeast, refusedMost = 25 * time.Millisecond, 500 * time.Millisecond
	endedLeast, endedMost     = 100 * time.Millisecond, 2 * time.Second
	// A session that lasted for so long fell for a reason of its own.
	stable = 2 * time.Second
	// That many dials without any answer are no lost segments.
	silence = 4
	// Some things stay wrong until somebody configures the peer.
	whileWrong = 30 * time.Second
)

// pace says how long to wait before the next dial. It is when the peer was
// added, or its last stable session fell. The wait is a twentieth of the time
// since then: a peer that begins to take us has kept us waiting for longer than
// we keep it.
type pace struct{ since time.Time }

// refused is the wait after a dial that failed.
func (p pace) refused(now time.Time) time.Duration {
	return jitter(min(max(now.Sub(p.since)/20, refusedLeast), refusedMost))
}

// ended is the wait after a connection that ended; lasted is for how long it
// was Established.
func (p *pace) ended(now time.Time, lasted time.Duration) time.Duration {
	if lasted >= stable {
		p.since = now
		return jitter(grace)
	}
	return jitter(min(max(now.Sub(p.since)/20, endedLeast), endedMost))
}

// jitter takes up to a quarter off.
func jitter(d time.Duration) time.Duration { return d - rand.N(d/4) }
