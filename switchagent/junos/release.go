package junos

import (
	"cmp"
	"fmt"
)

// Release is what of a version decides what the switch can do: of "21.4R3-S2.4" it is 21.4R3.
// The zero Release is one that is not known.
type Release struct{ Year, Number, Build int }

// ParseRelease reads versions such as 20.4R3.8, 21.4R3-S2.4, 22.4R1.10-EVO and 12.1X46-D15.3.
func ParseRelease(version string) (r Release, err error) {
	var kind rune
	if n, err := fmt.Sscanf(version, "%d.%d%c%d", &r.Year, &r.Number, &kind, &r.Build); n < 4 {
		return Release{}, fmt.Errorf("%q is no version of Junos such as 21.4R3: %w", version, err)
	}
	return r, nil
}

// String is the release as Junos writes it.
func (r Release) String() string {
	if r == (Release{}) {
		return "unknown release"
	}
	return fmt.Sprintf("%d.%dR%d", r.Year, r.Number, r.Build)
}

// Has says whether the release is since or newer. Of one that is not known nothing is expected.
func (r Release) Has(since Release) bool {
	return cmp.Or(cmp.Compare(r.Year, since.Year), cmp.Compare(r.Number, since.Number), cmp.Compare(r.Build, since.Build)) >= 0
}

// First releases that take a way to load in an ephemeral database ("load-configuration", Junos XML
// Management Protocol Developer Guide).
var (
	replaceSince = Release{18, 1, 1}
	updateSince  = Release{21, 1, 1}
)

// scopedSince is the first release whose key of a neighbor may hold its interface (module
// junos-conf-protocols, type ipaddr-scoped).
var scopedSince = Release{20, 4, 1}

// Scoped says whether one group can have the same link-local address on two interfaces.
func (r Release) Scoped() bool { return r.Has(scopedSince) }

// load is the way that is used: the one that was asked for, or without one the best of the release
// that touches nothing but the stanzas that change.
func (r Release) load(wanted Load) (Load, error) {
	switch {
	case wanted == "" && r.Has(replaceSince):
		return LoadReplace, nil
	case wanted == "":
		return LoadMerge, nil
	case wanted == LoadReplace && !r.Has(replaceSince):
		return "", fmt.Errorf("load: replace needs Junos %s, this is %s: leave the key out, or take merge", replaceSince, r)
	case wanted == LoadUpdate && !r.Has(updateSince):
		return "", fmt.Errorf("load: update needs Junos %s, this is %s: leave the key out, or take replace or merge", updateSince, r)
	}
	return wanted, nil
}
