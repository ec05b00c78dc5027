package bgp

import (
	"net/netip"
	"slices"
	"time"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

const (
	// A session that lasted this long fell for a reason of its own: the next
	// attempt is made at once.
	stable = 10 * time.Second
	// Otherwise attempts are spaced out, so that a peer that refuses us is not
	// flooded.
	retryMin, retryMax = 100 * time.Millisecond, 2 * time.Second
	// A peer with our own AS stays wrong until somebody configures it.
	retryRefused = 30 * time.Second
)

// peer is what we know of one neighbour. GoBGP's state machine of it is thrown
// away and made anew whenever it falls to Idle, because there it would refuse
// connections for five seconds.
type peer struct {
	PeerState
	extendedNextHop bool
	endOfRIBFrom    []bgp.Family // negotiated families whose marker has not come yet
	falls           int          // in a row, of sessions that were not stable
	retryAt         time.Time    // when to make the state machine anew; zero unless Idle and waiting
}

// enter takes the peer to the state that GoBGP reports and says if that is a
// change. GoBGP may report a last state of a machine that was deleted: a
// session that was not being opened cannot become Established.
func (p *peer) enter(t transition) bool {
	if t.State == Established && p.State != OpenConfirm {
		return false
	}
	if t.State == Idle {
		p.fall(t.Since)
	} else {
		t.Reason = p.Reason
	}
	p.PeerState = t.PeerState
	p.extendedNextHop = t.extendedNextHop
	p.endOfRIBFrom = t.families
	return true
}

// fall plans the next attempt.
func (p *peer) fall(now time.Time) {
	if p.State == Established && now.Sub(p.Since) >= stable {
		p.falls = 0
	}
	p.retryAt = now.Add(backoff(p.falls))
	p.falls++
}

func backoff(falls int) time.Duration {
	if falls == 0 {
		return 0
	}
	return min(retryMin<<min(falls-1, 10), retryMax)
}

// refuse ends a session that must not be.
func (p *peer) refuse(now time.Time, reason string) {
	p.PeerState = PeerState{Peer: p.Peer, State: Idle, Since: now, Reason: reason}
	p.endOfRIBFrom = nil
	p.retryAt = now.Add(retryRefused)
}

// endOfRIB reports if this marker was the last one missing.
func (p *peer) endOfRIB(family bgp.Family) bool {
	i := slices.Index(p.endOfRIBFrom, family)
	if i < 0 {
		return false
	}
	p.endOfRIBFrom = slices.Delete(p.endOfRIBFrom, i, i+1)
	return len(p.endOfRIBFrom) == 0
}

// earliest returns when the next peer is to be tried again, and false if none
// is waiting.
func earliest(peers map[netip.Addr]*peer) (time.Time, bool) {
	var first time.Time
	for _, p := range peers {
		if !p.retryAt.IsZero() && (first.IsZero() || p.retryAt.Before(first)) {
			first = p.retryAt
		}
	}
	return first, !first.IsZero()
}
