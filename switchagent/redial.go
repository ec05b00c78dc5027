package switchagent

import (
	"context"
	"time"

	"lastmile/switchagent/login"
)

// redial is when a leaf is dialled again. Who was refused waits long: leaves lock users out who fail
// too often, and nothing changes by itself.
type redial struct {
	lost    backoff // no connection, or a session that was lost
	refused backoff // the login or the host key
}

func newRedial() redial {
	return redial{
		lost:    backoff{first: time.Second, most: 15 * time.Second},
		refused: backoff{first: 30 * time.Second, most: 5 * time.Minute},
	}
}

// pause is how long to wait after an error, and whether that is because of a refusal.
func (r *redial) pause(err error) (pause time.Duration, refused bool) {
	switch login.KindOf(err) {
	case login.Auth, login.HostKey, login.Algorithms:
		return r.refused.pause(), true
	}
	return r.lost.pause(), false
}

func (r *redial) reset() {
	r.lost.reset()
	r.refused.reset()
}

// stampEvery is how often the files of the login are looked at while nothing else is tried.
const stampEvery = time.Second

// wait returns after the pause, and after a refusal earlier if a file of the login changes. It
// returns false when ctx has ended.
func (a *Agent) wait(ctx context.Context, pause time.Duration, refused bool) bool {
	over := time.After(pause)
	if !refused {
		select {
		case <-over:
			return true
		case <-ctx.Done():
			return false
		}
	}
	target, _ := a.cfg.target()
	before := target.Stamp()
	look := time.NewTicker(stampEvery)
	defer look.Stop()
	for {
		select {
		case <-over:
			return true
		case <-look.C:
			if target.Stamp() != before {
				return true
			}
		case <-ctx.Done():
			return false
		}
	}
}

// dialled counts an attempt, by what became of it.
func (m *metrics) dialled(err error) {
	if err == nil {
		m.dials.WithLabelValues(resultOK).Inc()
		return
	}
	m.dials.WithLabelValues(string(login.KindOf(err))).Inc()
}

func dialResults() []string {
	all := []string{resultOK}
	for _, kind := range login.Kinds {
		all = append(all, string(kind))
	}
	return all
}
