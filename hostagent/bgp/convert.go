package bgp

import (
	"net/netip"

	"github.com/osrg/gobgp/v4/pkg/apiutil"
	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

const defaultLocalPref = 100

// update turns the paths of one UPDATE into our words. Paths that are not
// unicast prefixes are left out.
func update(paths []*apiutil.Path) Update {
	var u Update
	var seen asPath
	for _, p := range paths {
		prefix, ok := prefixOf(p)
		if !ok {
			continue
		}
		if p.Withdrawal {
			u.Withdrawn = append(u.Withdrawn, prefix)
			continue
		}
		u.Announced = append(u.Announced, route(prefix, p.Attrs, &seen))
	}
	return u
}

func prefixOf(p *apiutil.Path) (netip.Prefix, bool) {
	if p.Family != bgp.RF_IPv4_UC && p.Family != bgp.RF_IPv6_UC {
		return netip.Prefix{}, false
	}
	nlri, ok := p.Nlri.(*bgp.IPAddrPrefix)
	if !ok || !nlri.Prefix.IsValid() {
		return netip.Prefix{}, false
	}
	return nlri.Prefix.Masked(), true
}

// asPath is the AS_PATH seen last: routes of one UPDATE share the attribute,
// and so its converted form.
type asPath struct {
	of     *bgp.PathAttributeAsPath
	list   []uint32
	length int
}

func route(prefix netip.Prefix, attrs []bgp.PathAttributeInterface, seen *asPath) Route {
	r := Route{Prefix: prefix, LocalPref: defaultLocalPref}
	for _, attr := range attrs {
		switch a := attr.(type) {
		case *bgp.PathAttributeOrigin:
			r.Origin = a.Value
		case *bgp.PathAttributeMultiExitDisc:
			r.MED = a.Value
		case *bgp.PathAttributeAsPath:
			if a != seen.of {
				*seen = flatten(a)
			}
			r.ASPath, r.Length = seen.list, seen.length
		}
	}
	return r
}

func flatten(a *bgp.PathAttributeAsPath) asPath {
	p := asPath{of: a}
	for _, segment := range a.Value {
		p.list = append(p.list, segment.GetAS()...)
		p.length += segment.ASLen()
	}
	return p
}
