package kernel

import (
	"errors"
	"net/netip"
	"slices"
)

// losses are the leaves that are lost, and that orders may not know of.
type losses struct {
	lost map[netip.Addr]bool
	// lossCount is how often a leaf was added: what was worked out before is out of date.
	lossCount int
}

// living returns the next hops without those that are lost, or all if that would leave none.
func (l *losses) living(hops []netip.Addr) []netip.Addr {
	if len(l.lost) == 0 || !slices.ContainsFunc(hops, func(a netip.Addr) bool { return l.lost[a] }) {
		return hops
	}
	rest := slices.DeleteFunc(slices.Clone(hops), func(a netip.Addr) bool { return l.lost[a] })
	if len(rest) == 0 {
		return hops
	}
	return rest
}

// LeafLost takes a next hop out of every group that has others, in one message a group; without objects, one a route. A
// group that has no other keeps it: what is to become of its routes is Apply's to be told. Until [FIB.LossesKnown] orders
// are taken to be of the time before, and the leaf is left out of them wherever there is another: so LeafLost may be called
// in the midst of an Apply, see [Options].
func (f *FIB) LeafLost(leaf netip.Addr) {
	if !f.lost[leaf] {
		f.lost[leaf] = true
		f.lossCount++
	}
	var shrunk []*group
	for _, g := range f.objects.groups {
		rest := f.living(g.hops)
		if len(rest) == len(g.hops) {
			continue
		}
		if err := f.objects.replace(g, setKey(rest), rest); err != nil {
			f.log.Debug("next-hop group not shrunk", "peer", leaf, "err", err) // Apply will move its routes
			continue
		}
		shrunk = append(shrunk, g)
	}
	if f.plain {
		for _, w := range f.writers {
			w.send() // what is queued, and names the leaf, would come after
		}
		f.rewrite(shrunk, nil)
	}
}

// LossesKnown says that the orders from now on know of all leaves that were lost.
func (f *FIB) LossesKnown() { clear(f.lost) }

// LinkLost is to be called when the device has lost its carrier or went away. The kernel has then removed the next hops on
// it, shrunk the groups and removed routes without next hops; LinkLost learns what is left, so that Apply makes the rest anew.
// Where there are no objects it does all that itself.
func (f *FIB) LinkLost(name string) {
	before := f.routes.len()
	if f.resync() {
		f.log.Info("next hops lost with the link", "link", name, "routes_lost", before-f.routes.len())
	}
}

// resync compares our objects with the kernel's, and reports whether any was lost.
func (f *FIB) resync() bool {
	gone, shrunk, changed, err := f.objects.resync()
	if err != nil {
		f.log.Error("next-hop objects cannot be listed", "err", err)
		return false
	}
	if f.plain {
		f.rewrite(shrunk, gone)
	}
	if len(gone) > 0 {
		for prefix, g := range f.routes.all() {
			f.heed(1)
			if slices.Contains(gone, g) {
				f.routes.delete(prefix)
				f.generation++
			}
		}
	}
	return changed
}

// rewrite writes the routes of groups that shrank and removes those of groups that are gone, as the kernel does by itself
// where it has groups.
func (f *FIB) rewrite(shrunk, gone []*group) {
	if len(shrunk)+len(gone) == 0 {
		return
	}
	failed := f.write(func(w *writer) {
		for prefix, g := range f.routes.all() {
			f.heed(1)
			switch {
			case slices.Contains(shrunk, g):
				w.replace(prefix, g)
			case slices.Contains(gone, g):
				w.remove(prefix, g)
			}
		}
	})
	if err := errors.Join(f.sortedErrors(failed)...); err != nil {
		f.log.Error("routes keep next hops that are lost", "err", err)
	}
}
