package switchagent

import (
	"time"

	"lastmile/switchagent/junos"
)

// The pauses before a stanza that the leaf has refused is tried again.
const (
	firstSentence = time.Minute
	mostSentence  = time.Hour
)

// mostAlone is how many stanzas may be refused one by one, with none taken in between, before the
// fault is taken for one of the leaf.
const mostAlone = 3

// quarantine keeps the stanzas that the leaf refuses from holding up the others. A refusal that
// names its stanza is easy. One that does not is looked for by halves: the next change has half as
// many stanzas, until one alone is refused.
type quarantine struct {
	bad   map[junos.Place]*sentence
	limit int // most stanzas in the next change; 0 is no limit
	alone int // stanzas refused alone, one after the other
}

type sentence struct {
	until time.Time
	pause backoff
}

// filter is the plan without the stanzas that wait, and no larger than the limit.
func (q *quarantine) filter(now time.Time, p plan) plan {
	p = p.keep(quarantined, func(s junos.Stanza) bool {
		bad := q.bad[s.Place()]
		return bad == nil || !now.Before(bad.until)
	})
	if q.limit == 0 || p.size() <= q.limit {
		return p
	}
	left := q.limit
	cut := func(n int) int {
		n = min(n, left)
		left -= n
		return n
	}
	p.remove = p.remove[:cut(len(p.remove))]
	p.edit = p.edit[:cut(len(p.edit))]
	p.add = p.add[:cut(len(p.add))]
	return p
}

// refused learns from a refusal and returns the stanzas that it puts aside. again says that the
// others are worth another attempt at once.
func (q *quarantine) refused(now time.Time, change junos.Change, err error) (aside []junos.Stanza, again bool) {
	all := change.Stanzas()
	blamed, general := junos.Blame(err, all)
	switch {
	case general:
		return nil, false
	case len(blamed) > 0:
		q.alone = 0
	case len(all) > 1:
		q.limit = len(all) / 2
		return nil, true
	default:
		blamed = all
		if q.alone++; q.alone > mostAlone {
			q.pardon()
			return nil, false
		}
	}
	for _, s := range blamed {
		bad := q.bad[s.Place()]
		if bad == nil {
			bad = &sentence{pause: backoff{first: firstSentence, most: mostSentence}}
			q.bad[s.Place()] = bad
		}
		bad.until = now.Add(bad.pause.pause())
	}
	q.limit = 0
	return blamed, true
}

// applied notes what the leaf has taken.
func (q *quarantine) applied(change junos.Change) {
	q.alone = 0
	q.limit *= 2
	for _, s := range change.Stanzas() {
		delete(q.bad, s.Place())
	}
}

// settle forgets what is not wanted any more: who comes back is somebody new.
func (q *quarantine) settle(p plan) {
	wanted := byPlace(p.change().Stanzas())
	for place := range q.bad {
		if _, ok := wanted[place]; !ok {
			delete(q.bad, place)
		}
	}
	if p.empty() {
		q.limit = 0
	}
}

// pardon forgets all: it was not the stanzas.
func (q *quarantine) pardon() {
	clear(q.bad)
	q.limit, q.alone = 0, 0
}
