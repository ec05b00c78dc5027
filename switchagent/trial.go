package switchagent

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"lastmile/switchagent/junos"
)

// trial is a commit that the leaf takes back unless it is confirmed in time, and what must be so
// for that: every session that was Established still is and has not gone down in between, and the
// sessions of the new stanzas have come up, or it is known why not.
type trial struct {
	plan     plan
	change   junos.Change
	answered time.Time     // when its answer came, or was lost
	lost     bool          // the answer was: the leaf's stanzas say whether it took effect
	patience time.Duration // after which a new session may be missing because its peer does not answer
	window   time.Duration // within which the leaf must be told
	bad      error         // why it has failed
	asked    bool          // to confirm it, and the answer was lost
}

// inTime is the part of the window after which a trial has failed: the rest is for the confirmation.
func (t *trial) inTime(now time.Time) bool { return now.Sub(t.answered) < t.window/2 }

// over says that the leaf has taken the commit back by now, whatever its clock.
func (t *trial) over(now time.Time) bool { return now.Sub(t.answered) > t.window+t.window/8 }

// judge says whether the commit is good, or why it is bad. Neither is so as long as it may become
// good.
func (t *trial) judge(now time.Time, seen tables, g guards) (good bool, bad error) {
	up := g.established()
	for peer, flaps := range t.plan.up {
		if after, ok := up[peer]; !ok {
			return false, fmt.Errorf("the session with %s was Established and is not any more", peer)
		} else if after > flaps {
			return false, fmt.Errorf("the session with %s has gone down and come up again", peer)
		}
	}
	var missing []netip.Addr
	for _, s := range t.plan.add {
		if !t.explained(now, s, seen, g) {
			missing = append(missing, s.Peer)
		}
	}
	if len(missing) == 0 {
		return true, nil
	}
	if !t.inTime(now) {
		return false, fmt.Errorf("the sessions with %v have not come up, and nothing explains it", missing)
	}
	return false, nil
}

// explained says whether a new session is up, or why it need not be.
func (t *trial) explained(now time.Time, s junos.Stanza, seen tables, g guards) bool {
	isPeer := func(n junos.Neighbor) bool { return n.Interface == s.Peer.Zone() && n.Peer() == s.Peer }
	if ifl, ok := g.interfaces[s.Peer.Zone()]; !ok || ifl.Down || !slices.ContainsFunc(seen.neighbors, isPeer) {
		return true
	}
	return slices.ContainsFunc(g.sessions, func(session junos.Session) bool {
		return same(session.Peer, s.Peer) && (session.Established() ||
			now.Sub(t.answered) >= t.patience && unanswered(session.State))
	})
}

// unanswered says that the leaf is trying and its peer does not answer. Idle is no such state:
// the leaf itself does not try.
func unanswered(state string) bool {
	return slices.Contains([]string{"connect", "active", "opensent", "openconfirm"}, strings.ToLower(state))
}
