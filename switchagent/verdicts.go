package switchagent

import (
	"cmp"
	"maps"
	"time"

	"lastmile/switchagent/junos"
)

// mostSilence is how long a refusal of the guards holds at most before they are read again.
const mostSilence = 30 * time.Second

// verdicts is what the guards have refused, by the stanza that was to be added or removed. They
// only ever save reading the guards for a plan of which nothing would be left: whatever is
// committed was allowed by guards of the same poll, which may last: the commit looks again at others' neighbours and at
// the sessions that it would end.
type verdicts map[junos.Stanza]verdict

type verdict struct {
	reason refusal
	since  time.Time
	last   time.Time // when the guards said so last
}

// silence is as long as the refusal has lasted so far: one that was of a moment is over in the
// next poll, one that stays is asked for ever more rarely.
func (v verdict) silence() time.Duration { return min(v.last.Sub(v.since), mostSilence) }

// filter is what the guards would leave of the plan if that is nothing, or else the whole plan, for which they
// must be read. What is no longer wanted is forgotten: who comes back is somebody new.
func (v verdicts) filter(now time.Time, p plan) plan {
	wanted := stanzasOf(p.change)
	maps.DeleteFunc(v, func(s junos.Stanza, _ verdict) bool { return !wanted[s] })
	for s := range wanted {
		if known, ok := v[s]; !ok || now.Sub(known.last) >= known.silence() {
			return p
		}
	}
	return p.without(func(s junos.Stanza, _ junos.Change) refusal { return v[s].reason })
}

// learn notes what the guards have refused of what was wanted. A plan that was withheld as a whole
// says nothing about its stanzas.
func (v verdicts) learn(now time.Time, wanted, allowed plan) {
	if allowed.blocked != nil {
		clear(v)
		return
	}
	free := stanzasOf(allowed.change)
	for s := range stanzasOf(wanted.change) {
		if free[s] {
			delete(v, s)
			continue
		}
		known, again := v[s]
		if !again {
			known.since = now
		}
		known.last = now
		known.reason = cmp.Or(allowed.refused[s.Peer], established) // of a removal nothing is told
		v[s] = known
	}
}

// stanzasOf is the stanzas that a change adds, removes or wants otherwise. No stanza is in it twice: one
// that was read has a key, and one that is edited is not removed.
func stanzasOf(change junos.Change) map[junos.Stanza]bool {
	all := map[junos.Stanza]bool{}
	for _, s := range change.Stanzas() {
		all[s] = true
	}
	return all
}
