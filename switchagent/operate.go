package switchagent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lastmile/switchagent/junos"
)

// An Operation is what a person does with a leaf at a terminal, once: the same observing, planning
// and proving as the daemon's, without its patience.
type Operation struct{ agent *Agent }

// Operate prepares operations. The log says what the daemon's would.
func Operate(cfg Config, log *slog.Logger) *Operation {
	cfg.BatchWindow, cfg.Takeover = 0, 0
	agent := New(cfg, log, prometheus.NewRegistry())
	agent.answers.usual = mostWait // who waits has an interrupt key
	return &Operation{agent}
}

// open opens a session with the leaf, and reads the inventory by which neighbours are judged.
func (o *Operation) open(ctx context.Context) (leaf, error) {
	if err := o.agent.refreshStock(); err != nil {
		return nil, err
	}
	return o.agent.dial(ctx)
}

// Preview is what would be done now.
type Preview struct {
	Commands []string `json:"commands"` // as they would be typed
	Added    int      `json:"added"`
	Removed  int      `json:"removed"`
	Edited   int      `json:"edited"`
	// Established is how many sessions are up on the leaf, whoever configured them, and Ended the
	// peers of those that would go down.
	Established int      `json:"established"`
	Ended       []string `json:"sessions_ended"`
	// Withdrawn is what is accepted now and would not be any more: a server may be cut off with its
	// session up.
	Withdrawn []Withdrawal `json:"withdrawn"`
	Refused   []Peer       `json:"refused"` // neighbours that get no stanza
	Crowds    []Crowd      `json:"crowds"`  // ports with more neighbours than they may have stanzas
	Absent    []Peer       `json:"absent"`  // stanzas without a neighbour, which stay for the hold-down
	Blocked   string       `json:"blocked"` // why there is nothing to do, although there should be
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
	l, err := o.open(ctx)
	if err != nil {
		return Preview{}, err
	}
	defer l.Close()
	g, err := o.look(ctx, l)
	if err != nil {
		return Preview{}, err
	}
	_, p, err := o.agent.observe(ctx, l)
	if err != nil {
		return Preview{}, err
	}
	return g.preview(p), nil
}

// look reads the guards before the first plan, which then knows whose neighbours are in its way. The
// daemon's second one does.
func (o *Operation) look(ctx context.Context, l leaf) (guards, error) {
	g, err := l.guards(ctx)
	o.agent.policy.others = g.others
	return g, err
}

// preview describes a plan.
func (g guards) preview(p plan) Preview {
	v := Preview{Added: len(p.add), Removed: len(p.remove), Edited: len(p.edit), Established: len(g.established())}
	v.Commands, v.Ended = []string{}, []string{}
	for _, command := range p.change().Commands() {
		v.Commands = append(v.Commands, command.String())
		if command.KeepsSession() {
			continue
		}
		for _, s := range g.sessions {
			if s.Established() && same(s.Peer, command.Stanza.Peer) && !slices.Contains(v.Ended, s.Peer.String()) {
				v.Ended = append(v.Ended, s.Peer.String())
			}
		}
	}
	v.Withdrawn = p.withdrawn()
	for peer, reason := range p.refused {
		v.Refused = append(v.Refused, peerOf(peer, string(reason)))
	}
	for s := range p.absent {
		reason := "gone"
		if p.refused[s.Peer] != "" {
			reason = "unwanted"
		}
		v.Absent = append(v.Absent, peerOf(s.Peer, reason))
	}
	v.Refused, v.Absent, v.Crowds = sortedPeers(v.Refused), sortedPeers(v.Absent), []Crowd{}
	for _, link := range slices.Sorted(maps.Keys(p.crowd)) {
		v.Crowds = append(v.Crowds, Crowd{link, p.crowd[link]})
	}
	if p.blocked != nil {
		v.Blocked = p.blocked.Error()
	}
	return v
}

func peerOf(a netip.Addr, reason string) Peer {
	return Peer{Link: a.Zone(), Address: a.WithZone("").String(), Reason: reason}
}

func sortedPeers(peers []Peer) []Peer {
	slices.SortFunc(peers, func(a, b Peer) int { return slices.Compare([]string{a.Link, a.Address}, []string{b.Link, b.Address}) })
	return append([]Peer{}, peers...)
}

// roundEvery is the time between two looks of Apply.
const roundEvery = time.Second

// Apply commits what Plan shows, and returns when the leaf holds it. In the shared candidate the commit
// is one that must be confirmed: it is confirmed when the sessions are as they should be. If ctx ends
// before, the leaf takes it back by itself.
func (o *Operation) Apply(ctx context.Context) error {
	a := o.agent
	l, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	if _, err := o.look(ctx, l); err != nil {
		return err
	}
	for {
		if err := a.poll(ctx, l); err != nil && ctx.Err() == nil {
			return err
		}
		if ctx.Err() != nil {
			if a.trial != nil {
				return fmt.Errorf("not confirmed, the leaf takes the commit back within %s: %w", a.window(), context.Cause(ctx))
			}
			return context.Cause(ctx)
		}
		switch h := a.health.Load(); {
		case a.trial != nil:
		case h.commit != nil:
			return h.commit
		case a.applied.empty() && len(a.pace.waiting) == 0:
			return h.held
		}
		select {
		case <-time.After(min(roundEvery, a.cfg.PollInterval)):
		case <-ctx.Done():
		}
	}
}

// errNothingListed is why a rollback removes nothing: it cannot tell whose session is up.
var errNothingListed = errors.New("the leaf lists no BGP sessions at all: whose session is up is not known")

// Rollback takes back what switchagent has ever committed on the leaf and is still there: its stanzas
// are removed, and nothing else. Those whose session may be up stay, unless end is set: then their
// sessions end. With commit false it only says what would be done.
func (o *Operation) Rollback(ctx context.Context, end, commit bool) (Preview, error) {
	l, err := o.agent.dial(ctx)
	if err != nil {
		return Preview{}, err
	}
	defer l.Close()
	seen, err := l.tables(ctx)
	if err != nil {
		return Preview{}, err
	}
	g, err := l.guards(ctx)
	if err != nil {
		return Preview{}, err
	}
	p := plan{from: seen.stanzas, end: end, refused: map[netip.Addr]refusal{}}
	for _, s := range seen.stanzas {
		if !end && !g.mayRemove(s) {
			p.refused[s.Peer] = established
			continue
		}
		p.remove = append(p.remove, s)
	}
	v := g.preview(p)
	for i := range v.Refused {
		v.Refused[i].Reason = "stays, its session is up or may be"
	}
	if len(g.sessions) == 0 && len(seen.stanzas) > 0 && !end {
		return v, errNothingListed
	}
	if o.agent.cfg.Transport == transportCLI {
		return v, errReadsOnly
	}
	if !commit || p.empty() {
		return v, nil
	}
	p.up = slices.DeleteFunc(g.established(), func(up junos.Session) bool {
		return slices.ContainsFunc(p.remove, func(s junos.Stanza) bool { return same(up.Peer, s.Peer) })
	})
	return v, o.commitOnce(ctx, l, p)
}

// commitOnce commits a plan, and if the leaf waits for a confirmation gives it as the daemon would.
func (o *Operation) commitOnce(ctx context.Context, l leaf, p plan) error {
	a := o.agent
	if err := a.commit(ctx, l, p); err != nil {
		return err
	}
	for a.trial != nil {
		select {
		case <-time.After(min(roundEvery, a.cfg.PollInterval)):
		case <-ctx.Done():
			return fmt.Errorf("not confirmed, the leaf takes the commit back within %s: %w", a.window(), context.Cause(ctx))
		}
		seen, err := l.tables(ctx)
		if err == nil {
			err = a.judge(ctx, l, seen)
		}
		if err != nil {
			return err
		}
	}
	return a.health.Load().commit
}

// Row is a neighbour, a stanza, or both.
type Row struct {
	Link        string `json:"link"`
	Address     string `json:"address"`
	MAC         string `json:"mac"`
	State       string `json:"state"` // of the neighbour; empty if it is not in the table
	Router      bool   `json:"router"`
	Stanza      bool   `json:"stanza"`
	Group       string `json:"group"`
	Description string `json:"description"`
	Session     string `json:"session"` // state of the BGP session; empty if there is none
	Refused     string `json:"refused"` // why it gets no stanza
}

// inventoryBad is said of a neighbour of which nothing can be said without the inventory.
const inventoryBad = "inventory_bad"

// Show reads the leaf's neighbours on the configured interfaces and our stanzas, in order. A bad
// inventory is logged, and keeps nobody from looking: that is when they need to.
func (o *Operation) Show(ctx context.Context) ([]Row, error) {
	unknown := o.agent.refreshStock() != nil // which has been logged
	l, err := o.agent.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	seen, err := l.tables(ctx)
	if err != nil {
		return nil, err
	}
	g, err := o.look(ctx, l)
	if err != nil {
		return nil, err
	}
	rows := o.rows(seen, g)
	for i := range rows {
		r := &rows[i]
		switch byInventory := r.Refused == "" || r.Refused == string(unknownPort); {
		case unknown && byInventory && r.Stanza:
			r.Refused = ""
		case unknown && byInventory:
			r.Refused = inventoryBad
		}
	}
	return rows, nil
}

func (o *Operation) rows(seen tables, g guards) (all []Row) {
	p := o.agent.policy.plan(time.Now(), seen, nil).guarded(g)
	g.sessions = located(g.sessions, seen.stanzas)
	rows := map[netip.Addr]*Row{}
	row := func(peer netip.Addr) *Row {
		if rows[peer] == nil {
			rows[peer] = &Row{Link: peer.Zone(), Address: peer.WithZone("").String(), Refused: string(p.refused[peer])}
		}
		return rows[peer]
	}
	for _, n := range seen.neighbors {
		if o.agent.cfg.mayTouch(n.Interface) {
			r := row(n.Peer())
			r.MAC, r.State, r.Router = n.MAC, n.State, n.Router
		}
	}
	wanted := map[netip.Addr]bool{}
	for _, s := range p.add {
		wanted[s.Peer] = true
	}
	for _, s := range seen.stanzas {
		r := row(s.Peer)
		r.Stanza, r.Group, r.Description = true, s.Group, s.Description
	}
	for peer, r := range rows { // who is one too many on a port is only counted by the plan
		if p.crowd[peer.Zone()] > 0 && !r.Stanza && !wanted[peer] && r.Refused == "" {
			r.Refused = string(portFull)
		}
	}
	for peer, r := range rows {
		for _, s := range g.sessions {
			if same(s.Peer, peer) {
				r.Session = s.State
			}
		}
		all = append(all, *r)
	}
	slices.SortFunc(all, func(a, b Row) int { return slices.Compare([]string{a.Link, a.Address}, []string{b.Link, b.Address}) })
	return all
}
