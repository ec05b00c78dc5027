package switchagent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"lastmile/switchagent/junos"
)

// Preview is what would be done now.
type Preview struct {
	Commands []string `json:"commands"` // as they would be typed
	Added    int      `json:"added"`
	Removed  int      `json:"removed"`
	Edited   int      `json:"edited"`
	// Established is how many sessions are up on the leaf, whoever configured them, Served how many of them
	// are of stanzas, and Ended the peers of those that would go down.
	Established int      `json:"established"`
	Served      int      `json:"served"`
	Ended       []string `json:"sessions_ended"`
	// Withdrawn is what is accepted now and would not be any more: a server may be cut off with its
	// session up.
	Withdrawn []Withdrawal `json:"withdrawn"`
	Refused   []Peer       `json:"refused"` // neighbours that get no stanza, or not the one that they should have
	Crowds    []Crowd      `json:"crowds"`  // ports with more neighbours than they may have stanzas
	Absent    []Peer       `json:"absent"`  // stanzas that go after the hold-down, and why
	Waiting   []string     `json:"waiting"` // commands that wait for a session to go down
	Blocked   string       `json:"blocked"` // why there is nothing to do, although there should be
	// Unconfirmed is the commit that the leaf may take back: what there is to do is not known before.
	Unconfirmed string   `json:"unconfirmed"`
	Notes       []string `json:"notes"` // what else a person should know
}

// Peer is a neighbour, and what there is to say about it.
type Peer struct {
	Link    string `json:"link"`
	Address string `json:"address"`
	Reason  string `json:"reason"`
}

// Crowd is how many neighbours of a port get no stanza because it is full.
type Crowd struct {
	Link string `json:"link"`
	More int    `json:"more"`
}

// Plan looks at the leaf once. Removals that need several polls are not in it: what is absent is.
func (o *Operation) Plan(ctx context.Context) (Preview, error) {
	if err := o.agent.refreshStock(ctx); err != nil {
		return Preview{}, err
	}
	l, err := o.agent.dial(ctx)
	if err != nil {
		return Preview{}, err
	}
	defer l.Close()
	g, err := o.look(ctx, l)
	if err != nil {
		return Preview{}, err
	}
	seen, p, err := o.agent.observe(ctx, l)
	if err != nil {
		return Preview{}, err
	}
	p.up = g.established()
	v := o.preview(seen, p)
	err = l.unconfirmed(ctx)
	if errors.Is(err, junos.ErrUnconfirmed) {
		v.Unconfirmed, err = err.Error(), nil
	}
	return v, err
}

// preview describes a plan.
func (o *Operation) preview(seen tables, p plan) Preview {
	change := p.change
	if p.empty() {
		change = p.would
	}
	v := Preview{
		Commands: []string{}, Ended: []string{}, Waiting: []string{}, Crowds: []Crowd{}, Notes: o.notes(p), Withdrawn: withdrawn(p.change.Edit),
		Added: len(change.Add), Removed: len(change.Remove), Edited: len(change.Edit), Established: len(p.up),
	}
	for _, command := range change.Commands() {
		v.Commands = append(v.Commands, command.String())
		for _, s := range p.up {
			if !command.KeepsSession() && same(s.Peer, command.Stanza.Peer) && !slices.Contains(v.Ended, s.Peer.String()) {
				v.Ended = append(v.Ended, s.Peer.String())
			}
		}
	}
	for _, command := range (junos.Change{Edit: p.waiting}).Commands() {
		if !command.KeepsSession() {
			v.Waiting = append(v.Waiting, command.String())
		}
	}
	for _, up := range p.up {
		if slices.ContainsFunc(seen.stanzas, func(s junos.Stanza) bool { return same(up.Peer, s.Peer) }) {
			v.Served++
		}
	}
	for peer, reason := range p.refused {
		v.Refused = append(v.Refused, peerOf(peer, string(reason)))
	}
	for s := range p.absent {
		v.Absent = append(v.Absent, peerOf(s.Peer, o.whyAbsent(s, p)))
	}
	v.Refused, v.Absent = sortedPeers(v.Refused), sortedPeers(v.Absent)
	for _, link := range slices.Sorted(maps.Keys(p.crowd)) {
		v.Crowds = append(v.Crowds, Crowd{link, p.crowd[link]})
	}
	if p.blocked != nil && p.empty() {
		v.Blocked = p.blocked.Error()
	}
	return v
}

// Why a stanza goes: not every one's server has left.
const (
	absentGone       = "gone"
	absentOtherGroup = "other_group" // than the configured one
	absentNotMeant   = "not_meant"   // its port is none of interfaces any more
	absentUnwanted   = "unwanted"    // its server is there, and is refused
)

func (o *Operation) whyAbsent(s junos.Stanza, p plan) string {
	switch {
	case s.Group != o.agent.cfg.Group:
		return absentOtherGroup
	case !o.agent.cfg.mayTouch(s.Peer.Zone()):
		return absentNotMeant
	case p.refused[s.Peer] != "":
		return absentUnwanted
	}
	return absentGone
}

// notes explains what a reason alone does not.
func (o *Operation) notes(p plan) []string {
	notes := []string{}
	if p.has(foreign) {
		notes = append(notes, fmt.Sprintf("foreign_session: the leaf has the peer from somewhere else than database: %s: from somebody, "+
			"or from the database that was configured before, whose stanzas are to be deleted there", o.agent.cfg.Database))
	}
	if p.blocked != nil && !p.empty() {
		notes = append(notes, "left out: "+p.blocked.Error())
	}
	if p.withheld > 0 {
		notes = append(notes, fmt.Sprintf("%d removals are held: more than max_removals or max_removal_share", p.withheld))
	}
	return notes
}

// look reads the guards before the first plan, which then knows whose neighbours are in its way. The
// daemon's second one does.
func (o *Operation) look(ctx context.Context, l leaf) (guards, error) {
	g, err := l.guards(ctx)
	o.agent.planner.policy.others = g.others
	return g, err
}

func peerOf(a netip.Addr, reason string) Peer {
	return Peer{Link: a.Zone(), Address: a.WithZone("").String(), Reason: reason}
}

func sortedPeers(peers []Peer) []Peer {
	slices.SortFunc(peers, func(a, b Peer) int { return slices.Compare([]string{a.Link, a.Address}, []string{b.Link, b.Address}) })
	return append([]Peer{}, peers...)
}
