package junos

import "strings"

// writeStatements writes what is under n as Junos' XML.
func (n *node) writeStatements(w *writer) {
	for _, c := range n.children {
		c.writeXML(w)
	}
}

func (n *node) writeXML(w *writer) {
	var attrs []string
	if n.inactive {
		attrs = []string{"inactive", "inactive"}
	}
	switch n.def.kind {
	case leaf:
		w.leaf(n.def.name, n.value, attrs...)
	case leafList:
		for _, v := range n.values {
			w.leaf(n.def.name, v, attrs...)
		}
	default:
		if n.def.kind == container && len(n.children) == 0 {
			w.empty(n.def.name, attrs...)
			return
		}
		w.open(n.def.name, attrs...)
		if n.def.kind == list {
			key := n.key
			if len(n.def.verbs) > 0 {
				verb, name, _ := strings.Cut(key, " ")
				w.empty(verb)
				key = name
			}
			w.leaf(n.def.key, key)
		}
		n.writeStatements(w)
		w.close()
	}
}

// setLines writes what is under n as set lines.
func (n *node) setLines() string {
	var b strings.Builder
	n.writeSetLines(&b, "set")
	return b.String()
}

func (n *node) writeSetLines(b *strings.Builder, path string) {
	for _, c := range n.children {
		words := path + " " + c.words()
		switch {
		case c.def.kind == leafList:
			for _, v := range c.values {
				b.WriteString(words + " " + quote(v) + "\n")
			}
		case len(c.children) == 0:
			b.WriteString(words + "\n")
		default:
			c.writeSetLines(b, words)
		}
		if c.inactive {
			b.WriteString("deactivate" + strings.TrimPrefix(words, "set") + "\n")
		}
	}
}

// words is the node itself as a set line or curly text spells it, a leaf with
// its value, a leaf-list without.
func (n *node) words() string {
	switch {
	case n.def.kind == leaf && n.def.isPositional:
		return quote(n.value)
	case n.def.kind == leaf:
		return n.def.name + " " + quote(n.value)
	case n.def.kind != list:
		return n.def.name
	}
	key := quote(n.key)
	if verb, name, found := strings.Cut(n.key, " "); found && len(n.def.verbs) > 0 {
		key = verb + " " + quote(name)
	}
	if n.def.hidden {
		return key
	}
	return n.def.name + " " + key
}

// text writes what is under n as curly text, each line after prefix.
func (n *node) text(prefix string) string {
	var b strings.Builder
	for _, c := range n.children {
		c.writeText(&b, prefix, "")
	}
	return b.String()
}

const indent = "    "

func (n *node) writeText(b *strings.Builder, prefix, margin string) {
	head := prefix + margin
	if n.inactive {
		head += "inactive: "
	}
	head += n.words()
	switch {
	case n.def.kind == leafList && len(n.values) == 1:
		b.WriteString(head + " " + quote(n.values[0]) + ";\n")
	case n.def.kind == leafList:
		b.WriteString(head + " [")
		for _, v := range n.values {
			b.WriteString(" " + quote(v))
		}
		b.WriteString(" ];\n")
	case len(n.children) == 0:
		b.WriteString(head + ";\n")
	case n.def.positional != "":
		b.WriteString(head + n.oneLine() + ";\n")
	default:
		b.WriteString(head + " {\n")
		for _, c := range n.children {
			c.writeText(b, prefix, margin+indent)
		}
		b.WriteString(prefix + margin + "}\n")
	}
}

// oneLine is the statements of a container with a positional argument, which
// Junos writes on the container's own line.
func (n *node) oneLine() string {
	var b strings.Builder
	for _, c := range n.children {
		b.WriteString(" " + c.words() + c.oneLine())
	}
	return b.String()
}
