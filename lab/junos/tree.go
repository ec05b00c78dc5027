package junos

import (
	"slices"
	"strings"
)

// A node is one statement of a configuration: what set lines, curly text and
// XML are three spellings of. The zero op merges.
type node struct {
	def      *definition
	key      string   // list: the entry, with its verb in front if it has one: "add NAME"
	value    string   // leaf
	values   []string // leafList
	inactive bool
	children []*node

	op operation // only in a patch, what load-configuration is given
}

// operation is what merging a patch does at a node.
type operation uint8

const (
	opMerge operation = iota
	opDelete
	opReplace
	opActivate
	opDeactivate
)

func newTree(schema *definition) *node { return &node{def: schema} }

// clone copies the tree: the copy shares definitions only.
func (n *node) clone() *node {
	c := *n
	c.values = slices.Clone(n.values)
	c.children = make([]*node, len(n.children))
	for i, child := range n.children {
		c.children[i] = child.clone()
	}
	return &c
}

// same finds in n the statement that m would be merged into, or nil.
func (n *node) same(m *node) *node {
	for _, c := range n.children {
		if c.def.name == m.def.name && c.key == m.key {
			return c
		}
	}
	return nil
}

// ensure is same, or a new statement under n.
func (n *node) ensure(def *definition, key string) *node {
	m := &node{def: def, key: key}
	if existing := n.same(m); existing != nil {
		return existing
	}
	n.children = append(n.children, m)
	return m
}

func (n *node) remove(m *node) {
	n.children = slices.DeleteFunc(n.children, func(c *node) bool { return c == m })
}

// at follows statement names down from n; nil if one is missing or inactive.
// A nil node has no statements, so lookups can be chained.
func (n *node) at(path ...string) *node {
	for _, name := range path {
		if n == nil {
			return nil
		}
		i := slices.IndexFunc(n.children, func(c *node) bool { return c.def.name == name && !c.inactive })
		if i < 0 {
			return nil
		}
		n = n.children[i]
	}
	return n
}

func (n *node) has(path ...string) bool { return n.at(path...) != nil }

// leaf is the value of the leaf at path, "" if there is none.
func (n *node) leaf(path ...string) string {
	if n = n.at(path...); n == nil {
		return ""
	}
	return n.value
}

// list is the active entries of the list called name, in configured order.
func (n *node) list(name string) []*node {
	if n == nil {
		return nil
	}
	var out []*node
	for _, c := range n.children {
		if c.def.name == name && !c.inactive {
			out = append(out, c)
		}
	}
	return out
}

// leaves is the values of the leaf-list called name.
func (n *node) leaves(name string) []string {
	if n = n.at(name); n == nil {
		return nil
	}
	return n.values
}

// entry finds one active entry of a list.
func (n *node) entry(name, key string) *node {
	for _, e := range n.list(name) {
		if e.key == key {
			return e
		}
	}
	return nil
}

// statement is how a banner names the node: "neighbor fe80::1".
func (n *node) statement() string {
	if n.def.kind != list {
		return n.def.name
	}
	if n.def.hidden {
		return quote(n.key)
	}
	return n.def.name + " " + quote(n.key)
}

// merge applies patch to n and returns a warning for each statement that was to
// be deleted and is not there: its path.
func (n *node) merge(patch *node) (missing []string) {
	for _, p := range patch.children {
		missing = append(missing, n.mergeChild(p)...)
	}
	n.prune()
	return missing
}

func (n *node) mergeChild(p *node) []string {
	mine := n.same(p)
	switch p.op {
	case opDelete:
		return n.deleteChild(p, mine)
	case opActivate, opDeactivate:
		if mine == nil {
			return []string{p.statement()}
		}
		mine.inactive = p.op == opDeactivate
		return nil
	case opReplace:
		if mine != nil {
			mine.value, mine.values, mine.children = "", nil, nil
		}
	}
	if mine == nil && !p.adds() {
		return []string{p.statement()} // the way to something deleted is not to be created
	}
	mine = n.ensure(p.def, p.key)
	mine.inactive = mine.inactive || p.inactive
	if p.def.kind == leaf {
		mine.value = p.value
	}
	for _, v := range p.values {
		if !slices.Contains(mine.values, v) {
			mine.values = append(mine.values, v)
		}
	}
	return mine.merge(p)
}

// adds says whether merging the patch would leave anything.
func (n *node) adds() bool {
	if n.op != opMerge && n.op != opReplace {
		return false
	}
	return len(n.children) == 0 || slices.ContainsFunc(n.children, (*node).adds)
}

func (n *node) deleteChild(p, mine *node) []string {
	switch {
	case mine == nil && p.def.kind == list && p.key == "":
		all := len(n.children)
		n.children = slices.DeleteFunc(n.children, func(c *node) bool { return c.def == p.def })
		if len(n.children) < all {
			return nil
		}
		return []string{p.def.name}
	case mine == nil:
		return []string{p.statement()}
	case len(p.values) == 0:
		n.remove(mine)
		return nil
	}
	var missing []string
	for _, v := range p.values {
		i := slices.Index(mine.values, v)
		if i < 0 {
			missing = append(missing, v)
			continue
		}
		mine.values = slices.Delete(mine.values, i, i+1)
	}
	if len(mine.values) == 0 {
		n.remove(mine)
	}
	return missing
}

// prune drops the containers under n that hold nothing and mean nothing.
func (n *node) prune() {
	n.children = slices.DeleteFunc(n.children, func(c *node) bool {
		return c.def.kind == container && !c.def.isFlag() && !c.def.presence && len(c.children) == 0
	})
}

// equal compares two trees; the order of statements counts, as it does for the
// terms of a policy.
func (n *node) equal(m *node) bool {
	return n.def == m.def && n.key == m.key && n.value == m.value && n.inactive == m.inactive &&
		slices.Equal(n.values, m.values) && slices.EqualFunc(n.children, m.children, (*node).equal)
}

// active is a copy of n without what is deactivated.
func (n *node) active() *node {
	c := *n
	c.children = nil
	for _, child := range n.children {
		if !child.inactive {
			c.children = append(c.children, child.active())
		}
	}
	return &c
}

// quote writes a word as a set line needs it.
func quote(word string) string {
	if word == secretData {
		return word // a comment, which says that there is a value
	}
	if word == "" || strings.ContainsAny(word, " \t;{}[]\"#") {
		return `"` + strings.ReplaceAll(strings.ReplaceAll(word, `\`, `\\`), `"`, `\"`) + `"`
	}
	return word
}
