package hostagent

import (
	"net/netip"
	"time"

	"lastmile/hostagent/rib"
)

// A leaf whose session comes up while another leaf carries traffic is used for
// what the other does not have, and for the rest when all its routes are there:
// then they join the others in one move, and flows are hashed once.

// maxReturnDelay is the limit of Config.ReturnDelay.
const maxReturnDelay = time.Hour

// awaitBFDFor is for how long a leaf that has all its routes there is held back
// because it spoke BFD and does not now: it may have been configured not to.
const awaitBFDFor = 30 * time.Second

// What a leaf that is held back waits for.
const (
	forRoutes    = "waiting for End-of-RIB"
	forBFD       = "waiting for BFD to be up again"
	forStrictBFD = "waiting for BFD (strict)"
	forNeighbour = "no answer to neighbour discovery"
)

// hold says how far the paths of the uplink's leaf are used, and what it waits
// for.
func (a *Agent) hold(u *uplink) (rib.Hold, string) {
	switch {
	case !u.established() && u.waitsFor != "" && u.waitsFor != forNeighbour:
		return a.holdOn(u), u.waitsFor
	case !u.established() && !u.unreachable:
		return rib.Free, ""
	case u.established() && a.cfg.bfd(u.link.Name).Strict && !u.bfd.up():
		return rib.Barred, forStrictBFD
	case u.unreachable:
		return rib.Last, forNeighbour
	case u.awaitsBFD():
		return rib.Spare, forBFD
	case u.returning && !u.endOfRIB && time.Since(u.session.Since) < a.cfg.ReturnDelay:
		return rib.Spare, forRoutes
	}
	return rib.Free, ""
}

// holdOn is for a leaf that restarts, and waits on for what it waited for before.
func (a *Agent) holdOn(u *uplink) rib.Hold {
	switch {
	case a.rib.Held(u.leaf) == rib.Barred:
		return rib.Barred
	case u.unreachable:
		return rib.Last
	}
	return rib.Spare
}

// returns notes whether the leaf, whose session has come up, joins others.
func (a *Agent) returns(u *uplink, continued bool) {
	u.returning = false
	for _, other := range a.uplinks {
		if other != u && other.established() && a.rib.Held(other.leaf) == rib.Free {
			u.returning = !continued
		}
	}
}

// admit holds leaves back and lets them go: those with a session, and those that
// restart, of whose routes the next change must not bring back a dead one.
func (a *Agent) admit() {
	for _, u := range a.uplinks {
		if !u.established() && u.keptUntil.IsZero() || u.fault != "" && u.fault != byNeighbour {
			continue
		}
		a.forgetBFD(u)
		hold, why := a.hold(u)
		switch {
		case why == u.waitsFor:
		case why != "" && why != forRoutes:
			a.log.Info("leaf is held back", "link", u.link.Name, "peer", u.leaf, "held", why)
		case why == "" && u.waitsFor != forRoutes:
			a.log.Info("leaf is used again", "link", u.link.Name, "peer", u.leaf)
		}
		if why != u.waitsFor {
			u.waitsFor, u.waitsSince = why, time.Now()
		}
		if hold != a.rib.Held(u.leaf) {
			a.apply(a.rib.SetHold(u.leaf, hold))
		}
	}
}

// forgetBFD gives up waiting for BFD of a leaf that comes back without it.
func (a *Agent) forgetBFD(u *uplink) {
	since := u.waitsSince
	if u.wholeAt.After(since) {
		since = u.wholeAt
	}
	if u.waitsFor == forBFD && u.endOfRIB && u.awaitsBFD() && time.Since(since) >= awaitBFDFor {
		u.bfd.spoke = netip.Addr{}
		a.log.Warn("leaf has come back without BFD, it is not waited for any longer", "link", u.link.Name, "peer", u.leaf)
	}
}
