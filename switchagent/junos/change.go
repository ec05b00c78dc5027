package junos

import (
	"fmt"
	"slices"
	"strings"
)

// Edit is another content for a stanza that is there.
type Edit struct{ From, To Stanza }

// Gentle is the part of the edit that a session lives through: the description, and what is
// accepted.
func (e Edit) Gentle() Edit {
	to := e.From
	to.Description, to.Import = e.To.Description, e.To.Import
	to.odd = strings.TrimSuffix(to.odd, oddImport)
	return Edit{From: e.From, To: to}
}

// known is the stanza as it is to be, without what stays as it was read and is not written.
func (e Edit) known() Stanza {
	to := e.To
	if to.odd != "" && strings.HasPrefix(e.From.odd, to.odd) {
		to.odd = ""
	}
	if to.Secret == e.From.Secret && to.Secret.hidden {
		to.Secret = Secret{}
	}
	if to.PeerAS == e.From.PeerAS {
		to.PeerAS = 0 // it waits for the session to go down, while the policy is of the next one already
	}
	return to
}

// Change is what one commit does. Every part of it names single neighbours: there is no change of
// a group.
type Change struct {
	Add, Remove []Stanza
	Edit        []Edit
	// From is what the database held when the change was planned. A database that holds
	// anything else by the time of the commit refuses it with ErrChanged.
	From []Stanza
	// EndSessions says that sessions may be up that the change ends: an operator wants that.
	// Without it such a change is refused with ErrChanged.
	EndSessions bool
	// Label is unlike that of any other change: a commit log has it.
	Label string
}

// Stanzas is what the change adds, removes and edits, each as it is to be or was.
func (change Change) Stanzas() []Stanza {
	all := slices.Concat(change.Add, change.Remove)
	for _, e := range change.Edit {
		all = append(all, e.To)
	}
	return all
}

// Validate checks each stanza and that no place is changed twice.
func (change Change) Validate() error {
	seen, policies := map[Place]bool{}, map[string]bool{}
	for _, s := range change.Stanzas() {
		place, policy := s.Place(), s.PolicyName()
		if seen[place] || policies[policy] {
			return fmt.Errorf("stanza %s: group %s is to be changed twice for it", s.name(), s.Group)
		}
		seen[place], policies[policy] = true, true
	}
	for _, s := range change.Add {
		if err := s.Validate(); err != nil {
			return err
		}
	}
	for _, e := range change.Edit {
		if err := e.known().Validate(); err != nil {
			return err
		}
		if e.From.Place() != e.To.Place() {
			return fmt.Errorf("stanza %s: an edit must not move it", e.To.name())
		}
	}
	return nil
}

// result is what the database holds after the change.
func (change Change) result() (all []Stanza) {
	gone := map[Place]bool{}
	for _, s := range change.Remove {
		gone[s.Place()] = true
	}
	edited := map[Place]Stanza{}
	for _, e := range change.Edit {
		edited[e.To.Place()] = e.To
	}
	for _, s := range change.From {
		if to, ok := edited[s.Place()]; ok {
			s = to
		}
		if !gone[s.Place()] {
			all = append(all, s)
		}
	}
	return append(all, change.Add...)
}
