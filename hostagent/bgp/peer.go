package bgp

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"
)

// peer is what we know of one neighbour: the port on which it may reach us, and
// at most one connection that it has opened and one that we have. The first to
// get beyond OpenSent becomes the session. Owned by Run.
type peer struct {
	addr     netip.Addr // link-local, with the link as its zone
	options  Options
	counters *counters

	PeerState
	extendedNextHop bool
	reset           string // why the latest Established session ended

	ctx       context.Context // ends with the peer
	end       context.CancelCauseFunc
	at        place
	key       string // of TCP MD5 signatures, empty for none
	listener  *net.TCPListener
	strangers atomic.Uint64 // connections that came from elsewhere

	conns      []*connection
	hangUp     context.CancelFunc // ends the dial in progress; nil if there is none
	pace       pace
	unanswered int           // dials in a row that nobody has answered
	dialAt     time.Time     // zero while there is no reason to; see due
	waiting    *connection   // has the peer's OPEN, and waits for the other to have it; nil if none does
	held       *net.TCPConn  // opened by the peer while the session was in OpenConfirm; nil if none is
	waitUntil  time.Time     // of either
	parting    *connection   // a session that we have ended and the peer has not closed; nil if there is none
	partBy     time.Time     // when that is not waited for any more
	wholeBy    time.Time     // when the peer has had its time for End-of-RIB; zero if that is no matter any more
	stale      time.Duration // what to say of the session that has ended, see PeerState
	shunned    time.Time     // until then the peer's connections are refused
}

// conn returns the connection that we, or the peer, have opened; nil if there
// is none.
func (p *peer) conn(dialled bool) *connection {
	for _, c := range p.conns {
		if c.dialled == dialled {
			return c
		}
	}
	return nil
}

// session returns the connection that has become the session, nil if none has.
func (p *peer) session() *connection {
	for _, c := range p.conns {
		if c.state > OpenSent {
			return c
		}
	}
	return nil
}

func (p *peer) remove(c *connection) {
	p.conns = slices.DeleteFunc(p.conns, func(other *connection) bool { return other == c })
	if p.waiting == c {
		p.waiting = nil
	}
}

// hang ends what may become a connection.
func (p *peer) hang() {
	if p.hangUp != nil {
		p.hangUp()
	}
	p.unhold()
	p.waiting = nil
}

// unhold refuses the connection that was held, if there is one.
func (p *peer) unhold() {
	if p.held != nil {
		refuse(p.held, collision())
		p.held = nil
	}
}

// furthest is the state of the connection that has got furthest.
func (p *peer) furthest() State {
	state := Active
	for _, c := range p.conns {
		state = max(state, c.state)
	}
	return state
}

// enter takes the peer to a state and says if that is a change.
func (p *peer) enter(state State, now time.Time) bool {
	if state == p.State {
		return false
	}
	p.PeerState = PeerState{Peer: p.addr, State: state, Since: now, Reason: p.Reason, Stale: p.stale}
	p.extendedNextHop, p.wholeBy, p.stale = false, time.Time{}, 0
	if state == Established {
		theirs := p.session().open
		p.AS, p.RouterID, p.Kept = theirs.as, theirs.id, theirs.keeps()
		p.wholeBy = now.Add(endOfRIBWait)
		p.extendedNextHop = theirs.extendedNextHop
	}
	return true
}

// due returns when the peer is to be dialled, zero while there is no reason to: at
// dialAt, but not before the peer has closed what we have ended, or has had its time.
func (p *peer) due() time.Time {
	if p.parting != nil && !p.dialAt.IsZero() && p.dialAt.Before(p.partBy) {
		return p.partBy
	}
	return p.dialAt
}

// wake returns when the peer has something to do next, zero for never.
func (p *peer) wake() time.Time {
	at := p.due()
	if (p.waiting != nil || p.held != nil) && (at.IsZero() || p.waitUntil.Before(at)) {
		at = p.waitUntil
	}
	if !p.wholeBy.IsZero() && (at.IsZero() || p.wholeBy.Before(at)) {
		at = p.wholeBy
	}
	return at
}

// earliest returns when the first of the peers has something to do, and false
// if none has.
func earliest(peers map[netip.Addr]*peer) (time.Time, bool) {
	var first time.Time
	for _, p := range peers {
		if at := p.wake(); !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first, !first.IsZero()
}
