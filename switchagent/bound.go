package switchagent

import (
	"slices"
	"time"

	"lastmile/switchagent/junos"
)

// leastBelievable is how many removals at once are believed whatever their share is.
const leastBelievable = 3

// removals is when stanzas were removed, or made to accept nothing, lately. A leaf that loses its
// table bit by bit must not get past the bound that holds for one that loses it at once.
type removals struct {
	most, share int // those of bound
	window      time.Duration
	list        []removal
}

type removal struct {
	at             time.Time
	gone, isolated int
}

// note notes what was committed.
func (r *removals) note(now time.Time, change junos.Change) {
	one := removal{at: now, gone: len(change.Remove)}
	for _, e := range change.Edit {
		if isolates(e) {
			one.isolated++
		}
	}
	if one.gone+one.isolated > 0 {
		r.list = append(r.list, one)
	}
}

// recent is what was removed within the window.
func (r *removals) recent(now time.Time) (sum removal) {
	r.list = slices.DeleteFunc(r.list, func(one removal) bool { return now.Sub(one.at) >= r.window })
	for _, one := range r.list {
		sum.gone += one.gone
		sum.isolated += one.isolated
	}
	return sum
}

// bound is how many more are believed now.
func (r *removals) bound(now time.Time) bound { return bound{r.most, r.share, r.recent(now)} }

// bound is how many removals are believed: so many, and that share of all stanzas in percent, with those
// that were made lately. 0 is no bound.
type bound struct {
	most, share int
	recent      removal
}

// isolates says that a stanza that accepts something is to accept nothing.
func isolates(e junos.Edit) bool {
	return e.To.Import == junos.RejectAll && e.From.Import != junos.RejectAll
}

// bounded is the plan without its removals, and without what makes a stanza accept nothing, if they are
// too many to believe.
func (p plan) bounded(b bound) plan {
	others := slices.DeleteFunc(slices.Clone(p.change.Edit), isolates)
	n := len(p.change.Remove) + len(p.change.Edit) - len(others)
	if n == 0 {
		return p
	}
	all := n + b.recent.gone + b.recent.isolated
	tooMany := b.most > 0 && all > b.most
	tooLarge := b.share > 0 && all > leastBelievable && all*100 > b.share*(len(p.change.From)+b.recent.gone)
	if tooMany || tooLarge {
		p.change.Remove, p.change.Edit, p.withheld = nil, others, n
	}
	return p
}
