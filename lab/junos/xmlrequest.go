package junos

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode"
)

// maxDepth bounds the nesting of a request: no statement is that deep.
const maxDepth = 64

// An element is a parsed request. Names are local names: Junos' clients differ
// in their prefixes.
type element struct {
	name     string
	attrs    []xml.Attr
	text     string // of this element alone, trimmed
	children []*element
}

// parseXML reads one document.
func parseXML(message []byte) (*element, error) {
	d := xml.NewDecoder(bytes.NewReader(message))
	root := &element{}
	stack := []*element{root}
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) && len(stack) == 1 && len(root.children) == 1 {
			return root.children[0], nil
		}
		if errors.Is(err, io.EOF) {
			return nil, errors.New("not one XML document")
		}
		if err != nil {
			return nil, err
		}
		top := stack[len(stack)-1]
		switch t := token.(type) {
		case xml.StartElement:
			if len(stack) > maxDepth {
				return nil, errors.New("elements nested too deeply")
			}
			e := &element{name: t.Name.Local, attrs: t.Attr}
			top.children = append(top.children, e)
			stack = append(stack, e)
		case xml.EndElement:
			top.text = strings.TrimSpace(top.text)
			stack = stack[:len(stack)-1]
		case xml.CharData:
			top.text += string(t)
		}
	}
}

func (e *element) attr(name string) string {
	for _, a := range e.attrs {
		if a.Name.Local == name && a.Name.Space != "xmlns" {
			return a.Value
		}
	}
	return ""
}

// unnamed is the name of an element that is in no namespace because of
// xmlns="", "" if there is none.
func (e *element) unnamed() string {
	if slices.ContainsFunc(e.attrs, func(a xml.Attr) bool {
		return a.Name.Space == "" && a.Name.Local == "xmlns" && a.Value == ""
	}) {
		return e.name
	}
	for _, c := range e.children {
		if name := c.unnamed(); name != "" {
			return name
		}
	}
	return ""
}

// child finds the first child called name, or nil. A nil element has none.
func (e *element) child(name string) *element {
	if e == nil {
		return nil
	}
	for _, c := range e.children {
		if c.name == name {
			return c
		}
	}
	return nil
}

// all is the children called name.
func (e *element) all(name string) []*element {
	var out []*element
	if e != nil {
		for _, c := range e.children {
			if c.name == name {
				out = append(out, c)
			}
		}
	}
	return out
}

func (e *element) has(name string) bool { return e.child(name) != nil }

// value is the text of the child called name, "" if there is none.
func (e *element) value(name string) string {
	if c := e.child(name); c != nil {
		return c.text
	}
	return ""
}

// putXML adds the statements inside e to the patch n, and returns those that it
// refuses.
func (n *node) putXML(e *element) (errs []*loadError) {
	for _, c := range e.children {
		d := n.def.child(c.name)
		if d == nil {
			errs = append(errs, syntaxError(c.name))
			continue
		}
		errs = append(errs, n.putElement(d, c)...)
	}
	return errs
}

func (n *node) putElement(d *definition, e *element) []*loadError {
	op, err := elementOperation(e)
	if err != nil {
		return []*loadError{err}
	}
	if strings.ContainsFunc(e.text+e.value(d.key), unicode.IsControl) {
		return []*loadError{{d.name, "invalid character in argument"}}
	}
	m := &node{def: d, op: op, inactive: e.attr("inactive") != ""}
	switch d.kind {
	case leaf, leafList:
		if e.text == "" && op != opDelete {
			return []*loadError{{d.name, "missing argument"}}
		}
		if complaint := d.complaint(e.text); complaint != "" && op != opDelete {
			return []*loadError{{d.name, complaint}}
		}
		return n.putValue(m, e.text)
	case list:
		if m.key, err = entryKey(d, e); err != nil {
			return []*loadError{err}
		}
		if m.key == "" && op != opDelete {
			return []*loadError{{d.name, "missing mandatory element: '" + d.key + "'"}}
		}
		if err := d.badKey(m.key); err != nil {
			return []*loadError{err}
		}
	}
	errs := m.putXML(e.withoutKey(d))
	n.children = append(n.children, m)
	return errs
}

// putValue adds a leaf, or one more value to a leaf-list.
func (n *node) putValue(m *node, text string) []*loadError {
	if m.def.kind == leaf {
		m.value = text
		n.children = append(n.children, m)
		return nil
	}
	if text != "" {
		m.values = []string{text}
	}
	if before := n.same(m); before != nil && before.op == m.op && text != "" {
		before.values = append(before.values, text)
		return nil
	}
	n.children = append(n.children, m)
	return nil
}

// entryKey is the key of the list entry e, "" if it names none.
func entryKey(d *definition, e *element) (string, *loadError) {
	key := e.value(d.key)
	if len(d.verbs) == 0 {
		return key, nil
	}
	for _, verb := range d.verbs {
		if e.has(verb) {
			return verb + " " + key, nil
		}
	}
	return "", syntaxError(d.name)
}

// withoutKey is e without what entryKey read.
func (e *element) withoutKey(d *definition) *element {
	if d.kind != list {
		return e
	}
	rest := *e
	rest.children = nil
	for _, c := range e.children {
		if c.name != d.key && !slices.Contains(d.verbs, c.name) {
			rest.children = append(rest.children, c)
		}
	}
	return &rest
}

// elementOperation reads Junos' own attributes and RFC 6241's.
func elementOperation(e *element) (operation, *loadError) {
	switch {
	case e.attr("delete") == "delete":
		return opDelete, nil
	case e.attr("replace") == "replace":
		return opReplace, nil
	case e.attr("active") == "active":
		return opActivate, nil
	}
	switch op := e.attr("operation"); op {
	case "", "merge", "create", "none":
		return opMerge, nil
	case "delete", "remove":
		return opDelete, nil
	case "replace":
		return opReplace, nil
	default:
		return 0, &loadError{op, "invalid value for attribute operation"}
	}
}
