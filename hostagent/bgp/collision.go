package bgp

// verdict is what becomes of a connection once the peer's OPEN has come on it.
type verdict uint8

const (
	proceed verdict = iota // it becomes the session; the other one is closed, if there is one
	yield                  // it is closed; the other one stays
	wait                   // it is closed if the peer's OPEN comes on the other one, too
)

// judge resolves the collision of a connection on which the peer's OPEN has
// come with the other one, which is in the given state, Idle if there is none
// (RFC 4271 section 6.8). The connection that the dominant side has opened is
// the one that stays.
//
// A connection in Connect or OpenSent may never get any further, so nothing is
// closed for it: hence wait.
func judge(dialled, dominant bool, other State) verdict {
	switch {
	case other == Idle:
		return proceed
	case other == Established:
		return yield
	case dialled == dominant:
		return proceed
	case other == OpenConfirm:
		return yield
	default:
		return wait
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
