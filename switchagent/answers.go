package switchagent

import (
	"errors"
	"time"

	"lastmile/switchagent/junos"
)

const (
	// usualWait is how long a leaf may be silent in an answer.
	usualWait = 15 * time.Second
	// mostWait is for one that is known to be slow: a minute for an answer is on record.
	mostWait = 8 * usualWait
	// answersMemory is how long a leaf that was late once is taken for a slow one.
	answersMemory = time.Hour
)

// answers is how long the leaf may be silent in an answer before its session is given up. A leaf that
// hangs is noticed after the usual time. One that is only slow would never be served that way: each
// session that ends so lets the next one wait twice as long.
type answers struct {
	usual, longer time.Duration
	lateAt        time.Time
}

func (w *answers) wait(now time.Time) time.Duration {
	if now.Sub(w.lateAt) > answersMemory {
		w.longer = w.usual
	}
	return w.longer
}

// late notes why a session has ended. It returns how long the next one waits if that is more.
func (w *answers) late(now time.Time, err error) time.Duration {
	if !errors.Is(err, junos.ErrSlow) {
		return 0
	}
	before := w.wait(now)
	w.lateAt, w.longer = now, min(2*before, max(w.usual, mostWait))
	if w.longer == before {
		return 0
	}
	return w.longer
}
