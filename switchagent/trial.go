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
	change   junos.Change
	up       []junos.Session // before it
	begun    time.Time       // when the commit was sent
	answered time.Time       // when its answer came, or was lost
	lost     bool            // the answer was: the leaf's stanzas say whether it took effect
	patience time.Duration   // after which a new session may be missing because its peer does not answer
	window   time.Duration   // within which the leaf must be told
	bad      error           // why it has failed
	asked    bool            // to confirm it, and the answer was lost
}

// inTime is the part of the window after which a trial has failed: the rest is for the confirmation.
func (t *trial) inTime(now time.Time) bool { return now.Sub(t.answered) < t.window/2 }

// over says that the leaf has taken the commit back by now, whatever its clock.
func (t *trial) over(now time.Time) bool { return now.Sub(t.answered) > t.window+t.window/8 }

// judge says whether the commit is good, or why it is bad. Neither is so as long as it may become
// good. now is from before the guards were read.
func (t *trial) judge(now time.Time, seen tables, g guards) (good bool, bad error) {
	g.sessions = g.located(seen.stanzas)
	if err := t.undisturbed(now, g.established()); err != nil {
		return false, err
	}
	var missing []netip.Addr
	for _, s := range t.change.Add {
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

// undisturbed finds for each session that was up before one that is up now, and is that very session.
// Peers of which the leaf does not say where they are may be several with one address: each is found
// once.
func (t *trial) undisturbed(now time.Time, up []junos.Session) error {
	up = slices.Clone(up)
	for _, before := range t.up {
		listed := func(s junos.Session) bool { return same(s.Peer, before.Peer) }
		i := slices.IndexFunc(up, func(s junos.Session) bool { return listed(s) && t.continues(now, before, s) })
		switch {
		case i >= 0:
			up = slices.Delete(up, i, i+1)
		case slices.ContainsFunc(up, listed):
			return fmt.Errorf("the session with %s has gone down and come up again", before.Peer)
		default:
			return fmt.Errorf("the session with %s was Established and is not any more", before.Peer)
		}
	}
	return nil
}

// continues says whether a session that is up is the one of before. A routing daemon that was started
// anew counts its flaps from 0, and then the session is younger than the trial. The leaf tells times in
// whole seconds.
func (t *trial) continues(now time.Time, before, s junos.Session) bool {
	told := before.Elapsed >= 0 && s.Elapsed >= 0
	younger := s.Elapsed+time.Second < now.Sub(t.begun) || s.Elapsed < before.Elapsed
	return s.Flaps == before.Flaps && !(told && younger)
}

// explained says whether a new session is up, or why it need not be. That nothing is in a table is no
// explanation: a table that works has others.
func (t *trial) explained(now time.Time, s junos.Stanza, seen tables, g guards) bool {
	if g.interfaces[s.Peer.Zone()].Down {
		return true
	}
	isPeer := func(n junos.Neighbor) bool { return n.Interface == s.Peer.Zone() && n.Peer() == s.Peer }
	late := now.Sub(t.answered) >= t.patience
	if late && len(seen.neighbors) > 0 && !slices.ContainsFunc(seen.neighbors, isPeer) {
		return true // it has left
	}
	return slices.ContainsFunc(g.sessions, func(session junos.Session) bool {
		return same(session.Peer, s.Peer) && (session.Established() || late && unanswered(session.State))
	})
}

// unanswered says that the leaf is trying and its peer does not answer. Idle is no such state:
// the leaf itself does not try.
func unanswered(state string) bool {
	return slices.Contains([]string{"connect", "active", "opensent", "openconfirm"}, strings.ToLower(state))
}
