package junos

import "fmt"

// A privateConflict is a commit of a private copy that changes what somebody
// else has changed and committed since it was opened.
type privateConflict struct{ statements []string }

func (c *privateConflict) Error() string { return "private edits conflict with the configuration" }

// writeRefusal writes what a failed check found.
func (s *session) writeRefusal(w *writer, refusal *commitRefused) {
	if !s.compliant && !s.profile.FlatErrors {
		w.open("commit-results")
		defer w.close()
	}
	for _, e := range refusal.errs {
		w.rpcError(e)
	}
	w.rpcError(&rpcError{errorType: "protocol", tag: "operation-failed", severity: "error", message: refusal.Error()})
}

// writeConflict writes a load of private edits that failed, which is what a
// conflict is.
func (s *session) writeConflict(w *writer, c *privateConflict) {
	if !s.compliant {
		w.open("commit-results")
		defer w.close()
	}
	for _, statement := range c.statements {
		w.rpcError(&rpcError{errorType: "protocol", tag: "operation-failed", severity: "error",
			path: "[edit]", bad: statement, message: fmt.Sprintf("statement '%s' was changed by another user; commit again to overwrite", statement)})
	}
	w.number("load-error-count", len(c.statements))
}

// writeCommitted writes that a commit succeeded, in the form that the release
// has for it.
func (s *session) writeCommitted(w *writer, c commitRequest) {
	ephemeral := s.open != nil && s.open.ephemeral
	if s.profile.Licence && !s.compliant {
		w.rpcError(warning("License key missing; requires 'bgp' license"))
	}
	if s.profile.Commit == CommitBroken {
		s.writeBroken(w)
		return
	}
	netconf := s.device.db.running().at("system", "services", "netconf")
	plain := s.compliant || ephemeral || netconf.has("flatten-commit-results")
	switch {
	case s.open != nil && !ephemeral && s.open.unchanged && !plain:
		w.open("commit-results")
		w.close()
	case s.profile.Commit == CommitEmpty && !plain && !c.confirmed:
		w.open("commit-results")
		w.close()
	case !plain && (s.profile.Commit != CommitOk || c.confirmed):
		s.writeResults(w, c)
		if s.profile.Commit == CommitNoOk {
			return
		}
	}
	w.empty("ok")
}

// writeResults writes commit-results with every routing engine.
func (s *session) writeResults(w *writer, c commitRequest) {
	w.open("commit-results")
	defer w.close()
	if s.open != nil && !c.check {
		w.empty("load-success") // of the private edits, into the candidate
	}
	chatty := s.profile.Commit == CommitChatty
	if chatty {
		w.buf.WriteString("Non-existant dump device /dev/ad1s1b\n")
	}
	engines := s.profile.Engines
	if len(engines) == 0 {
		engines = []string{"re0"}
	}
	for _, name := range engines {
		style := "normal"
		if chatty {
			style = "show-name"
		}
		w.open("routing-engine", "junos:style", style)
		w.leaf("name", name)
		if c.check || chatty {
			w.empty("commit-check-success")
		}
		if !c.check {
			w.empty("commit-success")
		}
		if c.confirmed {
			w.leaf("output", "commit confirmed will be automatically rolled back in "+c.timeText+" unless confirmed")
		}
		w.close()
	}
}

// writeBroken writes a result whose routing-engine has no end tag.
func (s *session) writeBroken(w *writer) {
	w.tag("routing-engine", []string{"junos:style", "show-name"})
	w.buf.WriteString(">\n")
	w.leaf("name", "re0")
	w.empty("commit-check-success")
	w.empty("ok")
}
