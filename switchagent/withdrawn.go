package switchagent

import (
	"slices"

	"lastmile/switchagent/junos"
)

// Withdrawal is prefixes of a server that a change does not accept any more.
type Withdrawal struct {
	Link     string   `json:"link"`
	Address  string   `json:"address"`
	Prefixes []string `json:"prefixes"`
}

// groupAccepts is what is said of a stanza without a policy of its own.
const groupAccepts = "what the group's policy accepts"

// withdrawn is what edits take away, in order.
func withdrawn(edits []junos.Edit) []Withdrawal {
	all := []Withdrawal{}
	for _, e := range edits {
		if lost := lostBy(e); len(lost) > 0 {
			all = append(all, Withdrawal{e.From.Peer.Zone(), e.From.Peer.WithZone("").String(), lost})
		}
	}
	slices.SortFunc(all, func(a, b Withdrawal) int {
		return slices.Compare([]string{a.Link, a.Address}, []string{b.Link, b.Address})
	})
	return all
}

// lostBy is the prefixes that only the old policy accepts. With other AS paths that is all of them, to be
// on the safe side: what the server has announced has one of the old.
func lostBy(e junos.Edit) (lost []string) {
	from, to := e.From.Import, e.To.Import
	if !from.Own() {
		if to.Own() {
			lost = []string{groupAccepts}
		}
		return lost
	}
	kept := to.Prefixes()
	for _, prefix := range from.Prefixes() {
		if to.Own() && (!slices.Contains(kept, prefix) || !from.SamePath(to)) {
			lost = append(lost, prefix.String())
		}
	}
	return lost
}
