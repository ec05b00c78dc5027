package switchagent

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"lastmile/switchagent/junos"
)

// pollsPerLook is in how many polls the leaf is asked once what its servers announce.
const pollsPerLook = 5

// announced is what the peers of the stanzas have announced, by interface.
type announced struct{ accepted, rejected, flaps int }

func announcedIn(s junos.Session) announced {
	return announced{s.Accepted, max(s.Received-s.Accepted, 0), s.Flaps}
}

func announcedBy(sessions []junos.Session, stanzas []junos.Stanza) (links map[string]announced, states map[string]int) {
	links, states = map[string]announced{}, map[string]int{}
	ours := map[netip.Addr]bool{}
	for _, s := range stanzas {
		ours[s.Peer] = true
	}
	for _, s := range located(sessions, stanzas) {
		if !ours[s.Peer] {
			continue
		}
		one, more := links[s.Peer.Zone()], announcedIn(s)
		links[s.Peer.Zone()] = announced{one.accepted + more.accepted, one.rejected + more.rejected, one.flaps + more.flaps}
		switch {
		case s.Established():
			states["established"]++
		case s.Down():
			states["down"]++
		default:
			states[otherState]++
		}
	}
	return links, states
}

// watchSessions looks now and then what the servers announce, and how much of it the leaf rejects.
func (a *Agent) watchSessions(ctx context.Context, l leaf, stanzas []junos.Stanza) error {
	now := time.Now()
	if now.Before(a.sessionsAfter) {
		return nil
	}
	a.sessionsAfter = now.Add(pollsPerLook * a.cfg.PollInterval)
	sessions, err := l.sessions(ctx)
	if errors.Is(err, junos.ErrLost) {
		return err
	}
	if err != nil {
		a.log.Warn("sessions are not known", "err", err)
		return nil
	}
	links, states := announcedBy(sessions, stanzas)
	a.metrics.announced(links, states)
	return a.watchRejected(ctx, l, rejectingOf(sessions, stanzas))
}
