package junos

import (
	"fmt"
	"maps"
	"time"
)

// A holder is a session that holds a lock.
type holder struct {
	session int // its process id, as Junos shows it
	user    string
	since   time.Time

	intruder bool      // put there by a fault
	until    time.Time // when it lets go by itself; zero: never
}

// acquire locks the shared candidate for who, as lock-configuration does.
func (db *databases) acquire(who *holder) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.expire()
	switch {
	case db.lock != nil && db.lock.session == who.session:
		return lockDenied("Configuration database is already open")
	case db.lock != nil:
		return lockDenied(db.lock.describe(db.now()))
	case !db.candidate.equal(db.archive[0]):
		return lockDenied("configuration database modified")
	}
	db.lock, db.soiled = who, false // it is clean: what a fault has left is gone by now
	return nil
}

// release unlocks the shared candidate and discards what was changed in it.
func (db *databases) release(session int) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.lock == nil || db.lock.session != session {
		return protocolError("Configuration database is not open", "")
	}
	db.lock = nil
	db.candidate = db.archive[0].clone()
	return nil
}

// writable says whether the session may change the shared candidate.
func (db *databases) writable(session int) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.expire()
	if db.lock != nil && db.lock.session != session {
		return lockDenied(db.lock.describe(db.now()))
	}
	return nil
}

// openable says whether a private copy can be opened: the shared candidate must
// be neither locked nor changed.
func (db *databases) openable() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.expire()
	switch {
	case db.lock != nil:
		return lockDenied(db.lock.describe(db.now()))
	case !db.candidate.equal(db.archive[0]):
		return lockDenied("configuration database modified")
	}
	return nil
}

// claim opens an ephemeral instance, which locks it.
func (db *databases) claim(instance string, who *holder) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.expire()
	if owner := db.owners[instance]; owner != nil && owner.session != who.session {
		return lockDenied(owner.describe(db.now()))
	}
	db.owners[instance] = who
	return nil
}

func (db *databases) unclaim(instance string, session int) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if owner := db.owners[instance]; owner != nil && owner.session == session {
		delete(db.owners, instance)
	}
}

// describe is Junos' text about a lock that somebody else holds.
func (h *holder) describe(now time.Time) string {
	idle := max(now.Sub(h.since), 0).Truncate(time.Second)
	return fmt.Sprintf("configuration database locked by:\n  %s  (pid %d) on since %s, idle %s\n      exclusive",
		h.user, h.session, h.since.UTC().Format("2006-01-02 15:04:05 MST"), clock(idle))
}

// clock writes a duration as HH:MM:SS.
func clock(d time.Duration) string {
	s := int(d.Seconds())
	return fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
}

func lockDenied(message string) *rpcError {
	return &rpcError{errorType: "protocol", tag: "lock-denied", severity: "error", message: message}
}

// locked is who holds the lock of the shared candidate, or nil.
func (db *databases) locked() *holder {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.expire()
	return db.lock
}

// expire lets those go whose time is over.
func (db *databases) expire() {
	over := func(h *holder) bool { return h != nil && !h.until.IsZero() && time.Now().After(h.until) }
	if over(db.lock) {
		db.lock = nil
	}
	maps.DeleteFunc(db.owners, func(_ string, h *holder) bool { return over(h) })
}

// intrude has user lock the shared candidate and every ephemeral instance that
// nobody holds, for a time.
func (db *databases) intrude(user string, d time.Duration) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.expire()
	h := &holder{session: 32260, user: user, since: db.now(), intruder: true, until: time.Now().Add(d)}
	if db.lock == nil || db.lock.intruder {
		db.lock = h
	}
	for _, name := range append(instances(db.archive[0]), "") {
		if db.owners[name] == nil || db.owners[name].intruder {
			db.owners[name] = h
		}
	}
}

// owner is who has an ephemeral instance open, "" if nobody has.
func (db *databases) owner(instance string) string {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.expire()
	if h := db.owners[instance]; h != nil {
		return h.user
	}
	return ""
}
