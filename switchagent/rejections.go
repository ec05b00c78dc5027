package switchagent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"lastmile/switchagent/inventory"
	"lastmile/switchagent/junos"
)

const (
	// mostQuestions is how many peers the leaf is asked for in one look, as polls wait for the answers.
	mostQuestions = 4
	// mostRejected is how many rejected prefixes a peer may have to be asked for: the answer grows with them.
	mostRejected = 10 * junos.MostHidden
	// askedAgain is how long an answer holds if the counts stay: a server can announce one prefix in place of another.
	askedAgain = 10 * time.Minute
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
	told   map[netip.Addr]told // by the stanza's peer
	claims *claims
	leaf   map[netip.Addr]bool // its loopbacks; nil if this session has not read them
	logged map[string]map[kind]string
	failed string    // what was logged of the last failure
	pause  backoff   // after a failure
	after  time.Time // nothing is asked before
}

// told is an answer, and of what.
type told struct {
	of     rejecting
	at     time.Time
	hidden []junos.Hidden // in order
}

func newRejections() *rejections {
	return &rejections{
		told: map[netip.Addr]told{}, logged: map[string]map[kind]string{}, pause: backoff{first: 10 * time.Minute, most: 24 * time.Hour},
	}
}

// watchRejected asks what is to be asked for, and shows and logs what is known. Only the loss of the session is an error.
func (a *Agent) watchRejected(ctx context.Context, l revealer, all []rejecting) error {
	r := a.rejections
	err := r.ask(ctx, l, all)
	if ctx.Err() != nil {
		return err
	}
	if err != nil && r.failed != err.Error() {
		r.failed = err.Error()
		a.log.Warn("rejected prefixes cannot be read", "err", err, "retry", time.Until(r.after).Round(time.Second))
	}
	links, awaited := r.counts(a.stock.current, all)
	a.metrics.rejections(links)
	r.log(a.log, links, awaited)
	if errors.Is(err, junos.ErrLost) {
		return err
	}
	return nil
}

// forget drops what is known of the leaf, when its session has ended.
func (r *rejections) forget() { r.leaf = nil }

// due is who is to be asked for now: whose counts have changed, and now and then the others; one of each port, and
// those first who have waited for longest.
func (r *rejections) due(now time.Time, all []rejecting) (due []rejecting) {
	waiting := slices.Clone(all)
	slices.SortStableFunc(waiting, func(a, b rejecting) int { return r.told[a.peer].at.Compare(r.told[b.peer].at) })
	ports := map[string]bool{}
	for _, one := range waiting {
		last, known := r.told[one.peer]
		fresh := known && last.of == one && now.Sub(last.at) < askedAgain
		if len(due) == mostQuestions || now.Before(r.after) || fresh || ports[one.peer.Zone()] || one.announced.rejected > mostRejected {
			continue
		}
		ports[one.peer.Zone()] = true
		due = append(due, one)
	}
	return due
}

// ask asks the leaf. A leaf that refuses, or that ends the session over it, is left alone for ever longer: its counts are
// known without it.
func (r *rejections) ask(ctx context.Context, l revealer, all []rejecting) (err error) {
	now := time.Now()
	for peer := range r.told {
		if !slices.ContainsFunc(all, func(one rejecting) bool { return one.peer == peer }) {
			delete(r.told, peer)
		}
	}
	for _, one := range r.due(now, all) {
		if r.leaf == nil {
			r.leaf, err = l.loopbacks(ctx)
			r.claims = nil
		}
		var hidden []junos.Hidden
		if err == nil {
			hidden, err = l.hidden(ctx, one.listed)
		}
		if err != nil {
			r.after = now.Add(r.pause.pause())
			return err
		}
		slices.SortFunc(hidden, func(a, b junos.Hidden) int { return a.Prefix.Compare(b.Prefix) })
		r.told[one.peer] = told{one, now, hidden}
		r.pause.reset()
		r.failed = ""
	}
	return nil
}

// counts sorts what is rejected on each port, and says of which there may be more to know soon.
func (r *rejections) counts(inv *inventory.Inventory, all []rejecting) (links map[string]map[kind]sample, awaited map[string]bool) {
	links, awaited = map[string]map[kind]sample{}, map[string]bool{}
	if len(all) > 0 && (r.claims == nil || r.claims.inventory != inv) {
		r.claims = newClaims(inv, r.leaf)
	}
	for _, one := range all {
		port := one.peer.Zone()
		if links[port] == nil {
			links[port] = map[kind]sample{}
		}
		last := r.told[one.peer]
		awaited[port] = awaited[port] || last.of != one && r.failed == "" && one.announced.rejected <= mostRejected
		r.claims.tally(port, last.hidden, one.announced.rejected, links[port])
	}
	return links, awaited
}

// log has one line for each kind of a port when it appears or changes, and one when nothing is rejected any more.
func (r *rejections) log(log *slog.Logger, links map[string]map[kind]sample, awaited map[string]bool) {
	for port := range r.logged {
		if links[port] == nil {
			log.Info("leaf rejects no prefixes any more", "link", port)
			delete(r.logged, port)
		}
	}
	for _, port := range slices.Sorted(maps.Keys(links)) {
		last := r.logged[port]
		r.logged[port] = map[kind]string{}
		for _, is := range allKinds {
			s, there := links[port][is]
			if !there || is == kindUnread && awaited[port] {
				continue
			}
			attrs := s.attrs(port, is)
			text := fmt.Sprint(attrs...)
			if r.logged[port][is] = text; last[is] != text {
				log.Warn("leaf rejects prefixes", attrs...)
			}
		}
	}
}

func (s sample) attrs(port string, is kind) []any {
	attrs := []any{"link", port, "kind", is, "rejected", s.n}
	if len(s.prefixes) > 0 {
		attrs = append(attrs, "prefixes", s.prefixes)
	}
	if s.whose != "" {
		attrs = append(attrs, "whose", s.whose)
	}
	if s.path != "" {
		attrs = append(attrs, "path", s.path)
	}
	return attrs
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
