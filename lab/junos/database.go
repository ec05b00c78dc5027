package junos

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// archiveLength is how many committed configurations can be rolled back to.
const archiveLength = 50

// maxInstances is how many ephemeral instances Junos allows.
const maxInstances = 8

// databases holds the device's configurations: the static one with its shared
// candidate and its archive, and the ephemeral instances. Trees that are
// committed are never changed again, so they can be read without the lock.
type databases struct {
	schema *definition

	mu        sync.Mutex
	archive   []*node // committed static configurations, [0] the running one
	candidate *node   // the shared one
	ephemeral map[string]*node
	lock      *holder            // who locked the shared candidate
	owners    map[string]*holder // who has an ephemeral instance open
	committed time.Time
	committer string
}

// A holder is a session that holds a lock.
type holder struct {
	session int // its process id, as Junos shows it
	user    string
	since   time.Time
}

func newDatabases(schema *definition, static *node) *databases {
	return &databases{
		schema: schema, archive: []*node{static}, candidate: static.clone(),
		ephemeral: map[string]*node{}, owners: map[string]*holder{},
		committed: time.Now(), committer: "root",
	}
}

// running is the committed static configuration.
func (db *databases) running() *node {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.archive[0]
}

// instances is the configured ephemeral instances, highest priority first.
func instances(static *node) []string {
	var names []string
	for _, e := range static.at("system", "configuration-database", "ephemeral").list("instance") {
		if len(names) < maxInstances {
			names = append(names, e.key)
		}
	}
	return names
}

// merged is what the daemons see: the static configuration, then the default
// ephemeral instance, then the others, the first configured having the last word.
func (db *databases) merged() *node {
	db.mu.Lock()
	defer db.mu.Unlock()
	static := db.archive[0]
	tree := static.active()
	names := append(instances(static), "")
	if static.has("system", "configuration-database", "ephemeral", "ignore-ephemeral-default") {
		names = names[:len(names)-1]
	}
	for _, name := range slices.Backward(names) {
		if e := db.ephemeral[name]; e != nil {
			tree.merge(e.active())
		}
	}
	return tree
}

// instance is the committed content of an ephemeral instance; the default one is
// called "".
func (db *databases) instance(name string) (*node, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if name != "" && !slices.Contains(instances(db.archive[0]), name) {
		return nil, protocolError(fmt.Sprintf("ephemeral instance '%s' not configured", name), name)
	}
	if e := db.ephemeral[name]; e != nil {
		return e, nil
	}
	return newTree(db.schema), nil
}

// rollback is the configuration committed n commits ago.
func (db *databases) rollback(n int) (*node, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if n < 0 || n >= len(db.archive) {
		return nil, protocolError(fmt.Sprintf("could not open configuration database during rollback: rollback %d not found", n), "")
	}
	return db.archive[n], nil
}

// setRunning makes tree the static configuration. A candidate without changes
// of its own follows.
func (db *databases) setRunning(tree *node, user string) {
	db.mu.Lock()
	defer db.mu.Unlock()
	clean := db.candidate.equal(db.archive[0])
	db.archive = slices.Insert(db.archive, 0, tree)
	if len(db.archive) > archiveLength {
		db.archive = db.archive[:archiveLength]
	}
	if clean {
		db.candidate = tree.clone()
	}
	db.committed, db.committer = time.Now(), user
}

func (db *databases) setInstance(name string, tree *node) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.ephemeral[name] = tree
}

// acquire locks the shared candidate for who, as lock-configuration does.
func (db *databases) acquire(who *holder) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	switch {
	case db.lock != nil && db.lock.session == who.session:
		return lockDenied("Configuration database is already open")
	case db.lock != nil:
		return lockDenied(db.lock.describe())
	case !db.candidate.equal(db.archive[0]):
		return lockDenied("configuration database modified")
	}
	db.lock = who
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
	if db.lock != nil && db.lock.session != session {
		return lockDenied(db.lock.describe())
	}
	return nil
}

// openable says whether a private copy can be opened: the shared candidate must
// be neither locked nor changed.
func (db *databases) openable() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	switch {
	case db.lock != nil:
		return lockDenied(db.lock.describe())
	case !db.candidate.equal(db.archive[0]):
		return lockDenied("configuration database modified")
	}
	return nil
}

// claim opens an ephemeral instance, which locks it.
func (db *databases) claim(instance string, who *holder) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if owner := db.owners[instance]; owner != nil && owner.session != who.session {
		return lockDenied(owner.describe())
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

// change runs fn on the shared candidate.
func (db *databases) change(fn func(candidate *node)) {
	db.mu.Lock()
	defer db.mu.Unlock()
	fn(db.candidate)
}

// snapshot is a copy of the shared candidate.
func (db *databases) snapshot() *node {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.candidate.clone()
}

// discard throws away the changes in the shared candidate.
func (db *databases) discard() {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.candidate = db.archive[0].clone()
}

// reboot forgets what a device does not keep on disk.
func (db *databases) reboot() {
	db.mu.Lock()
	defer db.mu.Unlock()
	clear(db.ephemeral)
	clear(db.owners)
	db.lock = nil
	db.candidate = db.archive[0].clone()
}

// describe is Junos' text about a lock that somebody else holds.
func (h *holder) describe() string {
	idle := time.Since(h.since).Truncate(time.Second)
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
	return db.lock
}
