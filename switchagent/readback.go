package switchagent

import (
	"errors"
	"log/slog"
	"time"

	"lastmile/switchagent/junos"
)

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

// errNotInEffect is what became of a commit whose answer was lost, if the leaf does not have it.
var errNotInEffect = errors.New("the leaf does not have the commit whose answer was lost")

// readBack looks what became of a commit whose answer was lost or made no sense.
func (a *Agent) readBack(seen tables) {
	if a.asked.empty() {
		return
	}
	p := a.asked
	a.asked = plan{}
	if len(missing(p.change, seen.stanzas)) > 0 {
		a.audience.ended(junos.Refused, errNotInEffect)
		return
	}
	a.log.Info("commit has taken effect, although its answer was lost", "changes", p.size())
	a.accepted(p)
	a.audience.ended(junos.Applied, nil)
}

// retry is when there is another attempt, if there is one.
func (a *Agent) retry(pause time.Duration) slog.Attr {
	if a.once {
		return slog.Attr{}
	}
	return slog.Duration("retry", pause)
}
