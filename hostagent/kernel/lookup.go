package kernel

import (
	"net/netip"
	"slices"
)

// Lookup returns the route that is installed for exactly this prefix, as far as is known without asking the kernel.
func (f *FIB) Lookup(prefix netip.Prefix) (Route, bool) {
	g := f.routes.at(prefix)
	if g == nil || g == f.unknown {
		return Route{}, false
	}
	return Route{Prefix: prefix, NextHops: slices.Clone(g.hops)}, true
}
