package switchagent

import (
	"fmt"
	"time"
)

// health is what Health looks at.
type health struct {
	polled    time.Time // last good poll
	inventory error     // why the file is not what is used
	poll      error     // why none has succeeded since
	commit    error     // why neighbours wait for their stanza
	blocked   error     // why neighbours are left out of commits
	held      error     // why stanzas of servers that are gone stay
	// committing is a commit that is under way. Nothing is polled meanwhile; its own deadline bounds it.
	committing bool
	free       time.Time // when the last one was over
}

// Health says why servers may not be getting their stanza; nil if they are.
func (a *Agent) Health() error {
	h := a.health.Load()
	if h.poll != nil && h.polled.IsZero() {
		return fmt.Errorf("no good poll yet: %w", h.poll)
	}
	if patience := 3*a.cfg.PollInterval + 10*time.Second; time.Since(h.polled) > patience && time.Since(h.free) > patience && !h.committing {
		since := time.Since(h.polled).Round(time.Second)
		if h.poll == nil {
			return fmt.Errorf("no good poll for %s: waiting for the leaf", since)
		}
		return fmt.Errorf("no good poll for %s: %w", since, h.poll)
	}
	if h.commit != nil {
		return fmt.Errorf("neighbours wait for a commit: %w", h.commit)
	}
	if h.blocked != nil {
		return fmt.Errorf("neighbours wait for a commit: %w", h.blocked)
	}
	if h.inventory != nil {
		return fmt.Errorf("the last good inventory is used: %w", h.inventory)
	}
	return h.held
}

func (a *Agent) setHealth(change func(*health)) {
	h := *a.health.Load()
	change(&h)
	a.health.Store(&h)
}

// holdRemovals notes that more servers are gone at once than is believable.
func (a *Agent) holdRemovals(n int) {
	var held error
	if n > 0 {
		held = fmt.Errorf("%d stanzas would be removed at once, more than max_removals or max_removal_share: nothing is removed", n)
	}
	if before := a.health.Load().held; held != nil && before == nil {
		a.log.Error("removals are held", "stanzas", n, "err", held)
	}
	a.setHealth(func(h *health) { h.held = held })
}
