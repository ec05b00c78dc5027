package switchagent

import (
	"math/rand/v2"
	"time"
)

// role tells the agent that writes from the one that stands by, where two watch one leaf. They do
// not speak with each other: both see what the leaf needs and whether it gets it. The one that
// stands by commits only what has waited for so long that the other cannot be at work, and then is
// the one that writes; who finds stanzas that it did not commit stands by.
//
// That is no more than good manners. What keeps two writers apart is the lock on the database, and
// that a commit under it is refused if the database holds anything that the plan was not made from.
type role struct {
	takeover time.Duration // 0: there is no other
	patience time.Duration // takeover, and a little that differs in each agent
	blind    time.Duration // who has not seen the leaf for so long may have been replaced
	sure     time.Time     // when nobody else can have been at work
	writer   bool
}

// leastBlind is what is ordinary on a busy machine, however short takeover is.
const leastBlind = 5 * time.Second

func newRole(takeover, poll time.Duration) role {
	r := role{takeover: takeover, patience: takeover, blind: max(takeover+3*poll, leastBlind), writer: takeover == 0}
	if takeover > 0 {
		r.patience += rand.N(takeover/2 + 1)
	}
	return r
}

// replaced says whether another may have taken over since the leaf was seen last: it was stopped, or without
// a session, for longer than the other waits. A leaf that has booted since and holds nothing was not written
// by anybody. It stays the writer then: servers wait.
func (r *role) replaced(now, booted time.Time, empty bool) bool {
	unseen := r.writer && !r.sure.IsZero() && now.Sub(r.sure) > r.blind
	fresh := empty && booted.After(r.sure)
	r.sure = now
	return unseen && !fresh
}

// busy takes time out of what has passed since the leaf was seen: this agent has waited for an answer that it could
// have done without.
func (r *role) busy(d time.Duration) {
	if !r.sure.IsZero() {
		r.sure = r.sure.Add(d)
	}
}

// yield stands by, since somebody else writes. It says whether that is new.
func (r *role) yield() bool {
	was := r.writer
	r.writer = r.takeover == 0
	return was && !r.writer
}

// write takes over. It says whether that is new.
func (r *role) write() bool {
	was := r.writer
	r.writer = true
	return !was
}
