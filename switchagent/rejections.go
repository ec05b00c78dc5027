package switchagent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"lastmile/switchagent/inventory"
	"lastmile/switchagent/junos"
)

const (
	// mostRejected is how many rejected prefixes a peer may have to be asked for: the answer grows with them.
	mostRejected = 10_000
	// askedAgain is how long an answer holds if the counts stay: a server can announce one prefix in place of another.
	askedAgain = 10 * time.Minute
	// askFor is how long an answer may take. A poll waits for it; longer, and the session ends.
	askFor = 10 * time.Second
	// slowAnswer is what one takes after which the leaf is left alone for askShare times as long.
	slowAnswer = 2 * time.Second
	askShare   = 50
)

// revealer tells what a leaf has rejected.
type revealer interface {
	hidden(ctx context.Context, peer netip.Addr) ([]junos.Hidden, error)
	loopbacks(context.Context) (map[netip.Addr]bool, error)
}

func (d device) hidden(ctx context.Context, peer netip.Addr) ([]junos.Hidden, error) {
	return d.Hidden(ctx, peer)
}

// loopbacks is the addresses of lo0 that others can see: Junos has units from 16384 on for itself, and addresses that
// only the host uses.
func (d device) loopbacks(ctx context.Context) (map[netip.Addr]bool, error) {
	interfaces, err := d.Interfaces(ctx)
	if err != nil {
		return nil, err
	}
	all := map[netip.Addr]bool{}
	for name, is := range interfaces {
		unit, ok := strings.CutPrefix(name, "lo0.")
		if !ok || len(unit) == len("16384") && unit >= "16384" {
			continue
		}
		for _, p := range is.Addrs {
			if a := p.Addr(); a.IsGlobalUnicast() {
				all[a] = true
			}
		}
	}
	return all, nil
}

// rejecting is a session of which the leaf rejects prefixes.
type rejecting struct {
	peer      netip.Addr // of the stanza
	listed    netip.Addr // the same, as the leaf lists it
	announced announced
}

// rejectingOf is those of the stanzas, in order.
func rejectingOf(sessions []junos.Session, stanzas []junos.Stanza) (all []rejecting) {
	ours := map[netip.Addr]bool{}
	for _, s := range stanzas {
		ours[s.Peer] = true
	}
	for i, s := range located(sessions, stanzas) {
		if is := announcedIn(s); ours[s.Peer] && is.rejected > 0 {
			all = append(all, rejecting{s.Peer, sessions[i].Peer, is})
		}
	}
	slices.SortFunc(all, func(a, b rejecting) int { return a.peer.Compare(b.peer) })
	return all
}

// rejections is what the leaf tells of the prefixes that it rejects.
type rejections struct {
	all    []rejecting         // of the newest look at the sessions
	told   map[netip.Addr]told // by the stanza's peer
	claims *claims
	leaf   map[netip.Addr]bool // its loopbacks; nil if this session has not read them
	said   map[string]map[kind]*said
	pause  backoff   // after failures in a row, whoever was asked for
	after  time.Time // nothing is asked before
}

// told is an answer, and of what.
type told struct {
	of     rejecting
	at     time.Time
	hidden []junos.Hidden // in order; none after a failure
	pause  backoff        // after failures with this peer
	again  time.Time      // it is not asked for before
}

func untold() told { return told{pause: backoff{first: askedAgain, most: 24 * time.Hour}} }

func newRejections() *rejections {
	return &rejections{told: map[netip.Addr]told{}, said: map[string]map[kind]*said{}, pause: untold().pause}
}

// see notes what the leaf counts.
func (r *rejections) see(all []rejecting) {
	r.all = all
	for peer := range r.told {
		if !slices.ContainsFunc(all, func(one rejecting) bool { return one.peer == peer }) {
			delete(r.told, peer)
		}
	}
}

// watchRejected asks for one peer, if it is time. Only the loss of the session is an error, and one that says nothing
// of how slow the leaf is: for the polls it may be fast.
func (a *Agent) watchRejected(ctx context.Context, l revealer) error {
	r := a.rejections
	one := r.due(time.Now())
	if one == nil {
		return nil
	}
	err := r.ask(ctx, l, *one)
	if ctx.Err() != nil {
		return err
	}
	if err != nil {
		a.log.Warn("rejected prefixes cannot be read", "link", one.peer.Zone(), "err", err, "retry", time.Until(r.after).Round(time.Second))
	}
	a.showRejected()
	if errors.Is(err, junos.ErrLost) {
		return fmt.Errorf("%w by the question which prefixes are rejected: %v", junos.ErrLost, err)
	}
	return nil
}

func (a *Agent) showRejected() {
	links := a.rejections.counts(a.stock.current)
	a.metrics.rejections(links)
	a.rejections.log(a.log, links)
}

// forget drops what is known of the leaf, when its session has ended.
func (r *rejections) forget() { r.leaf = nil }

// due is who is to be asked for now: of those whose counts have changed or whose answer is old, the one that has waited
// for longest.
func (r *rejections) due(now time.Time) (due *rejecting) {
	if now.Before(r.after) {
		return nil
	}
	for i, one := range r.all {
		last := r.told[one.peer]
		fresh := last.of == one && now.Sub(last.at) < askedAgain
		if fresh || now.Before(last.again) || one.announced.rejected > mostRejected {
			continue
		}
		if due == nil || last.at.Before(r.told[due.peer].at) {
			due = &r.all[i]
		}
	}
	return due
}

// ask asks the leaf for a peer, or first for its loopbacks. Whoever it refuses, or ends the session over, is left alone
// for ever longer, and so is a leaf that does it each time: its counts are known without it.
func (r *rejections) ask(ctx context.Context, l revealer, one rejecting) (err error) {
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	begin := time.Now()
	last, known := r.told[one.peer]
	if !known {
		last = untold()
	}
	last.of, last.at = one, begin
	first := r.leaf == nil
	if first {
		r.leaf, err = l.loopbacks(ctx)
		r.claims = nil
	} else {
		last.hidden, err = l.hidden(ctx, one.listed)
	}
	now := time.Now()
	if took := now.Sub(begin); took > slowAnswer {
		r.after = now.Add(askShare * took)
	}
	switch {
	case err != nil:
		last.hidden, last.again = nil, now.Add(last.pause.pause())
		r.after = now.Add(r.pause.pause())
		r.told[one.peer] = last
	case !first:
		slices.SortFunc(last.hidden, func(a, b junos.Hidden) int { return a.Prefix.Compare(b.Prefix) })
		last.pause.reset()
		r.pause.reset()
		r.told[one.peer] = last
	}
	return err
}

// counts sorts what is rejected on each port.
func (r *rejections) counts(inv *inventory.Inventory) map[string]map[kind]sample {
	links := map[string]map[kind]sample{}
	if len(r.all) > 0 && (r.claims == nil || r.claims.inventory != inv) {
		r.claims = newClaims(inv, r.leaf)
	}
	for _, one := range r.all {
		port := one.peer.Zone()
		if links[port] == nil {
			links[port] = map[kind]sample{}
		}
		r.claims.tally(port, r.told[one.peer].hidden, one.announced.rejected, links[port])
	}
	return links
}

// rejections shows what the rejected prefixes of each interface are; of kinds that are not there nothing is shown.
func (m *metrics) rejections(links map[string]map[kind]sample) {
	m.rejected.Reset()
	for link, kinds := range links {
		for is, s := range kinds {
			m.rejected.WithLabelValues(link, string(is)).Set(float64(s.n))
		}
	}
}
