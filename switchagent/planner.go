package switchagent

import (
	"time"

	"lastmile/switchagent/junos"
)

// planner makes of what polls see what is to be committed. It reads nothing and commits nothing: it is told what polls and
// guards have seen and what was committed, and remembers of it what the next plan depends on. One that begins
// anew, as after a restart, removes nothing too early.
type planner struct {
	policy     policy
	absent     map[junos.Stanza]absence // in consecutive good polls only
	drift      *drift
	quarantine quarantine
	verdicts   verdicts // of this session
	removals   removals
}

func newPlanner(cfg Config) *planner {
	return &planner{
		policy: cfg.policy(), drift: newDrift(cfg.Drift, cfg.Restores), quarantine: newQuarantine(), verdicts: verdicts{},
		removals: removals{most: cfg.MaxRemovals, share: cfg.MaxRemovalShare, window: cfg.HoldDown},
	}
}

// want is what the policy wants after a good poll.
func (p *planner) want(now time.Time, seen tables) plan {
	wanted := p.policy.plan(now, seen, p.absent)
	p.absent = wanted.absent
	return wanted
}

// sift is what is wanted without what others have made of it, what the leaf has refused, and what the guards
// are known to refuse. The guards need be read only if something is left. strange is how many stanzas a
// stranger has added.
func (p *planner) sift(now time.Time, wanted plan) (rest plan, strange int) {
	strange = p.drift.see(wanted.change)
	p.quarantine.settle(wanted.change)
	return p.verdicts.filter(now, p.quarantine.filter(now, p.drift.filter(now, wanted))), strange
}

// guard is what the guards, which were read after it was planned, leave of a plan, and of that what is believed.
func (p *planner) guard(now time.Time, asked plan, g guards) plan {
	p.policy.others = g.others
	allowed := asked.guarded(g)
	p.verdicts.learn(now, asked, allowed)
	return p.quarantine.cut(allowed.bounded(p.removals.bound(now)))
}

// committed notes what the leaf has taken, and returns how many stanzas that has restored.
func (p *planner) committed(now time.Time, change junos.Change) (restored int) {
	p.removals.note(now, change)
	p.quarantine.applied(change)
	return p.drift.committed(now, change)
}

// missed is told of a poll that failed: what could not be seen was not absent.
func (p *planner) missed() { p.absent = nil }

// forget drops what was known of the leaf when its session was lost: it may be rebooting.
func (p *planner) forget() {
	p.missed()
	clear(p.verdicts)
	p.drift.forget()
}
