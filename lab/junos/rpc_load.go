package junos

import (
	"context"
	"slices"
)

// A loaded is what one load did.
type loaded struct {
	missing []string // deleted but not there
	errs    []*loadError
}

func (s *session) loadConfiguration(_ context.Context, request *element, w *writer) error {
	change, err := s.change(request)
	if err != nil {
		return err
	}
	result, err := s.editChecked(change)
	if err != nil {
		return err
	}
	w.open("load-configuration-results")
	for _, e := range result.errs {
		w.rpcError(protocolError(e.message, e.bad))
	}
	for _, statement := range result.missing {
		if !s.compliant { // RFC-compliant, ok excludes warnings
			w.rpcError(&rpcError{severity: "warning", message: "statement not found", bad: statement})
		}
	}
	if len(result.errs) > 0 {
		w.number("load-error-count", len(result.errs))
	} else {
		w.empty(s.loadedWell())
	}
	w.close()
	return nil
}

// loadedWell is the element that says that a load succeeded.
func (s *session) loadedWell() string {
	if s.profile.LoadSuccess && !s.compliant {
		return "load-success"
	}
	return "ok"
}

// editChecked runs a change on what is open, but for what the user may not
// change and what faults refuse.
func (s *session) editChecked(change func(*node) loaded) (result loaded, err error) {
	rights := s.device.class(s.user) // not below: the databases are locked there
	err = s.edit(func(tree *node) {
		before := tree.clone()
		result = change(tree)
		if errs := rights.forbidden(before, tree); len(errs) > 0 {
			tree.children = before.children
			result = loaded{errs: errs}
			return
		}
		result.errs = append(result.errs, s.refusals(before, tree)...)
		tree.prune()
	})
	return result, err
}

// change is what a load-configuration does to a tree.
func (s *session) change(request *element) (func(*node) loaded, error) {
	if text := request.attr("rollback"); text != "" {
		return s.rollbackChange(text)
	}
	action, format := request.attr("action"), request.attr("format")
	load, err := loader(request, action, format)
	if err != nil {
		return nil, err
	}
	ephemeral := s.open != nil && s.open.ephemeral
	if err := s.device.lacksAction(action, ephemeral); err != nil {
		return nil, err
	}
	return func(tree *node) loaded {
		target := tree
		if action == "override" || action == "update" {
			target = newTree(tree.def)
		}
		result := load(target)
		if ephemeral {
			result.errs = append(result.errs, target.dropStatic()...)
		}
		if target != tree && len(result.errs) == 0 {
			tree.children = target.children
		}
		return result
	}, nil
}

// lacksAction refuses what the release cannot do in an ephemeral database.
func (d *Device) lacksAction(action string, ephemeral bool) error {
	since, limited := map[string]release{
		"update": ephemeralUpdate, "replace": ephemeralWhole, "override": ephemeralWhole,
	}[action]
	if ephemeral && limited && d.release.before(since) {
		return protocolError("load "+action+" is not supported in the ephemeral configuration database", "action")
	}
	return nil
}

// rollbackChange is a load of an earlier configuration.
func (s *session) rollbackChange(text string) (func(*node) loaded, error) {
	if s.open != nil && s.open.ephemeral {
		return nil, protocolError("rollback is not supported in an ephemeral database", "rollback")
	}
	n, err := rollbackNumber(text)
	if err != nil {
		return nil, err
	}
	earlier, err := s.device.db.rollback(n)
	if err != nil {
		return nil, err
	}
	return func(tree *node) loaded {
		tree.children = earlier.clone().children
		return loaded{}
	}, nil
}

// loader reads the content of a load-configuration.
func loader(request *element, action, format string) (func(*node) loaded, error) {
	if !slices.Contains([]string{"", "merge", "replace", "override", "update", "set"}, action) {
		return nil, protocolError("invalid value for attribute action: "+action, "action")
	}
	content := func(name string) (*element, error) {
		if c := request.child(name); c != nil {
			return c, nil
		}
		return nil, protocolError("syntax error, expecting <"+name+">", "load-configuration")
	}
	switch {
	case action == "set" || request.has("configuration-set"):
		c, err := content("configuration-set")
		return func(n *node) (r loaded) {
			r.missing, r.errs = n.mergeSetLines(c.text)
			return r
		}, err
	case format == "text":
		c, err := content("configuration-text")
		return func(n *node) (r loaded) {
			r.missing, r.errs = n.mergeText(c.text)
			return r
		}, err
	case format == "" || format == "xml":
		c, err := content("configuration")
		return func(n *node) loaded { return n.mergeXML(c, opMerge) }, err
	}
	return nil, protocolError("unsupported format: "+format, "format")
}

// mergeXML merges a configuration element, whose statements have the operation
// unless they name one.
func (n *node) mergeXML(e *element, operation operation) (r loaded) {
	patch := newTree(n.def)
	r.errs = patch.putXML(e)
	if operation != opMerge {
		for _, c := range patch.children {
			if c.op == opMerge {
				c.op = operation
			}
		}
	}
	r.missing = n.merge(patch)
	return r
}

// editConfig is RFC 6241's way to load.
func (s *session) editConfig(_ context.Context, request *element, w *writer) error {
	if !request.child("target").has("candidate") {
		return &rpcError{errorType: "protocol", tag: "operation-not-supported", severity: "error",
			message: "only the candidate can be edited", bad: "target"}
	}
	if request.has("config-text") {
		return protocolError("unsupported format: text", "config-text")
	}
	config := request.child("config").child("configuration")
	if config == nil {
		return protocolError("syntax error, expecting <configuration>", "edit-config")
	}
	operation := opMerge
	if request.value("default-operation") == "replace" {
		operation = opReplace
	}
	result, err := s.editChecked(func(tree *node) loaded { return tree.mergeXML(config, operation) })
	if err != nil {
		return err
	}
	for _, e := range result.errs {
		w.rpcError(protocolError(e.message, e.bad))
	}
	if len(result.errs) == 0 {
		w.empty("ok")
	}
	return nil
}

// dropStatic removes from the tree what an ephemeral database refuses.
func (n *node) dropStatic() (errs []*loadError) {
	n.children = slices.DeleteFunc(n.children, func(c *node) bool {
		if c.def.static {
			errs = append(errs, &loadError{c.def.name, "statement is not supported in the ephemeral configuration database"})
			return true
		}
		errs = append(errs, c.dropStatic()...)
		return false
	})
	n.prune()
	return errs
}
