package switchagent

import (
	"maps"
	"time"

	"lastmile/switchagent/junos"
)

// mostSilence is how long a refusal of the guards holds at most before they are read again.
const mostSilence = 30 * time.Second

// verdicts is what the guards have refused, by the stanza that was to be added or removed. They
// only ever save reading the guards for a plan of which nothing would be left: whatever is
// committed was allowed by guards of the same poll.
type verdicts map[junos.Stanza]verdict

type verdict struct {
	reason refusal // of an add or an edit
	since  time.Time
	last   time.Time // when the guards said so last
}

// silence is as long as the refusal has lasted so far: one that was of a moment is over in the
// next poll, one that stays is asked for ever more rarely.
func (v verdict) silence() time.Duration { return min(v.last.Sub(v.since), mostSilence) }

// apply returns what the guards would leave of the plan, which is nothing, or false if they must be
// read. What is no longer wanted is forgotten: who comes back is somebody new.
func (v verdicts) apply(now time.Time, p plan) (plan, bool) {
	wanted := p.changes()
	maps.DeleteFunc(v, func(s junos.Stanza, _ verdict) bool { return !wanted[s] })
	for s := range wanted {
		if known, ok := v[s]; !ok || now.Sub(known.last) >= known.silence() {
			return p, false
		}
	}
	for _, s := range p.add {
		p.refused[s.Peer] = v[s].reason
	}
	for _, e := range p.edit {
		p.refused[e.To.Peer] = v[e.To].reason
	}
	return p.none(), true
}

// learn notes what the guards have refused of what was wanted. A plan that was withheld as a whole
// says nothing about its stanzas.
func (v verdicts) learn(now time.Time, wanted, allowed plan) {
	if allowed.blocked != nil {
		clear(v)
		return
	}
	free := allowed.changes()
	for s := range wanted.changes() {
		if free[s] {
			delete(v, s)
			continue
		}
		known, again := v[s]
		if !again {
			known.since = now
		}
		known.last = now
		known.reason = allowed.refused[s.Peer]
		v[s] = known
	}
}

// changes is the stanzas that the plan adds, removes or wants otherwise. No stanza is in it twice: one
// that was read has a key, and one that is edited is not removed.
func (p plan) changes() map[junos.Stanza]bool {
	all := map[junos.Stanza]bool{}
	for _, s := range p.change().Stanzas() {
		all[s] = true
	}
	return all
}
