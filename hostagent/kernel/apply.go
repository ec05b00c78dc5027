package kernel

import (
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// target is a set of next hops that routes are to have.
type target struct {
	key     string
	hops    []netip.Addr // those that can be used, sorted
	leftOut error        // why some cannot
	group   *group       // once a route needed it
	err     error        // why there is no group
}

// apply does the work of Apply and returns what is not as ordered.
func (f *FIB) apply(changes iter.Seq[Route]) map[netip.Prefix]error {
	return f.write(func(w *writer) {
		if !f.plain && !f.holding {
			w.moveGroups(changes)
		}
		for change := range changes {
			f.heed(1)
			if t := w.target(change); t != nil {
				w.bring(change.Prefix, t)
			}
		}
	})
}

// move is what the orders make of a group.
type move struct {
	to     *target
	routes int
	mixed  bool // they are to have different ones
}

// moveGroups gives a group other next hops where all of its routes are to have the same ones. A set that has a group
// already gets a second one only where moving the routes would take more than a batch. What fails here is then moved, and
// reported, route by route. A leaf that is lost meanwhile has it begin anew.
func (w *writer) moveGroups(changes iter.Seq[Route]) {
	for done := false; !done; {
		before := w.fib.lossCount
		moves := w.moves(changes)
		done = before == w.fib.lossCount && w.change(moves)
	}
}

// moves looks at what the changes make of the groups.
func (w *writer) moves(changes iter.Seq[Route]) map[*group]*move {
	f, moves := w.fib, make(map[*group]*move)
	for change := range changes {
		f.heed(1)
		t, g := w.target(change), f.routes.at(change.Prefix)
		if t == nil || g == nil || g == f.unknown || g.key == t.key {
			continue
		}
		m := moves[g]
		if m == nil {
			m = &move{to: t}
			moves[g] = m
		}
		m.routes++
		m.mixed = m.mixed || m.to.key != t.key
	}
	return moves
}

// change changes the groups, and says whether no leaf was lost before it was done.
func (w *writer) change(moves map[*group]*move) bool {
	f, before := w.fib, w.fib.lossCount
	for g, m := range moves {
		if m.mixed || m.routes < g.routes || len(m.to.hops) == 0 {
			continue
		}
		if m.routes > batchSize || f.objects.find(m.to.key) == nil {
			if err := f.objects.replace(g, m.to.key, m.to.hops); err != nil {
				f.log.Debug("next-hop group not changed in place", "err", err)
			}
			if f.heed(HeedSteps); before != f.lossCount {
				return false
			}
		}
	}
	return true
}

// writer sends routes in batches and keeps f.routes in step with what the kernel took.
type writer struct {
	fib     *FIB
	batch   batch
	queued  []queued
	failed  map[netip.Prefix]error
	targets map[string]*target // by next hops
	key     []byte             // of the set looked for last
	losses  int                // FIB.lossCount that the targets know of
}

// queued is a route in the batch, with what we believed before; to is nil for a removal.
type queued struct {
	prefix   netip.Prefix
	from, to *group
}

// write has do write routes, and returns those that failed.
func (f *FIB) write(do func(*writer)) map[netip.Prefix]error {
	w := &writer{fib: f, losses: f.lossCount, failed: make(map[netip.Prefix]error), targets: make(map[string]*target)}
	f.writers = append(f.writers, w)
	do(w)
	w.flush()
	f.writers = f.writers[:len(f.writers)-1]
	return w.failed
}

// target resolves the next hops of a change, once for each distinct set. A prefix that is no prefix has none.
func (w *writer) target(change Route) *target {
	if change.Prefix != change.Prefix.Masked() || !change.Prefix.IsValid() {
		w.failed[change.Prefix] = fmt.Errorf("not a prefix without host bits: %w", unix.EINVAL)
		return nil
	}
	if w.losses != w.fib.lossCount {
		clear(w.targets)
		w.losses = w.fib.lossCount
	}
	w.key = w.key[:0]
	for _, a := range change.NextHops {
		w.key = appendKey(w.key, a)
	}
	t := w.targets[string(w.key)]
	if t == nil {
		t = w.resolve(change.NextHops)
		w.targets[string(w.key)] = t
	}
	return t
}

// resolve makes sure of the next-hop objects of a set and leaves out those that cannot be made, and leaves that are lost.
func (w *writer) resolve(hops []netip.Addr) *target {
	t := new(target)
	var errs []error
	for _, a := range w.fib.living(hops) {
		if err := w.fib.objects.nextHop(a); err != nil {
			errs = append(errs, err)
			continue
		}
		t.hops = append(t.hops, a)
	}
	slices.SortFunc(t.hops, netip.Addr.Compare)
	t.hops = slices.Compact(t.hops)
	t.key = setKey(t.hops)
	t.leftOut = errors.Join(errs...)
	return t
}

// bring sends what it takes to have the prefix at the target. With no usable next hop left it removes the route: the old
// next hops are nobody's wish any more.
func (w *writer) bring(prefix netip.Prefix, t *target) {
	if t.leftOut != nil {
		w.failed[prefix] = t.leftOut
	}
	now := w.fib.routes.at(prefix)
	if w.fib.hold(prefix, t) {
		return
	}
	switch {
	case len(t.hops) == 0 && now == nil, now != nil && now.key == t.key:
		return
	case len(t.hops) == 0:
		w.remove(prefix, now)
		return
	case t.group == nil && t.err == nil:
		t.group, t.err = w.fib.objects.group(t.key, t.hops)
	}
	switch {
	case t.err != nil:
		w.failed[prefix] = t.err
	case now == nil:
		w.create(prefix, t.group)
	default:
		w.replace(prefix, t.group)
	}
}

// create refuses to take the place of a route that somebody else made with our metric (NLM_F_EXCL).
func (w *writer) create(prefix netip.Prefix, to *group) {
	w.install(unix.NLM_F_CREATE|unix.NLM_F_EXCL, prefix, to)
}

// replace changes our own route, and makes it anew should it be gone.
func (w *writer) replace(prefix netip.Prefix, to *group) {
	w.install(unix.NLM_F_CREATE|unix.NLM_F_REPLACE, prefix, to)
}

func (w *writer) install(flags uint16, prefix netip.Prefix, to *group) {
	w.batch.newRoute(flags, prefix)
	w.batch.uint32(unix.RTA_PRIORITY, Metric)
	if w.fib.plain {
		w.batch.multipath(prefix.Addr().Is4(), w.fib.objects.members(to.hops))
	} else {
		w.batch.uint32(rtaNHID, to.id)
	}
	if s := w.fib.source(prefix); s.addr.IsValid() {
		w.batch.addr(unix.RTA_PREFSRC, s.addr)
	}
	w.queue(queued{prefix: prefix, from: w.fib.routes.at(prefix), to: to})
}

func (w *writer) remove(prefix netip.Prefix, from *group) {
	w.batch.delRoute(prefix)
	w.batch.uint32(unix.RTA_PRIORITY, Metric)
	w.queue(queued{prefix: prefix, from: from})
}

func (w *writer) queue(q queued) {
	w.fib.point(q.prefix, q.to)
	w.queued = append(w.queued, q)
	if len(w.queued) >= batchSize {
		w.flush()
	}
}

// flush sends the batch and then heeds faults.
func (w *writer) flush() {
	w.send()
	w.fib.heed(HeedSteps)
}

// send sends the batch and takes back what we believe of the routes that failed.
func (w *writer) send() {
	failed, err := w.fib.conn.exchange(&w.batch)
	for i, q := range w.queued {
		switch {
		case err != nil:
			w.failed[q.prefix] = err
			w.fib.point(q.prefix, w.fib.unknown)
		case failed[i] == nil:
		case q.to == nil && errors.Is(failed[i], unix.ESRCH):
			// Already gone: the kernel removes routes with their link.
		case q.from == nil && errors.Is(failed[i], unix.EEXIST):
			w.failed[q.prefix] = fmt.Errorf("another program's route has metric %d: %w", Metric, failed[i])
			w.fib.point(q.prefix, nil)
		default:
			w.failed[q.prefix] = failed[i]
			w.fib.point(q.prefix, q.from)
		}
	}
	w.batch.reset()
	w.queued = w.queued[:0]
}

// point notes the group that the route uses, nil for no route.
func (f *FIB) point(prefix netip.Prefix, to *group) {
	f.generation++
	if from := f.routes.at(prefix); from != nil {
		from.routes--
	}
	if to == nil {
		f.routes.delete(prefix)
		return
	}
	f.routes.set(prefix, to)
	to.routes++
}
