package junos

import (
	"slices"
	"strings"
)

// loadError is one statement that a load refuses; the rest of the load stays.
type loadError struct {
	bad     string // the word at fault
	message string
}

func (e *loadError) Error() string { return e.message + ": " + e.bad }

func syntaxError(bad string) *loadError { return &loadError{bad, "syntax error"} }

var setVerbs = map[string]operation{
	"set": opMerge, "delete": opDelete, "activate": opActivate, "deactivate": opDeactivate,
}

// mergeSetLines applies lines in set format to n, one after the other, and
// returns the statements that were to be deleted and are not there, and the
// lines that it refuses.
func (n *node) mergeSetLines(lines string) (missing []string, errs []*loadError) {
	for line := range strings.Lines(lines) {
		patch, err := parseSetLine(n.def, line)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		missing = append(missing, n.merge(patch)...)
	}
	return missing, errs
}

// parseSetLine turns one line into a patch; an empty line into an empty one.
func parseSetLine(schema *definition, line string) (*node, *loadError) {
	patch := newTree(schema)
	words, err := tokens(line)
	if err != nil || len(words) == 0 {
		return patch, err
	}
	op, known := setVerbs[words[0]]
	if !known || len(words) == 1 {
		return nil, syntaxError(words[0])
	}
	_, err = patch.put(words[1:], op)
	return patch, err
}

// put adds the statement that words spell to the patch n, marks its last node
// with op and returns that node.
func (n *node) put(words []string, op operation) (*node, *loadError) {
	if len(words) == 0 {
		n.op = op
		return n, nil
	}
	word := words[0]
	if d := n.def.child(word); d != nil && !d.hidden {
		return n.putStatement(d, words[1:], op)
	}
	if d := n.def.child(n.def.positional); d != nil && n.same(&node{def: d}) == nil {
		return n.putLeaf(d, words, op)
	}
	if d := n.def.hiddenList(); d != nil {
		return n.putEntry(d, words, op)
	}
	return nil, syntaxError(word)
}

func (n *node) putStatement(d *definition, rest []string, op operation) (*node, *loadError) {
	switch d.kind {
	case leaf:
		return n.putLeaf(d, rest, op)
	case leafList:
		return n.putLeafList(d, rest, op)
	case list:
		return n.putEntry(d, rest, op)
	}
	m := n.ensure(d, "")
	if d.isFlag() && len(rest) > 0 {
		return n.put(rest, op) // what follows a flag on its line stands beside it
	}
	return m.put(rest, op)
}

func (n *node) putLeaf(d *definition, rest []string, op operation) (*node, *loadError) {
	m := n.ensure(d, "")
	if len(rest) == 0 {
		if op == opMerge {
			return nil, &loadError{d.name, "missing argument"}
		}
		m.op = op
		return m, nil
	}
	if complaint := d.complaint(rest[0]); complaint != "" {
		n.remove(m)
		return nil, &loadError{rest[0], complaint}
	}
	m.value = rest[0]
	if len(rest) > 1 {
		return n.put(rest[1:], op)
	}
	m.op = op
	return m, nil
}

func (n *node) putLeafList(d *definition, rest []string, op operation) (*node, *loadError) {
	if len(rest) == 0 && op == opMerge {
		return nil, &loadError{d.name, "missing argument"}
	}
	m := n.ensure(d, "")
	values := rest
	if len(rest) > 0 && rest[0] == "[" {
		end := slices.Index(rest, "]")
		if end < 0 {
			return nil, syntaxError("[")
		}
		values, rest = rest[1:end], rest[end+1:]
	} else if len(rest) > 0 {
		values, rest = rest[:1], rest[1:]
	}
	for _, v := range values {
		if complaint := d.complaint(v); complaint != "" {
			return nil, &loadError{v, complaint}
		}
		if !slices.Contains(m.values, v) {
			m.values = append(m.values, v)
		}
	}
	if len(rest) > 0 {
		return n.put(rest, op)
	}
	m.op = op
	return m, nil
}

func (n *node) putEntry(d *definition, rest []string, op operation) (*node, *loadError) {
	if len(rest) == 0 {
		if op != opDelete {
			return nil, &loadError{d.name, "missing argument"}
		}
		return n.ensure(d, "").put(nil, op) // every entry
	}
	key := rest[0]
	rest = rest[1:]
	if len(d.verbs) > 0 {
		if !slices.Contains(d.verbs, key) || len(rest) == 0 {
			return nil, syntaxError(key)
		}
		key, rest = key+" "+rest[0], rest[1:]
	}
	if key == "" {
		return nil, syntaxError(d.name)
	}
	if err := d.badKey(key); err != nil {
		return nil, err
	}
	return n.ensure(d, key).put(rest, op)
}

// tokens splits a line of set format or curly text into words; quotes hold
// words together, "#" starts a comment.
func tokens(line string) ([]string, *loadError) {
	var words []string
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimLeft(line, " \t\r\n") {
		switch line[0] {
		case '#':
			return words, nil
		case '[', ']', '{', '}', ';':
			words, line = append(words, line[:1]), line[1:]
		case '"':
			word, rest, ok := quoted(line[1:])
			if !ok {
				return nil, &loadError{line, "missing closing quote"}
			}
			words, line = append(words, word), rest
		default:
			end := strings.IndexAny(line, " \t\r\n;{}[]\"")
			if end < 0 {
				end = len(line)
			}
			words, line = append(words, line[:end]), line[end:]
		}
	}
	return words, nil
}

// quoted reads up to the closing quote.
func quoted(s string) (word, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:], true
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}
