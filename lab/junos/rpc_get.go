package junos

import (
	"cmp"
	"context"
	"fmt"
	"time"
)

const xnmNamespace = "http://xml.juniper.net/xnm/1.1/xnm"

func (s *session) getConfiguration(_ context.Context, request *element, w *writer) error {
	tree, origin, err := s.source(request)
	if err != nil {
		return err
	}
	if request.attr("compare") != "" {
		return s.compareConfiguration(request, tree, w)
	}
	if filter := request.child("configuration"); filter != nil {
		tree = tree.filter(filter)
	}
	switch request.attr("format") {
	case "text":
		w.leaf("configuration-text", "\n"+s.shown(tree).text(""), "xmlns", xnmNamespace)
	case "set":
		w.leaf("configuration-set", "\n"+s.shown(tree).setLines(), "xmlns", xnmNamespace)
	case "", "xml":
		s.writeConfiguration(w, tree, origin)
	default:
		return protocolError("unsupported format: "+request.attr("format"), "format")
	}
	return nil
}

// source is the configuration that a get-configuration asks for, and whether it
// is "commit"ted or being "changed".
func (s *session) source(request *element) (tree *node, origin string, err error) {
	db := s.device.db
	if name := request.attr("ephemeral-instance"); name != "" || request.attr("database") == "ephemeral" {
		open := s.open != nil && s.open.ephemeral
		if s.profile.OpenedOnly && !open {
			return s.view(), "changed", nil
		}
		if name == "" && open {
			name = s.open.instance
		}
		return s.instance(name)
	}
	switch request.attr("database") {
	case "committed":
		return db.running(), "commit", nil
	case "", "candidate":
		return s.view(), "changed", nil
	}
	return nil, "", protocolError("invalid value for attribute database: "+request.attr("database"), "database")
}

func (s *session) writeConfiguration(w *writer, tree *node, origin string) {
	when, who := s.device.db.lastCommit()
	attrs := []string{
		"xmlns", xnmNamespace,
		"junos:" + origin + "-seconds", fmt.Sprint(when.Unix()),
		"junos:" + origin + "-localtime", localTime(when),
	}
	if origin == "commit" {
		attrs = append(attrs, "junos:commit-user", who)
	}
	w.open("configuration", attrs...)
	s.shown(tree).writeStatements(w)
	w.close()
}

func (s *session) compareConfiguration(request *element, tree *node, w *writer) error {
	if s.open != nil && s.open.ephemeral {
		return protocolError("compare is not supported in an ephemeral database", "compare")
	}
	n, err := rollbackNumber(cmp.Or(request.attr("rollback"), "0"))
	if err != nil {
		return err
	}
	before, err := s.device.db.rollback(n)
	if err != nil {
		return err
	}
	before, tree = s.shown(before), s.shown(tree)
	w.open("configuration-information")
	w.leaf("configuration-output", "\n"+compare(before, tree))
	w.close()
	return nil
}

// filter is the part of n that a subtree filter selects: an element without
// children selects everything under it, a list entry's key selects that entry.
func (n *node) filter(e *element) *node {
	if len(e.children) == 0 {
		return n
	}
	out := *n
	out.children = nil
	for _, c := range n.children {
		for _, want := range e.all(c.def.name) {
			if c.def.kind == list {
				key, err := entryKey(c.def, want)
				if err != nil || key != "" && key != c.key {
					continue
				}
				want = want.withoutKey(c.def)
			}
			out.children = append(out.children, c.filter(want))
			break
		}
	}
	return &out
}

func (s *session) getConfig(_ context.Context, request *element, w *writer) error {
	source := request.child("source")
	var tree *node
	origin := "changed"
	switch {
	case source.has("running"):
		tree, origin = s.device.db.running(), "commit"
	case source.has("candidate"):
		tree = s.view()
	default:
		return &rpcError{errorType: "protocol", tag: "operation-not-supported", severity: "error",
			message: "source must be running or candidate", bad: "source"}
	}
	if filter := request.child("filter"); filter != nil {
		if filter.has("configuration") {
			tree = tree.filter(filter.child("configuration"))
		} else {
			tree = newTree(tree.def)
		}
	}
	w.open("data")
	if len(tree.children) > 0 || !s.compliant {
		s.writeConfiguration(w, tree, origin)
	}
	w.close()
	return nil
}

// get is there because standard clients ask; state is read by Junos' own RPCs.
func (s *session) get(_ context.Context, _ *element, w *writer) error {
	w.empty("data")
	return nil
}

// lastCommit says when the running configuration was committed and by whom.
func (db *databases) lastCommit() (time.Time, string) {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.committed, db.committer
}

func localTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 MST") }
