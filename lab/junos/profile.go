package junos

import (
	"fmt"
	"slices"
	"strings"
)

// A Profile is what one release of Junos does in its own way. The table in the
// package documentation says of each habit whether it was recorded, documented
// or assumed, and which release it was put on. The zero Profile stands for an
// easy device of the release in Config.Version.
type Profile struct {
	Name    string // "21.4R1"
	Version string // as get-software-information gives it, "21.4R1.12"
	// Namespace is the release as Junos' namespaces spell it, "21.4R0".
	Namespace string

	Compliant     bool // rfc-compliant by factory default, whatever is configured
	OldSpelling   bool // capabilities only as urn:ietf:params:xml:ns:netconf:..., as before the releases here
	ClaimsChunks  bool // advertises base:1.1 and goes on with ]]>]]>
	RefusesNoName bool // a request with xmlns="" on an element is an error

	Commit       CommitReply
	FlatErrors   bool         // errors of a commit stand under rpc-reply, not in commit-results
	LoadSuccess  bool         // <load-success/> in place of <ok/>
	Opening      OpeningReply // what open-configuration says for an ephemeral instance
	LooseOpen    bool         // opening an instance that is not configured opens the shared candidate, silently
	OpenedOnly   bool         // an ephemeral instance is read only where it is open: else get-configuration shows the candidate
	HastyConfirm bool         // RFC 6241's confirmed commit rolls back at once
	Licence      bool         // a licence warning before the result of a commit
	Engines      []string     // more than one: replies are wrapped in multi-routing-engine-results
	Table        TableHabits  // of operational tables
}

// TableHabits is how operational tables are written.
type TableHabits struct {
	Padded    bool // line breaks around values
	Comments  bool // comments between elements
	UpperCase bool // addresses of neighbours in upper case
	NoTotal   bool // no ipv6-nd-total
	Flags     bool // ipv6-nd-reference-count and ipv6-nd-table-entry-flags, since 23.4R1
	Scoped    bool // link-local peers with their interface: fe80::1%ge-0/0/1.0
	Bridged   bool // "irb.100 [xe-0/0/3.0]" as the interface of a neighbour
}

// A CommitReply is the form of the answer to a commit that succeeded.
type CommitReply uint8

// The forms that were recorded.
const (
	CommitResults CommitReply = iota // commit-results with routing-engine and commit-success, then ok
	CommitEmpty                      // empty commit-results, then ok
	CommitOk                         // ok alone
	CommitChatty                     // commit-results with text between elements, and ok
	CommitNoOk                       // commit-results without ok
	CommitBroken                     // routing-engine is not closed: not XML
)

// An OpeningReply is the form of the answer to open-configuration for an
// ephemeral instance: nothing, ok, or the warning that a private copy gets.
type OpeningReply uint8

const (
	OpeningSilent OpeningReply = iota
	OpeningOk
	OpeningWarns
)

// Profiles returns the releases that the simulator knows, oldest first.
func Profiles() []Profile {
	return []Profile{
		{
			Name: "18.4R1", Version: "18.4R1.8", Namespace: "18.4R1",
			Commit: CommitEmpty, LoadSuccess: true, Opening: OpeningWarns, LooseOpen: true, HastyConfirm: true,
			Table: TableHabits{Padded: true, UpperCase: true, NoTotal: true},
		},
		{
			Name: "20.4R1", Version: "20.4R1.12", Namespace: "20.4R0",
			Commit: CommitOk, FlatErrors: true, OpenedOnly: true,
			Table: TableHabits{Comments: true, Bridged: true},
		},
		{Name: "21.4R1", Version: "21.4R1.12", Namespace: "21.4R0", Commit: CommitResults},
		{
			Name: "24.4R1", Version: "24.4R1.9", Namespace: "24.4R1.9", RefusesNoName: true,
			Commit: CommitChatty, Opening: OpeningOk, OpenedOnly: true, Licence: true,
			Table: TableHabits{Flags: true, Scoped: true},
		},
		{
			Name: "rfc-compliant", Version: "23.2R1.14", Namespace: "23.2R1.14", Compliant: true,
			Commit: CommitBroken,
		},
	}
}

// ProfileNamed finds a profile, and says what there is if it finds none.
func ProfileNamed(name string) (Profile, error) {
	all := Profiles()
	var names []string
	for _, p := range all {
		names = append(names, p.Name)
	}
	if i := slices.Index(names, name); i >= 0 {
		return all[i], nil
	}
	return Profile{}, fmt.Errorf("profile %q is unknown: %s are known", name, strings.Join(names, ", "))
}

// completed fills what a configuration leaves to the version, or the version
// from the profile.
func (p Profile) completed(version string) (Profile, error) {
	if p.Version == "" {
		p.Version = version
	}
	r, err := parseRelease(p.Version)
	if err != nil {
		return p, fmt.Errorf("version: %w", err)
	}
	if p.Namespace == "" {
		p.Namespace = fmt.Sprintf("%d.%dR0", r.year, r.number)
	}
	return p, nil
}

// A release is what of a version decides which statements there are: 21.4R3 is
// {21, 4, 3}. Service releases (-S1, .15) are left out.
type release struct{ year, number, build int }

func parseRelease(version string) (r release, err error) {
	if n, err := fmt.Sscanf(version, "%d.%dR%d", &r.year, &r.number, &r.build); n < 3 {
		return r, fmt.Errorf("%q is no release such as 21.4R1: %w", version, err)
	}
	return r, nil
}

// before says whether r is older than other.
func (r release) before(other release) bool {
	return slices.Compare([]int{r.year, r.number, r.build}, []int{other.year, other.number, other.build}) < 0
}

// Releases since which there is what the device must refuse on older ones.
var (
	scopedKeys      = release{20, 4, 1} // neighbor ADDRESS%INTERFACE
	ephemeralUpdate = release{21, 1, 1} // load update in an ephemeral database
	ephemeralWhole  = release{18, 1, 1} // load replace and override in one
	pendingMarked   = release{23, 2, 1} // get-commit-information says "rollback pending"
)
