package kernel

import (
	"errors"
	"iter"
	"maps"
	"net/netip"
	"slices"
)

// inheritance is what an earlier run left in the kernel and no order of this run has confirmed.
type inheritance struct {
	adopted     bool // all of it is known
	holding     bool // until Sweep
	unconfirmed prefixMap[struct{}]
	odd         []listed // routes with other metrics
	useless     []uint32 // numbers of next-hop objects, groups first

	usable map[hop]netip.Addr // while routes that name next hops are listed; zero for one that is not
}

// inherit takes over the next hops and groups that carry our protocol number, and where there are no objects, so that they
// are found in the routes only, these too.
func (f *FIB) inherit() (err error) {
	switch {
	case !f.plain:
		f.useless, err = f.objects.adopt()
	case f.hasObjects:
		f.useless, err = f.kernel.numbers()
	}
	if err == nil && f.plain {
		return f.Adopt()
	}
	f.holding = f.left()
	return err
}

// left says whether an earlier run left anything.
func (f *FIB) left() bool {
	return f.unconfirmed.len()+len(f.odd)+len(f.useless)+len(f.objects.groups)+len(f.objects.hops) > 0
}

// Adopt takes over the routes of our protocol that an earlier run left, see [FIB.Sweep]. It changes nothing in the kernel:
// packets go on as they did.
func (f *FIB) Adopt() error {
	if f.adopted {
		return nil
	}
	err := retryDump(func() error {
		f.routes.clear()
		for _, g := range f.objects.groups {
			g.routes = 0
		}
		f.unconfirmed, f.odd = newPrefixMap[struct{}](), nil
		f.v4, f.v6 = source{}, source{}
		f.usable = make(map[hop]netip.Addr)
		return f.list(f.audit.conn, f.inheritRoute)
	})
	f.usable = nil
	f.holding, f.adopted = f.left(), true
	return err
}

// inheritRoute takes a route over. The source address of the first one of a family is taken for that of all.
func (f *FIB) inheritRoute(r listed) {
	if r.metric != Metric {
		f.odd = append(f.odd, r)
		return
	}
	s := f.source(r.prefix)
	if !s.known {
		s.addr, s.known = r.source, true
	}
	g := f.groupOf(r)
	if g == nil || r.source != s.addr {
		g = f.unknown
	}
	f.point(r.prefix, g)
	f.unconfirmed.set(r.prefix, struct{}{})
}

// groupOf returns the group that the route uses, nil if it is none that we could have made.
func (f *FIB) groupOf(r listed) *group {
	if !f.plain {
		return f.objects.groups[r.group]
	}
	var hops []netip.Addr
	for _, listed := range r.hops {
		a, seen := f.usable[listed]
		if !seen {
			h, ok := f.objects.recognize(0, object{gateway: listed.addr, link: listed.link})
			if ok && f.objects.nextHop(h.addr) == nil { // it is up
				a = h.addr
			}
			f.usable[listed] = a
		}
		if a.IsValid() {
			hops = append(hops, a)
		}
	}
	if len(hops) == 0 || len(hops) < len(r.hops) || r.group != 0 {
		return nil
	}
	slices.SortFunc(hops, netip.Addr.Compare)
	g, err := f.objects.group(setKey(hops), hops)
	if err != nil {
		return nil
	}
	return g
}

// hold tells whether the prefix keeps the next hops that it has from an earlier run: before Sweep an order for some of them
// waits for the others. All else confirms the prefix.
func (f *FIB) hold(prefix netip.Prefix, t *target) bool {
	if _, ok := f.unconfirmed.get(prefix); !ok {
		return false
	}
	now := f.routes.at(prefix)
	lost := func(a netip.Addr) bool { return !slices.Contains(now.hops, a) }
	if f.holding && now != nil && now != f.unknown && len(t.hops) < len(now.hops) && !slices.ContainsFunc(t.hops, lost) {
		return true
	}
	f.unconfirmed.delete(prefix)
	return false
}

// Inherited returns the next hops in use since an earlier run, and those of this run, until Sweep.
func (f *FIB) Inherited() []netip.Addr {
	if !f.holding {
		return nil
	}
	return slices.Collect(maps.Keys(f.objects.hops))
}

// Sweep ends the time in which routes of an earlier run stay without an order. The routes are all that there are to be: they
// are applied, and what else was inherited is removed. It returns how many routes that were. The errors are as of
// [FIB.Apply]. What could not be removed is tried again with each [FIB.Audit].
//
// From [OpenFIB] to Sweep, an order that is what an inherited route has already sends nothing. An order for only some of its
// next hops changes nothing yet, since the leaves come back one by one: [FIB.LeafLost] takes out one that does not.
func (f *FIB) Sweep(routes iter.Seq[Route]) (removed int, err error) {
	f.holding = false
	err = f.Apply(routes)
	before := f.routes.len()
	err = errors.Join(err, f.removeInherited())
	return before - f.routes.len(), err
}

// removeInherited removes what has not been confirmed by the time of Sweep.
func (f *FIB) removeInherited() error {
	if f.holding {
		return nil
	}
	if f.unconfirmed.len()+len(f.odd)+len(f.useless) == 0 {
		f.unconfirmed = newPrefixMap[struct{}]() // an empty map keeps its memory
		return nil
	}
	stale := f.unconfirmed
	f.unconfirmed = newPrefixMap[struct{}]()
	failed := f.apply(func(yield func(Route) bool) {
		for prefix := range stale.all() {
			if !yield(Route{Prefix: prefix}) {
				return
			}
		}
	})
	for prefix := range failed {
		f.unconfirmed.set(prefix, struct{}{})
	}
	errs := append(f.sortedErrors(failed), f.removeListed(f.odd), f.objects.sweep())
	for _, id := range f.useless {
		errs = append(errs, f.kernel.remove(id))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	f.odd, f.useless = nil, nil
	return nil
}
