package junos

import (
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

//go:embed schema.txt
var schemaText string

// kind is how a statement is written in set lines and in XML.
type kind uint8

const (
	container kind = iota // holds statements; without any in the schema, a flag
	leaf                  // one value
	leafList              // several values, each an XML element of its own
	list                  // entries told apart by a key
)

// A definition is one statement of the schema.
type definition struct {
	name         string
	kind         kind
	key          string   // list: the XML element that holds the key
	verbs        []string // list: words before the key, empty elements in XML
	positional   string   // container: the leaf whose name set lines leave out
	isPositional bool     // leaf: the one its parent names
	values       string   // leaf, leafList: what is allowed, in the notation of schema.txt
	hidden       bool     // list: set lines leave its name out
	presence     bool     // an empty container means something
	static       bool     // refused in an ephemeral database
	since        release  // unknown to older releases
	address      bool     // list: the key is an address
	bareKeys     bool     // of an address: without an interface
	children     []*definition
}

// newSchema parses schema.txt into the definition of the configuration's root,
// as the release has it.
func newSchema(r release) *definition {
	root, err := parseSchema(schemaText)
	if err != nil {
		panic(err) // embedded text: only a programmer can get this wrong
	}
	root.restrict(r)
	return root
}

// restrict removes what the release does not know yet.
func (d *definition) restrict(r release) {
	d.bareKeys = d.address && r.before(scopedKeys)
	d.children = slices.DeleteFunc(d.children, func(c *definition) bool { return r.before(c.since) })
	for _, c := range d.children {
		c.restrict(r)
	}
}

// badKey is what Junos says of a key that the list cannot have, or nil.
func (d *definition) badKey(key string) *loadError {
	if d.bareKeys && strings.Contains(key, "%") {
		return &loadError{key, "invalid ip address or hostname: " + key}
	}
	return nil
}

func parseSchema(text string) (*definition, error) {
	root := &definition{name: "configuration"}
	defines := map[string]*definition{}
	stack := []*definition{root} // stack[d]: the last statement at depth d
	for i, line := range strings.Split(text, "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		depth := len(line) - len(strings.TrimLeft(line, "\t"))
		if depth >= len(stack) {
			return nil, fmt.Errorf("schema line %d: depth %d under %q", i+1, depth, stack[len(stack)-1].name)
		}
		parent := stack[depth]
		switch words[0] {
		case "define":
			parent = &definition{name: words[1]}
			defines[words[1]] = parent
			stack = append(stack[:1], parent)
			continue
		case "use":
			// The define may be longer than what was read so far.
			parent.children = append(parent.children, &definition{name: "use " + words[1]})
			continue
		}
		d, err := parseDefinition(words)
		if err != nil {
			return nil, fmt.Errorf("schema line %d: %w", i+1, err)
		}
		d.isPositional = d.name == parent.positional
		parent.children = append(parent.children, d)
		stack = append(stack[:depth+1], d)
	}
	root.include(defines)
	return root, nil
}

// include replaces every "use" under d by the statements it stands for, which
// are shared, not copied.
func (d *definition) include(defines map[string]*definition) {
	var out []*definition
	for _, c := range d.children {
		name, isUse := strings.CutPrefix(c.name, "use ")
		if !isUse {
			c.include(defines)
			out = append(out, c)
			continue
		}
		defines[name].include(defines)
		out = append(out, defines[name].children...)
	}
	d.children = out
}

func parseDefinition(words []string) (*definition, error) {
	d := &definition{name: words[0]}
	for _, w := range words[1:] {
		switch {
		case strings.HasPrefix(w, "[]="):
			d.kind, d.values = leafList, w[3:]
		case strings.HasPrefix(w, "="):
			d.kind, d.values = leaf, w[1:]
		case strings.HasPrefix(w, "*"):
			d.kind, d.key = list, w[1:]
		case strings.HasPrefix(w, "@"):
			d.positional = w[1:]
		case strings.HasPrefix(w, "verb="):
			d.verbs = strings.Split(w[5:], "|")
		case w == "hidden":
			d.hidden = true
		case w == "presence":
			d.presence = true
		case w == "static":
			d.static = true
		case w == "address":
			d.address = true
		case strings.HasPrefix(w, "since="):
			var err error
			if d.since, err = parseRelease(w[6:]); err != nil {
				return nil, fmt.Errorf("%s: %w", words[0], err)
			}
		default:
			return nil, fmt.Errorf("%s: unknown word %q", words[0], w)
		}
	}
	return d, nil
}

// child finds the statement called name under d, or nil.
func (d *definition) child(name string) *definition {
	for _, c := range d.children {
		if c.name == name {
			return c
		}
	}
	return nil
}

// hiddenList is the list whose entries follow d's name directly, or nil.
func (d *definition) hiddenList() *definition {
	for _, c := range d.children {
		if c.hidden {
			return c
		}
	}
	return nil
}

// isFlag says that the statement is only ever present or absent.
func (d *definition) isFlag() bool { return d.kind == container && len(d.children) == 0 }

// complaint is what Junos says of a value that the type in the schema does not
// allow, and "" of one that it does.
func (d *definition) complaint(value string) string {
	low, high, isRange := strings.Cut(d.values, "..")
	if d.values == "" {
		return ""
	}
	if !isRange {
		if slices.Contains(strings.Split(d.values, "|"), value) {
			return ""
		}
		return fmt.Sprintf("invalid value '%s'", value)
	}
	most, _ := strconv.ParseUint(high, 10, 64)
	if low == "" {
		if uint64(len(value)) <= most {
			return ""
		}
		return fmt.Sprintf("Must be a string of %d characters or less", most)
	}
	least, _ := strconv.ParseUint(low, 10, 64)
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		return fmt.Sprintf("Invalid numeric value: '%s'", value)
	}
	if n < least || n > most {
		return fmt.Sprintf("Value %d is not within range (%s)", n, d.values)
	}
	return ""
}
