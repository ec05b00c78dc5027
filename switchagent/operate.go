package switchagent

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lastmile/switchagent/junos"
)

// An Operation is what a person does with a leaf at a terminal, once: the same observing, planning
// and proving as the daemon's, without its patience.
type Operation struct {
	agent  *Agent
	report Report
}

// Operate prepares operations. The log says what the daemon's would.
func Operate(cfg Config, log *slog.Logger) *Operation {
	cfg.BatchWindow, cfg.Takeover = 0, 0
	agent := New(cfg, log, prometheus.NewRegistry())
	agent.answers.usual = mostWait // who waits has an interrupt key
	agent.once = true
	return &Operation{agent, silence{}}
}

// Tell makes Apply and Rollback report what they do.
func (o *Operation) Tell(r Report) { o.report = r }

// errNothingListed is why a rollback removes nothing: it cannot tell whose session is up.
var errNothingListed = errors.New("the leaf lists no BGP sessions at all: whose session is up is not known")

// Rollback takes back what switchagent has ever committed on the leaf and is still there: its stanzas
// are removed, and nothing else. Those whose session may be up stay, unless end is set: then their
// sessions end. With commit false it only says what would be done.
func (o *Operation) Rollback(ctx context.Context, end, commit bool) (Preview, error) {
	e, err := o.start(ctx)
	if err != nil {
		return Preview{}, err
	}
	defer e.close()
	if e.seen, err = e.leaf.tables(ctx); err != nil {
		return Preview{}, err
	}
	g, err := e.leaf.guards(ctx)
	if err != nil {
		return Preview{}, err
	}
	p := g.rollback(e.seen.stanzas, end)
	v := e.preview(e.seen, p)
	for i := range v.Refused {
		v.Refused[i].Reason = "stays, its session is up or may be"
	}
	if len(g.sessions) == 0 && len(e.seen.stanzas) > 0 && !end {
		return v, errNothingListed
	}
	if o.agent.cfg.Transport == transportCLI {
		return v, errReadsOnly
	}
	if !commit || p.empty() {
		return v, nil
	}
	p.up = slices.DeleteFunc(p.up, func(up junos.Session) bool { // those may go down
		return slices.ContainsFunc(p.change.Remove, func(s junos.Stanza) bool { return same(up.Peer, s.Peer) })
	})
	return v, e.commitOnce(ctx, p)
}

// rollback is the plan that removes stanzas.
func (g guards) rollback(stanzas []junos.Stanza, end bool) plan {
	p := plan{change: junos.Change{From: stanzas, EndSessions: end}, up: g.established(), report: report{refused: map[netip.Addr]refusal{}}}
	for _, s := range stanzas {
		if !end && !g.mayRemove(s) {
			p.refused[s.Peer] = established
			continue
		}
		p.change.Remove = append(p.change.Remove, s)
	}
	return p
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
	bad := o.agent.refreshStock(ctx)
	if bad != nil {
		o.agent.log.Error("inventory is bad", "err", bad)
	}
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
		case bad != nil && byInventory && r.Stanza:
			r.Refused = ""
		case bad != nil && byInventory:
			r.Refused = inventoryBad
		}
	}
	return rows, nil
}

func (o *Operation) rows(seen tables, g guards) (all []Row) {
	p := o.agent.planner.policy.plan(time.Now(), seen, nil).guarded(g)
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
	for _, s := range p.change.Add {
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
