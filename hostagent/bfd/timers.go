package bfd

import (
	"errors"
	"fmt"
	"time"
)

// Timers are one end's side of the negotiation: what it offers, not what comes
// of it.
type Timers struct {
	Transmit   time.Duration // we would not send more often; it is slower while the session is not up
	Receive    time.Duration // nor receive more often
	Multiplier uint8         // so many of our packets lost in a row are a dead link to the neighbour
}

// MinInterval is the shortest interval that Validate accepts. What can be held
// is a question of the machine and the neighbour, and usually longer.
const MinInterval = time.Millisecond

// slowInterval is the least interval of a session that is not up (RFC 5880
// section 6.8.3).
const slowInterval = time.Second

// Validate names every value that cannot be used, and what can.
func (t Timers) Validate() error {
	var errs []error
	check := func(name string, d time.Duration) {
		if d < MinInterval || d > MaxInterval || d%time.Microsecond != 0 {
			errs = append(errs, fmt.Errorf("%s %v: whole microseconds between %v and %v are allowed",
				name, d, MinInterval, MaxInterval))
		}
	}
	check("transmit interval", t.Transmit)
	check("receive interval", t.Receive)
	if t.Multiplier == 0 {
		errs = append(errs, errors.New("detect multiplier 0: 1 to 255 are allowed"))
	}
	return errors.Join(errs...)
}

// DetectTime is how long an end must hear nothing before it calls the session
// dead (RFC 5880 section 6.8.4): the other end's multiplier and desired transmit
// interval, and its own required receive interval.
func DetectTime(multiplier uint8, transmit, receive time.Duration) time.Duration {
	return time.Duration(multiplier) * max(transmit, receive)
}
