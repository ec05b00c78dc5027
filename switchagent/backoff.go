package switchagent

import (
	"math/rand/v2"
	"time"
)

// backoff is the pause before the next attempt: twice as long after each failure, and different
// in each agent, so that a hundred of them do not dial a rebooted switch in step.
type backoff struct {
	first, most time.Duration
	next        time.Duration
}

// pause returns a random half to the whole of the current step, and doubles it.
func (b *backoff) pause() time.Duration {
	step := max(b.next, b.first)
	b.next = min(2*step, b.most)
	return step/2 + rand.N(step/2+1)
}

func (b *backoff) reset() { b.next = 0 }
