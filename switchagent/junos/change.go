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
	if err := change.validateOnce(); err != nil {
		return err
	}
	for _, s := range change.Add {
		if err := s.Validate(); err != nil {
			return &stanzaError{s, err}
		}
	}
	for _, e := range change.Edit {
		if err := e.known().Validate(); err != nil {
			return &stanzaError{e.To, err}
		}
		if e.From.Place() != e.To.Place() {
			return &stanzaError{e.To, fmt.Errorf("stanza %s: an edit must not move it", e.To.name())}
		}
	}
	return nil
}

// validateOnce makes sure that no place and no policy is changed twice. Two stanzas of one peer have the same policy.
func (change Change) validateOnce() error {
	seen, policies := map[Place]bool{}, map[string]bool{}
	for _, s := range change.Stanzas() {
		place, policy := s.Place(), s.PolicyName()
		if seen[place] || s.Import.own && policies[policy] {
			return &stanzaError{s, fmt.Errorf("stanza %s: group %s is to be changed twice for it", s.name(), s.Group)}
		}
		seen[place] = true
		policies[policy] = policies[policy] || s.Import.own
	}
	for _, e := range change.Edit {
		policies[e.To.PolicyName()] = policies[e.To.PolicyName()] || e.From.Import.own
	}
	for _, s := range change.From {
		if !seen[s.Place()] && s.Import.own && policies[s.PolicyName()] && change.drops(s.PolicyName()) {
			return &stanzaError{change.user(s.PolicyName()), fmt.Errorf("stanza %s: its policy is that of %s too", s.Peer, s.name())}
		}
	}
	return nil
}

// drops says whether the change takes a policy away.
func (change Change) drops(policy string) bool {
	return slices.ContainsFunc(change.Remove, func(s Stanza) bool { return s.Import.own && s.PolicyName() == policy }) ||
		slices.ContainsFunc(change.Edit, func(e Edit) bool { return e.From.Import.own && !e.To.Import.own && e.To.PolicyName() == policy })
}

// user is the stanza of the change that has a policy.
func (change Change) user(policy string) Stanza {
	all := change.Stanzas()
	return all[slices.IndexFunc(all, func(s Stanza) bool { return s.PolicyName() == policy })]
}

// summary is the change in a few words, for a commit log.
func (change Change) summary() string {
	return fmt.Sprintf("%s %d added, %d removed, %d edited", Mark, len(change.Add), len(change.Remove), len(change.Edit))
}

// stanzaError is an error of one stanza of a change: the others are as good as they were.
type stanzaError struct {
	Stanza Stanza
	err    error
}

// Error names the stanza.
func (e *stanzaError) Error() string { return e.err.Error() }

// Unwrap is why.
func (e *stanzaError) Unwrap() error { return e.err }

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
