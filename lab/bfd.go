package lab

import (
	"fmt"
	"time"
)

// BFDTimers are the timers of a BFD session, the same in both directions.
type BFDTimers struct {
	Interval   time.Duration // whole milliseconds: routers take no less
	Multiplier int
}

// DetectTime is how long after the last packet a peer with the same timers is
// dead.
func (b BFDTimers) DetectTime() time.Duration { return time.Duration(b.Multiplier) * b.Interval }

// Milliseconds is the interval as routers have it configured.
func (b BFDTimers) Milliseconds() int64 { return b.Interval.Milliseconds() }

// String writes 300x3.
func (b BFDTimers) String() string { return fmt.Sprintf("%dx%d", b.Milliseconds(), b.Multiplier) }
