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

// validate says what FRR and BIRD do not take.
func (b BFDTimers) validate() error {
	if b.Interval < 10*time.Millisecond || b.Interval > time.Minute || b.Interval%time.Millisecond != 0 || b.Multiplier < 2 || b.Multiplier > 255 {
		return fmt.Errorf("BFD timers %v x %d: want whole milliseconds from 10ms to 1m, and 2 to 255", b.Interval, b.Multiplier)
	}
	return nil
}

// ParseBFDTimers reads 300x3, as String writes it.
func ParseBFDTimers(text string) (BFDTimers, error) {
	var ms, multiplier int
	if _, err := fmt.Sscanf(text, "%dx%d", &ms, &multiplier); err != nil {
		return BFDTimers{}, fmt.Errorf("BFD timers %q: milliseconds and multiplier are wanted, such as 300x3", text)
	}
	b := BFDTimers{time.Duration(ms) * time.Millisecond, multiplier}
	return b, b.validate()
}
