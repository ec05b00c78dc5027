package hostagent

import (
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"time"

	"lastmile/hostagent/kernel"
	"lastmile/hostagent/rib"
)

// heritage is what an earlier run left in the kernel: its routes carry traffic
// while this run's sessions come up.
type heritage interface {
	// Inherited returns the next hops of the routes; none after Sweep.
	Inherited() []netip.Addr
	// Sweep takes what is not among the routes out of the kernel.
	Sweep(routes iter.Seq[kernel.Route]) (removed int, err error)
}

// quietFor is how long a leaf that sends no End-of-RIB marker must have been
// silent for its routes to be taken for complete.
const quietFor = 3 * time.Second

// A restart is the time between the start and the sweep of what an earlier run
// left in the kernel.
type restart struct {
	over  bool
	until time.Time
}

// complete says whether the leaf has told all its routes. RFC 4724 section 2:
// the marker comes after the last of them.
func (u *uplink) complete() bool {
	return u.established() && (u.endOfRIB || !u.updated.IsZero() && time.Since(u.updated) >= quietFor)
}

// settle ends the restart when all leaves in the inherited routes have told
// their own, or the time for that is over.
func (a *Agent) settle() {
	if a.restart.over {
		return
	}
	if a.restart.until.IsZero() {
		a.restart.until = time.Now().Add(a.cfg.RestartWait)
	}
	inherited := a.heritage.Inherited()
	awaited := a.awaited(inherited)
	if len(awaited) > 0 && time.Now().Before(a.restart.until) {
		return
	}
	a.restart.over = true
	var removed int
	a.order(a.rib.Routes().All(), func(routes iter.Seq[kernel.Route]) (err error) {
		removed, err = a.heritage.Sweep(routes)
		return err
	})
	if len(inherited) > 0 {
		a.log.Info("restart is over", "routes", a.auditor.Len(), "removed", removed, "not_heard", awaited)
	}
	a.nextAudit = time.Now()
}

// awaited returns the links, sorted, whose leaves have routes of an earlier run
// to confirm. The kernel has taken those that are down out of the routes.
func (a *Agent) awaited(hops []netip.Addr) (links []string) {
	for _, hop := range hops {
		u, ok := a.uplinks[hop.Zone()]
		if ok && u.link.Up && (!u.complete() || a.rib.Held(u.leaf) != rib.Free) && !slices.Contains(links, hop.Zone()) {
			links = append(links, hop.Zone())
		}
	}
	slices.Sort(links)
	return links
}

// replaced takes the leaf that an earlier run knew on the link of this one out
// of the routes, now that this one has the session.
func (a *Agent) replaced(by netip.Addr) {
	if a.restart.over {
		return
	}
	for _, hop := range a.heritage.Inherited() {
		if hop.Zone() == by.Zone() && hop != by {
			a.log.Info("another leaf than before the restart", "link", by.Zone(), "peer", by, "before", hop)
			a.leafLost(hop)
		}
	}
}

// openFIB takes over the next hops that an earlier run left in the kernel.
func (a *Agent) openFIB() (*kernel.FIB, error) {
	options := a.cfg.fib()
	options.Heed = a.step
	table, err := kernel.OpenFIB(a.log, options)
	if err != nil {
		return nil, err
	}
	if !table.Objects() {
		a.log.Warn("no next-hop objects: the loss of a leaf costs one message a route", "next_hop_objects", a.cfg.NextHopObjects)
	}
	a.metrics.objects.Set(number(table.Objects()))
	a.fib, a.auditor, a.heritage = table, table, table
	a.sysctls = &kernel.Sysctls{Plain: !table.Objects()}
	return table, nil
}

// adopt takes over the routes that an earlier run left in the kernel: half a
// million take a second. A leaf that the worker says is dead is heeded meanwhile.
func (a *Agent) adopt(table *kernel.FIB, from sources) error {
	a.from = from
	if err := table.Adopt(); err != nil {
		return fmt.Errorf("taking over the routes of an earlier run: %w", err)
	}
	if n := table.Len(); n > 0 {
		a.log.Info("routes of an earlier run stay until they are confirmed", "routes", n, "at_most", a.cfg.RestartWait)
	}
	return nil
}

// closeFIB ends the use of the kernel. What ends with an error is started anew
// and finds its routes.
func (a *Agent) closeFIB(table *kernel.FIB, asked bool) error {
	err := a.sysctls.Restore()
	if asked && !a.cfg.KeepRoutesOnStop {
		return errors.Join(err, table.Close())
	}
	return errors.Join(err, table.Leave())
}
