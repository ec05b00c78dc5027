package hostagent

import (
	"net/netip"
	"slices"
	"time"

	"lastmile/hostagent/bfd"
	"lastmile/hostagent/bfd/worker"
)

// What notices that a leaf is dead. Whichever does first has it taken out of
// the routes; what the others then say of the same death is no news.
const (
	byCarrier   = "carrier"   // the kernel has shrunk the groups by itself
	byBFD       = "bfd"       // nothing heard for the detection time, or the leaf says so
	byNeighbour = "neighbour" // the kernel's neighbour discovery has given up (RFC 4861 section 7.3)
	byBGP       = "bgp"       // the hold timer, a NOTIFICATION, a closed connection
)

// fault takes the leaf of an uplink out of the routes, by one message a group,
// and says which detector was the first. at is when that noticed it.
func (a *Agent) fault(u *uplink, detector string, at time.Time) {
	u.fault = detector // another may say the same before the routes are rid of it
	a.leafLost(u.leaf)
	a.blame(u, detector, at)
}

// leafLost takes a leaf out of the kernel's groups. The FIB keeps it out until
// the table knows, see learn.
func (a *Agent) leafLost(leaf netip.Addr) {
	a.keptOut = append(a.keptOut, leaf)
	a.fib.LeafLost(leaf)
}

// blame notes what has noticed a fault that the kernel's routes are rid of now.
func (a *Agent) blame(u *uplink, detector string, at time.Time) {
	took := max(time.Since(at), 0)
	u.fault = detector
	a.metrics.faults.WithLabelValues(u.link.Name, detector).Inc()
	a.metrics.toKernel.WithLabelValues(detector).Observe(took.Seconds())
	a.log.Warn("leaf is dead, out of the routes", "link", u.link.Name, "peer", u.leaf, "detector", detector, "took", took)
}

// inUse says whether routes may lead to the leaf: nothing else can be lost. One
// that does not answer neighbour discovery is still used for what only it has.
func (u *uplink) inUse() bool {
	return (u.fault == "" || u.fault == byNeighbour) && (u.established() || !u.keptUntil.IsZero())
}

// bfdFailed is the end of a session that was up. What follows for BGP and the
// table is for follow.
func (a *Agent) bfdFailed(u *uplink, n worker.News) {
	if n.PathFailed() && n.Change.LastReceived > 0 {
		a.metrics.detected.Observe((n.Change.At - n.Change.LastReceived).Seconds())
	}
	if !u.inUse() {
		return
	}
	if u.established() && n.FailedAt.Before(u.session.Since) {
		// It has answered since, and that death has been dealt with, see lost. It is
		// for awaitsBFD if the session is not up.
		return
	}
	if !u.keptUntil.IsZero() && !n.Change.RemoteIndependent {
		// RFC 5882 section 4.3: its BFD restarts with its BGP, which says nothing
		// of its forwarding.
		a.log.Info("BFD fell with a leaf that restarts, its routes stay", "link", u.link.Name, "peer", u.leaf)
		return
	}
	a.fallen = append(a.fallen, u.leaf)
	a.fault(u, byBFD, n.FailedAt)
}

// neighbours follows what the kernel has found out about the leaves' link-local
// addresses. A leaf that does not answer is held back, and BGP goes its own way:
// this is for leaves without BFD, and comes a second before the hold time at
// best. A session that is up says more.
func (a *Agent) neighbours(unreachable []netip.Addr) {
	a.unreachable = unreachable
	for _, u := range a.uplinks {
		failed := u.leaf.IsValid() && slices.Contains(unreachable, u.leaf) && u.bfd.session.State != bfd.Up
		was := u.unreachable
		u.unreachable = failed
		if failed && !was && u.inUse() {
			a.fault(u, byNeighbour, time.Now())
		}
		if was && !failed {
			a.log.Info("leaf answers neighbour discovery again", "link", u.link.Name, "peer", u.leaf)
			if u.fault == byNeighbour {
				u.fault = ""
			}
		}
	}
}
