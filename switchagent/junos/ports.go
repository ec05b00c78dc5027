package junos

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// Advertises says whether router advertisements are sent on a logical interface; without them, no
// server behind it finds the switch.
func (s Static) Advertises(ifl string) bool {
	ifd, _, _ := strings.Cut(ifl, ".")
	return covered(s.advertise, ifl) || slices.ContainsFunc(s.ranges, func(r interfaceRange) bool {
		return slices.Contains(s.advertise, r.name) && r.has(ifd)
	})
}

// Discovers says whether Junos discovers BGP neighbours on a logical interface by itself (21.1R1,
// "BGP Auto-Discovered Neighbors", which configures them "by interfaces and interface ranges").
func (s Static) Discovers(ifl string) bool {
	return slices.ContainsFunc(s.native, func(name string) bool { return s.meant(name, ifl) })
}

func covered(names []string, ifl string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		matched, _ := path.Match(name, ifl) // a name that is no pattern is compared
		return name == "all" || name == ifl || matched || name+".0" == ifl
	})
}

// plainInterface is what no range is called: a place on a card, or a pseudo interface by its number.
var plainInterface = regexp.MustCompile(`/|^(ae|em|fti|fxp|irb|lo|me|ps|re|reth|st|vlan|vme)[0-9]*(\.[0-9*]+)?$`)

// meant says whether a name that stands where one of an interface or of a range may stand is about a logical
// interface. A name that is neither an interface nor a range that can be seen may be about any.
func (s Static) meant(name, ifl string) bool {
	if covered([]string{name}, ifl) {
		return true
	}
	bare, _, _ := strings.Cut(name, ".")
	ifd, _, _ := strings.Cut(ifl, ".")
	known := false
	for _, r := range s.ranges {
		if r.name != name && r.name != bare {
			continue
		}
		if known = true; r.has(ifd) {
			return true
		}
	}
	return !known && !plainInterface.MatchString(name)
}
