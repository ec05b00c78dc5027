package switchagent

import (
	"net/netip"
	"time"

	"lastmile/switchagent/junos"
)

// The pauses before a stanza that the leaf has refused is tried again.
const (
	firstSentence = time.Minute
	mostSentence  = time.Hour
)

// quarantine keeps the stanzas that the leaf refuses from holding up the others. A refusal that
// names its stanza is easy. One that does not is looked for by halves: the next change has half as
// many stanzas, until one alone is refused. When that happens to one after the other the fault may
// be the leaf's: then there is no hurry, and with the first that is taken all are tried again.
type quarantine struct {
	bad   map[junos.Place]*sentence
	first time.Duration // pause before the first of them is tried again; it doubles up to mostSentence
	limit int           // most stanzas in the next change; 0 is no limit
}

type sentence struct {
	until time.Time
	pause backoff
	named bool // by the leaf
	peer  netip.Addr
	why   error
}

func newQuarantine() quarantine {
	return quarantine{bad: map[junos.Place]*sentence{}, first: firstSentence}
}

// filter is the plan without the stanzas that wait.
func (q *quarantine) filter(now time.Time, p plan) plan {
	return p.without(func(s junos.Stanza, _ junos.Change) refusal {
		if bad := q.bad[s.Place()]; bad != nil && now.Before(bad.until) {
			return quarantined
		}
		return ""
	})
}

// cut is the plan, no larger than the limit. It comes last: whoever judges a plan must see all of it.
func (q *quarantine) cut(p plan) plan {
	if q.limit == 0 || p.size() <= q.limit {
		return p
	}
	left := q.limit
	cut := func(n int) int {
		n = min(n, left)
		left -= n
		return n
	}
	c := &p.change
	c.Remove = c.Remove[:cut(len(c.Remove))]
	c.Edit = c.Edit[:cut(len(c.Edit))]
	c.Add = c.Add[:cut(len(c.Add))]
	return p
}

// refused learns from the refusal of a change, of which the leaf has named some stanzas, or none, and
// returns the stanzas that it puts aside. again says that the others are worth another attempt at
// once.
func (q *quarantine) refused(now time.Time, all, blamed []junos.Stanza) (aside []junos.Stanza, again bool) {
	named := len(blamed) > 0
	if !named && len(all) > 1 {
		q.limit = len(all) / 2
		return nil, true
	}
	again = named || q.unnamed() == 0
	if !named {
		blamed = all
	}
	for _, s := range blamed {
		bad := q.bad[s.Place()]
		if bad == nil {
			bad = &sentence{pause: backoff{first: q.first, most: mostSentence}}
			q.bad[s.Place()] = bad
		}
		bad.until, bad.named = now.Add(bad.pause.pause()), named
	}
	q.limit = 0
	return blamed, again
}

// unnamed is how many stanzas were refused alone, without a word about them.
func (q *quarantine) unnamed() (n int) {
	for _, bad := range q.bad {
		if !bad.named {
			n++
		}
	}
	return n
}

// applied notes what the leaf has taken.
func (q *quarantine) applied(change junos.Change) {
	q.limit *= 2
	for _, s := range change.Stanzas() {
		delete(q.bad, s.Place())
	}
	if q.unnamed() > 1 {
		for _, bad := range q.bad {
			if !bad.named {
				bad.until = time.Time{}
			}
		}
	}
}

// settle forgets what is not wanted any more: who comes back is somebody new.
func (q *quarantine) settle(change junos.Change) {
	wanted := byPlace(change.Stanzas())
	for place := range q.bad {
		if _, ok := wanted[place]; !ok {
			delete(q.bad, place)
		}
	}
	if len(wanted) == 0 {
		q.limit = 0
	}
}
