package switchagent

import "lastmile/switchagent/junos"

// audience hears what the engine does, while it does it: the commands of a person, who want to see what
// is committed, and not what was planned by somebody else a moment ago.
type audience interface {
	looked(tables, plan) // after each good poll
	planned(plan)        // what is committed now
	// ended is what became of it; pending and unknown are followed by another.
	ended(junos.Outcome, error)
}

// nobody listens to the daemon.
type nobody struct{}

func (nobody) looked(tables, plan)        {}
func (nobody) planned(plan)               {}
func (nobody) ended(junos.Outcome, error) {}
