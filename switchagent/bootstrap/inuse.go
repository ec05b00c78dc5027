package bootstrap

import (
	"slices"
	"strings"
)

// Neighbors says whether BGP neighbours are configured in the set lines of a leaf, in any group.
func Neighbors(lines []string) bool {
	return slices.ContainsFunc(lines, func(line string) bool {
		return strings.HasPrefix(line, "set ") && strings.Contains(line, " bgp group ") && strings.Contains(line, " neighbor ")
	})
}

// ChangesGroup says whether anything of what is missing is about the group as a whole. Junos opens the
// sessions of all its neighbours anew for most of it, and with an import policy they lose their routes.
func (d Difference) ChangesGroup(group string) bool {
	return slices.ContainsFunc(d.Missing, ofGroup(group))
}

// WithoutGroup leaves alone what is missing of the group.
func (d Difference) WithoutGroup(group, why string) Difference {
	is := ofGroup(group)
	left := Difference{Other: slices.Clone(d.Other)}
	for _, line := range d.Missing {
		if is(line) {
			left.Other = append(left.Other, Other{Is: why, Wanted: line})
		} else {
			left.Missing = append(left.Missing, line)
		}
	}
	return left
}

func ofGroup(group string) func(line string) bool {
	return func(line string) bool { return strings.HasPrefix(line, "set protocols bgp group "+group+" ") }
}
