package switchagent

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"lastmile/switchagent/junos"
)

// fakeLeaf is a switch whose commits take a third of a second and may go wrong.
type fakeLeaf struct {
	order     sync.Mutex // held by nobody for long: it orders what the test writes and the agent reads
	neighbors map[netip.Addr]junos.Neighbor
	stanzas   map[netip.Addr]junos.Stanza
	deaf      bool                // its neighbour table is empty
	up        map[netip.Addr]bool // Established
	broken    error               // of every read
	lost      bool                // the session has ended, until it is dialled anew
	noDial    error
	noGroup   error                                                  // of the static configuration
	noAS      error                                                  // of the group
	addressed map[netip.Addr]bool                                    // peers whose interface has an address
	asked     int                                                    // how often for the guards
	outcomes  []func(*fakeLeaf, junos.Change) (junos.Outcome, error) // of the next commits

	full      junos.Usage
	announced []junos.Session
	trial     error  // of somebody else
	confirmed []bool // what it was told of commits on trial

	commits []junos.Change
	times   []time.Time // of the commits
	revealing
	ended  chan struct{} // of the session; the test closes it when that ends while nothing is asked
	dials  int
	closed int
}

var errGone = fmt.Errorf("%w: connection reset", junos.ErrLost)

func newFakeLeaf() *fakeLeaf {
	return &fakeLeaf{
		neighbors: map[netip.Addr]junos.Neighbor{}, stanzas: map[netip.Addr]junos.Stanza{}, up: map[netip.Addr]bool{},
	}
}

func (f *fakeLeaf) plug(peers ...netip.Addr) {
	for _, p := range peers {
		f.neighbors[p] = router(p)
	}
}

func (f *fakeLeaf) reboot() {
	clear(f.stanzas)
	clear(f.up)
}

func (f *fakeLeaf) sync() {
	f.order.Lock()
	defer f.order.Unlock()
}

func (f *fakeLeaf) dial(context.Context) (leaf, error) {
	f.sync()
	f.ended = make(chan struct{})
	f.dials++
	f.lost = false
	return f, f.noDial
}

func (f *fakeLeaf) read() error {
	if f.lost {
		return errGone
	}
	return f.broken
}

func (f *fakeLeaf) tables(context.Context) (tables, error) {
	f.order.Lock() // a commit that is late may come while they are read
	defer f.order.Unlock()
	return tables{
		neighbors: f.table(), stanzas: slices.Collect(maps.Values(f.stanzas)),
	}, f.read()
}

// table is empty when all neighbours are gone, the spine with them.
func (f *fakeLeaf) table() []junos.Neighbor {
	if f.deaf {
		return nil
	}
	return append(slices.Collect(maps.Values(f.neighbors)), spine)
}

func (f *fakeLeaf) guards(context.Context) (guards, error) {
	f.sync()
	f.asked++
	g := free()
	g.group, g.noAS = f.noGroup, f.noAS
	for p := range f.addressed {
		g.interfaces[p.Zone()] = junos.Interface{Addrs: []netip.Prefix{netip.MustParsePrefix("2001:db8::1/64")}}
	}
	for p := range f.up {
		g.sessions = append(g.sessions, junos.Session{Peer: p, State: "Established"})
	}
	return g, f.read()
}

func (f *fakeLeaf) commit(_ context.Context, change junos.Change) (junos.Outcome, error) {
	time.Sleep(time.Second / 3) // in synctest's time
	f.sync()
	f.commits = append(f.commits, change)
	f.times = append(f.times, time.Now())
	do := applied
	if len(f.outcomes) > 0 {
		do, f.outcomes = f.outcomes[0], f.outcomes[1:]
	}
	return do(f, change)
}

func (f *fakeLeaf) confirm(_ context.Context, _ junos.Change, good bool) (junos.Outcome, error) {
	f.sync()
	f.confirmed = append(f.confirmed, good)
	if good {
		return junos.Applied, f.read()
	}
	return junos.Refused, f.read()
}

func (f *fakeLeaf) unconfirmed(context.Context) error { return f.trial }

func (f *fakeLeaf) usage(context.Context) (junos.Usage, error) { return f.full, f.read() }

func (f *fakeLeaf) sessions(context.Context) ([]junos.Session, error) {
	f.sync()
	return f.announced, f.read()
}

func (f *fakeLeaf) Done() <-chan struct{} { return f.ended }

func (f *fakeLeaf) Err() error { return errGone }

func (f *fakeLeaf) Close() error {
	f.closed++
	return nil
}

func applied(f *fakeLeaf, change junos.Change) (junos.Outcome, error) {
	for _, s := range change.Remove {
		delete(f.stanzas, s.Peer)
	}
	for _, s := range change.Add {
		f.stanzas[s.Peer] = s
		f.up[s.Peer] = true
	}
	for _, e := range change.Edit {
		f.stanzas[e.To.Peer] = e.To
	}
	return junos.Applied, nil
}

func refused(*fakeLeaf, junos.Change) (junos.Outcome, error) {
	return junos.Refused, fmt.Errorf("%w: locked by admin", junos.ErrLocked)
}

// appliedAndLost is a commit whose reply never came.
func appliedAndLost(f *fakeLeaf, change junos.Change) (junos.Outcome, error) {
	applied(f, change)
	f.lost = true
	return junos.Unknown, errGone
}

func confirmedOnly(*fakeLeaf, junos.Change) (junos.Outcome, error) { return junos.Applied, nil }
