package junos

import (
	"context"
	"fmt"
)

// defaultDatabaseSize is the most that a database holds, in bytes.
const defaultDatabaseSize = 450 << 20

// keptVersions is how many versions of an ephemeral database are kept: what is
// deleted takes room until then.
const keptVersions = 10

// databaseUsage answers get-database-usage, of the static database or of an
// ephemeral instance.
func (s *session) databaseUsage(_ context.Context, request *element, w *writer) error {
	db := s.device.db
	name := request.value("ephemeral-instance")
	size := len(db.running().setLines())
	if request.has("ephemeral-instance") {
		tree, err := db.instance(name)
		if err != nil {
			return err
		}
		size = len(tree.setLines()) * (1 + db.keptVersions(name))
	}
	most := db.limit
	if _, full := s.struck(FaultFull); full {
		size = most
	}
	w.payload("database-usage", "")
	w.leaf("maximum-size", megabytes(most))
	w.leaf("current-size", megabytes(size))
	w.leaf("actual-usage", megabytes(size))
	w.leaf("available-space", megabytes(max(most-size, 0)))
	w.close()
	return nil
}

func megabytes(n int) string { return fmt.Sprintf("%.2f MB", float64(n)/(1<<20)) }

// keptVersions is how many versions of an instance are kept beside the newest.
func (db *databases) keptVersions(instance string) int {
	db.mu.Lock()
	defer db.mu.Unlock()
	return min(max(db.versions[instance]-1, 0), keptVersions-1)
}

// fits refuses a configuration that the database has no room for.
func (db *databases) fits(tree *node) error {
	if size := len(tree.setLines()); size > db.limit {
		return &rpcError{errorType: "application", tag: "operation-failed", severity: "error",
			message: fmt.Sprintf("could not allocate memory in database: %s of %s in use", megabytes(size), megabytes(db.limit))}
	}
	return nil
}

// commitRevision answers get-commit-revision-information: what changes with
// every commit of the static configuration.
func (s *session) commitRevision(_ context.Context, _ *element, w *writer) error {
	when, who := s.device.db.lastCommit()
	w.payload("commit-revision-information", "")
	w.leaf("revision", fmt.Sprintf("re0-%d-%d", when.Unix(), s.device.db.revisions()))
	w.leaf("user", who)
	w.leaf("date-time", localTime(when), "junos:seconds", fmt.Sprint(when.Unix()))
	w.close()
	return nil
}

func (db *databases) revisions() int {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.revision
}

// getMerged answers get-merged-configuration: the static configuration with the
// ephemeral ones over it.
func (s *session) getMerged(_ context.Context, _ *element, w *writer) error {
	s.writeConfiguration(w, s.device.db.merged(), "commit")
	return nil
}
