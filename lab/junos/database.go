package junos

import (
	"errors"
	"fmt"
	"maps"
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
	soiled    bool             // a fault left edits in the candidate
	revision  int              // counts commits of the static configuration
	versions  map[string]int   // commits of each ephemeral instance since boot
	limit     int              // bytes that a database holds
	now       func() time.Time // the device's clock
}

func newDatabases(schema *definition, static *node, now func() time.Time) *databases {
	return &databases{
		schema: schema, archive: []*node{static}, candidate: static.clone(),
		ephemeral: map[string]*node{}, owners: map[string]*holder{},
		versions:  map[string]int{},
		committed: now(), committer: "root", now: now,
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
	db.committed, db.committer = db.now(), user
	db.revision++
}

func (db *databases) setInstance(name string, tree *node) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.ephemeral[name] = tree
	db.versions[name]++
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
	clear(db.versions)
	db.lock = nil
	db.candidate, db.soiled = db.archive[0].clone(), false
}

// soil leaves set lines in the shared candidate, as an operator who went for
// lunch. One that somebody has locked stays as it is.
func (db *databases) soil(lines string) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.expire()
	if db.lock != nil {
		return errors.New("the candidate is locked")
	}
	_, errs := db.candidate.mergeSetLines(lines)
	db.soiled = true
	return errors.Join(asErrors(errs)...)
}

// endIntrusions takes back what soil and intrude did.
func (db *databases) endIntrusions() {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.soiled {
		db.candidate, db.soiled = db.archive[0].clone(), false
	}
	if db.lock != nil && db.lock.intruder {
		db.lock = nil
	}
	maps.DeleteFunc(db.owners, func(_ string, h *holder) bool { return h.intruder })
}
