package junos

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// A workspace is what open-configuration opened: a private copy of the static
// configuration, or an ephemeral instance.
type workspace struct {
	ephemeral bool
	instance  string // ephemeral: "" is the default one
	tree      *node
	base      *node // what tree was copied from
	// changes are repeated on what is committed meanwhile, when a private copy
	// is committed.
	changes []func(*node)
	// unchanged says that the last commit of a private copy had nothing to do.
	unchanged bool
}

func (s *session) openConfiguration(_ context.Context, request *element, w *writer) error {
	if s.open != nil {
		return protocolError("Configuration database is already open", "")
	}
	db := s.device.db
	switch {
	case request.has("ephemeral-instance") || request.has("ephemeral"):
		return s.openEphemeral(request.value("ephemeral-instance"), w)
	case request.has("private"):
		if err := db.openable(); err != nil {
			return err
		}
		base := db.running()
		s.open = &workspace{tree: base.clone(), base: base}
		w.rpcError(warning("uncommitted changes will be discarded on exit"))
		return nil
	case request.has("exclusive"):
		return db.acquire(s.holder())
	}
	return nil // the shared candidate, which is always open
}

// openEphemeral opens an instance, which locks it.
func (s *session) openEphemeral(name string, w *writer) error {
	db := s.device.db
	tree, err := db.instance(name)
	if err != nil && s.profile.LooseOpen {
		return nil // and what is loaded goes where it was not meant to
	}
	if err != nil {
		return err
	}
	if err := db.claim(name, s.holder()); err != nil {
		return err
	}
	s.open = &workspace{ephemeral: true, instance: name, tree: tree.clone(), base: tree}
	switch {
	case s.profile.Opening == OpeningOk:
		w.empty("ok")
	case s.profile.Opening == OpeningWarns:
		w.rpcError(warning("uncommitted changes will be discarded on exit"))
	}
	return nil
}

func (s *session) holder() *holder {
	return &holder{session: s.id, user: s.user.Name, since: s.device.now()}
}

func (s *session) closeConfiguration(_ context.Context, _ *element, w *writer) error {
	if s.open == nil {
		// Opened exclusively, or shared: there is nothing to give back but a lock.
		_ = s.device.db.release(s.id)
	}
	s.closeWorkspace()
	if s.compliant {
		w.empty("ok")
	}
	return nil
}

// closeWorkspace forgets a workspace and what was not committed of it.
func (s *session) closeWorkspace() {
	if s.open != nil && s.open.ephemeral {
		s.device.db.unclaim(s.open.instance, s.id)
	}
	s.open = nil
}

func (s *session) lockConfiguration(_ context.Context, request *element, w *writer) error {
	if target := request.child("target"); target != nil && !target.has("candidate") {
		return &rpcError{errorType: "protocol", tag: "operation-not-supported", severity: "error",
			message: "only the candidate can be locked"}
	}
	if err := s.device.db.acquire(s.holder()); err != nil {
		return err
	}
	w.empty("ok")
	return nil
}

func (s *session) unlockConfiguration(_ context.Context, _ *element, w *writer) error {
	if err := s.device.db.release(s.id); err != nil {
		return err
	}
	w.empty("ok")
	return nil
}

func (s *session) discardChanges(_ context.Context, _ *element, w *writer) error {
	switch {
	case s.open != nil:
		s.open.tree, s.open.changes = s.open.base.clone(), nil
	default:
		if err := s.device.db.writable(s.id); err != nil {
			return err
		}
		s.device.db.discard()
	}
	w.empty("ok")
	return nil
}

// edit runs fn on what the session has open, or on the shared candidate. fn
// may be run again on a newer configuration, when a private copy is committed.
func (s *session) edit(fn func(tree *node)) error {
	s.device.count(func(st *Stats) { st.Loads++ })
	if s.open != nil {
		fn(s.open.tree)
		s.open.changes = append(s.open.changes, fn)
		return nil
	}
	if err := s.device.db.writable(s.id); err != nil {
		return err
	}
	s.device.db.change(fn)
	return nil
}

// view is what the session would commit.
func (s *session) view() *node {
	if s.open != nil {
		return s.open.tree
	}
	return s.device.db.snapshot()
}

func (s *session) databaseStatus(_ context.Context, _ *element, w *writer) error {
	w.payload("database-status-information", "")
	if lock := s.device.db.locked(); lock != nil {
		w.open("database-status")
		w.leaf("user", lock.user)
		w.number("pid", lock.session)
		w.leaf("start-time", lock.since.UTC().Format("2006-01-02 15:04:05 MST"), "junos:seconds", fmt.Sprint(lock.since.Unix()))
		w.leaf("idle-time", clock(max(s.device.now().Sub(lock.since), 0)))
		w.empty("exclusive")
		w.leaf("edit-path", "[edit]")
		w.close()
	}
	w.close()
	return nil
}

func (s *session) commitInformation(_ context.Context, _ *element, w *writer) error {
	w.payload("commit-information", "")
	history := s.device.History()
	sequence := 0
	for i := len(history) - 1; i >= 0 && sequence < archiveLength; i-- {
		c := history[i]
		if strings.HasPrefix(c.Database, "ephemeral") || c.Database == "reboot" {
			continue
		}
		w.open("commit-history")
		w.number("sequence-number", sequence)
		w.leaf("user", c.User)
		w.leaf("client", "netconf")
		w.leaf("date-time", c.Time.UTC().Format("2006-01-02 15:04:05 MST"), "junos:seconds", fmt.Sprint(c.Time.Unix()))
		if c.Comment != "" {
			w.leaf("comment", c.Comment)
		}
		if c.Log != "" {
			w.leaf("log", c.Log)
		}
		if sequence == 0 && s.device.pending.Load() != nil && !s.device.release.before(pendingMarked) {
			w.leaf("commit-confirmed", "rollback pending")
		}
		w.close()
		sequence++
	}
	w.close()
	return nil
}

// rollbackNumber reads the attribute of load-configuration and
// get-configuration.
func rollbackNumber(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n >= archiveLength {
		return 0, protocolError("invalid rollback value: "+text, "rollback")
	}
	return n, nil
}
