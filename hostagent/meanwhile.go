package hostagent

import (
	"context"
	"slices"
	"time"

	"lastmile/hostagent/bgp"
	"lastmile/hostagent/kernel"
)

// The loop does what takes as long as the table is large in one piece: a whole
// table to be installed, a leaf's paths to be forgotten. The FIB and the table
// call step from the midst of it, for each route or batch of them, and some ten
// thousand times a second that calls meanwhile: so a fault waits for none of it.

// meanwhile takes dead leaves out of the kernel's groups. That is all there is
// to do at once. BGP and the table are not to be touched here, and hear of it
// from follow; the FIB leaves the leaf out of what is yet to come.
func (a *Agent) meanwhile() {
	for {
		select {
		case n, ok := <-a.from.bfd:
			if !ok {
				a.from.bfd = nil
				continue
			}
			a.noteBFD(n)
		case state, ok := <-a.from.links:
			if !ok {
				a.from.links = nil
				continue
			}
			a.noteLinks(state)
		default:
			return
		}
	}
}

// step is for the routes of a table that are gone through, here or by the table or
// the FIB, and heeds faults now and then: after each batch that the FIB sends, too.
func (a *Agent) step(n int) {
	if a.steps += n; a.steps >= kernel.HeedSteps {
		a.steps = 0
		a.meanwhile()
	}
}

// noteLinks notes which leaves are lost. The kernel has taken them out of its
// groups already; it refuses groups with them, so that others in these would not
// be used either.
func (a *Agent) noteLinks(state kernel.State) {
	a.unheard = &state
	for name, u := range a.uplinks {
		link, ok := state.Links[name]
		if (!ok || link.Losses != u.link.Losses) && u.fault == "" && u.inUse() {
			a.fault(u, byCarrier, time.Now())
		}
	}
	a.neighbours(state.Unreachable)
}

// behind says whether the table and BGP have not heard of all faults.
func (a *Agent) behind() bool { return len(a.fallen) > 0 || a.unheard != nil }

// follow tells BGP and the table of the faults that the kernel's groups are rid
// of. BGP is told of the reason (RFC 9384), and the routes of what only this leaf
// has go last.
func (a *Agent) follow(ctx context.Context) {
	for a.behind() {
		if state := a.unheard; state != nil {
			a.unheard = nil
			a.onKernel(ctx, *state)
			continue
		}
		u := a.byLeaf(a.fallen[0])
		a.fallen = a.fallen[1:]
		if u == nil || u.fault != byBFD {
			continue // it has been given up since
		}
		if err := a.bgp.ResetPeer(ctx, u.leaf, bgp.BFDDown); err != nil {
			a.log.Error("resetting the session", "link", u.link.Name, "peer", u.leaf, "err", err)
		}
		a.apply(a.rib.Drop(u.leaf))
		u.keptUntil, u.waitsFor = time.Time{}, ""
	}
}

// learn has the table know of all leaves that were lost, whatever else is lost
// before it does. From then on its orders are those that the kernel gets.
func (a *Agent) learn(ctx context.Context) {
	for {
		before := len(a.keptOut)
		a.follow(ctx)
		a.admit()
		if before != len(a.keptOut) || a.behind() {
			continue
		}
		a.fib.LossesKnown()
		inVain := a.lostInVain()
		if a.keptOut = nil; !inVain {
			return
		}
		a.apply(a.rib.Routes())
	}
}

// lostInVain says whether a leaf that was lost is to be used beside others as
// before: it has answered again before the table heard that it did not, say.
func (a *Agent) lostInVain() bool { return slices.ContainsFunc(a.keptOut, a.rib.Beside) }
