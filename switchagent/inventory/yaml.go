package inventory

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxDepth is how deep the text may be nested: a list of mappings with lists has three. The time and memory
// that the library takes for nested brackets grow with their square.
const maxDepth = 64

// single are the columns that hold one value.
var single = []string{"port", "server", "key_file"}

// yaml reads a list of mappings, one for each port, whose keys are the columns. What there are several of is
// a list; one alone may stand without.
func (p *reader) yaml(text []byte) error {
	if depth(text) > maxDepth { // the library would go down as deep
		return fmt.Errorf("%s: it is nested deeper, or indented further, than %d", p.file, maxDepth)
	}
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return p.yamlSyntax(err)
	}
	if len(file.Docs) > 1 {
		return p.wrong(file.Docs[1].Body, "a second YAML document; only one is allowed")
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		return nil
	}
	list, ok := file.Docs[0].Body.(*ast.SequenceNode)
	if !ok {
		return p.wrong(file.Docs[0].Body, "a list of ports is wanted, each with "+strings.Join(needed, ", "))
	}
	for _, n := range list.Values {
		if err := p.port(n); err != nil {
			return err
		}
	}
	return nil
}

// port reads one item of the list.
func (p *reader) port(n ast.Node) error {
	m, ok := n.(ast.MapNode)
	if !ok {
		return p.wrong(n, "a mapping is wanted; allowed keys: "+strings.Join(known, ", "))
	}
	r := record{place(n), map[string]cell{}}
	for it := m.MapRange(); it.Next(); {
		key := place(it.Key())
		if len(r.cells) == 0 {
			r.word = key // the token of a mapping is its first colon
		}
		if !slices.Contains(known, key.text) {
			p.report(key, "", "%q is no key; allowed: %s", key.text, strings.Join(known, ", "))
			continue
		}
		c, err := p.values(it.Value(), key)
		if err != nil {
			return err
		}
		if slices.Contains(single, key.text) && len(c.words) > 1 {
			p.report(c.word, key.text, "one value is wanted, not %d", len(c.words))
		}
		r.cells[key.text] = c
	}
	return p.add(r)
}

// values is a value, or a list of them.
func (p *reader) values(n ast.Node, key word) (cell, error) {
	if n == nil || n.Type() == ast.NullType {
		return cell{word: word{"", key.line, key.column}}, nil
	}
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		w, err := p.scalar(n, key)
		return cell{w, []word{w}}, err
	}
	c := cell{word: place(n)}
	for _, value := range list.Values {
		w, err := p.scalar(value, key)
		if err != nil {
			return c, err
		}
		c.words = append(c.words, w)
		c.text = w.text
	}
	return c, nil
}

func (p *reader) scalar(n ast.Node, key word) (word, error) {
	if !slices.Contains([]ast.NodeType{ast.StringType, ast.IntegerType, ast.FloatType, ast.BoolType}, n.Type()) {
		return word{}, p.wrong(n, key.text+": a value or a list of values is wanted, such as [a, b]")
	}
	return place(n), nil
}

// place is a node's text as it is written, and where that is.
func place(n ast.Node) word {
	t := n.GetToken()
	return word{t.Value, t.Position.Line, t.Position.Column}
}

func (p *reader) wrong(n ast.Node, what string) error {
	if n == nil {
		return fmt.Errorf("%s: %s", p.file, what)
	}
	at := place(n)
	return fmt.Errorf("%s:%d:%d: %s", p.file, at.line, at.column, what)
}

func (p *reader) yamlSyntax(err error) error {
	if e, ok := errors.AsType[yaml.Error](err); ok && e.GetToken() != nil {
		at := e.GetToken().Position
		return fmt.Errorf("%s:%d:%d: %s", p.file, at.Line, at.Column, e.GetMessage())
	}
	return fmt.Errorf("%s: %w", p.file, err)
}

// depth is how deep the text may be nested, as far as can be told without reading it: by brackets, and by
// what a line begins with. It is rather too much than too little: brackets in quotation marks count.
func depth(text []byte) (most int) {
	open := 0
	for line := range strings.Lines(string(text)) {
		most = max(most, len(line)-len(strings.TrimLeft(line, " \t-?")))
		if code, _, found := strings.Cut(line, "#"); found && !strings.ContainsAny(code, `"'`) && (code == "" || strings.HasSuffix(code, " ")) {
			line = code
		}
		for _, r := range line {
			switch r {
			case '[', '{':
				open++
				most = max(most, open)
			case ']', '}':
				open = max(open-1, 0)
			}
		}
	}
	return most
}
