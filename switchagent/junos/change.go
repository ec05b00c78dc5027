package junos

import (
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
)

// Edit is another content for a stanza that is there.
type Edit struct{ From, To Stanza }

// Change is what one commit does. Every part of it names single neighbours: there is no change of
// a group.
type Change struct {
	Add, Remove []Stanza
	Edit        []Edit
	// From is what the database held when the change was planned. A database that holds
	// anything else by the time of the commit refuses it with ErrChanged.
	From []Stanza
	// Label is unlike that of any other change: a commit log has it.
	Label string
}

// Stanzas is what the change adds, removes and edits, each as it is to be or was.
func (change Change) Stanzas() []Stanza {
	all := slices.Concat(change.Add, change.Remove)
	for _, e := range change.Edit {
		all = append(all, e.To)
	}
	return all
}

// Validate checks each stanza and that no place is changed twice.
func (change Change) Validate() error {
	seen := map[Place]bool{}
	for _, s := range change.Stanzas() {
		if place := s.Place(); seen[place] {
			return fmt.Errorf("stanza %s: group %s is to be changed twice for it", s.name(), s.Group)
		} else {
			seen[place] = true
		}
	}
	for _, s := range change.Add {
		if err := s.Validate(); err != nil {
			return err
		}
	}
	for _, e := range change.Edit {
		if err := e.To.Validate(); err != nil {
			return err
		}
		if e.From.Place() != e.To.Place() {
			return fmt.Errorf("stanza %s: an edit must not move it", e.To.name())
		}
	}
	return nil
}

// Command is one set or delete command of Junos about one neighbour.
type Command struct {
	Stanza Stanza // whose
	Delete bool
	path   string // below the neighbor; empty for all of it
	value  string
}

// String is the command as it would be typed.
func (c Command) String() string {
	verb := "set"
	if c.Delete {
		verb = "delete"
	}
	words := []string{verb, "protocols bgp group", c.Stanza.Group, "neighbor", c.Stanza.name()}
	if c.path != "" {
		words = append(words, c.path)
	}
	if c.value != "" {
		words = append(words, quote(c.value))
	}
	return strings.Join(words, " ")
}

// KeepsSession says whether a session with the neighbour lives through the command.
func (c Command) KeepsSession() bool {
	return c.path != "" && statement{path: c.path}.keepsSession()
}

// quote puts what is more than a word between quotation marks.
func quote(value string) string {
	if value != "" && !strings.ContainsAny(value, " \t\"\\;{}[]#&|<>()'") {
		return value
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
}

// Commands is the change as Junos commands, in the order in which they are typed.
func (change Change) Commands() (all []Command) {
	for _, s := range change.Remove {
		all = append(all, Command{Stanza: s, Delete: true})
	}
	for _, e := range change.Edit {
		old, wanted := e.From.statements(), e.To.statements()
		for _, st := range without(old, wanted) {
			all = append(all, Command{Stanza: e.To, Delete: true, path: st.path})
		}
		for _, st := range wanted {
			if !slices.Contains(old, st) {
				all = append(all, Command{Stanza: e.To, path: st.path, value: st.value})
			}
		}
	}
	for _, s := range change.Add {
		for _, st := range s.statements() {
			all = append(all, Command{Stanza: s, path: st.path, value: st.value})
		}
	}
	return all
}

// without is the statements of old of whose path nothing is wanted any more.
func without(old, wanted []statement) (gone []statement) {
	for _, st := range old {
		if !slices.ContainsFunc(wanted, func(w statement) bool { return w.path == st.path }) {
			gone = append(gone, st)
		}
	}
	return gone
}

// Load is how a change is written for the switch.
type Load string

// The ways to load, which differ in what releases take them and in what becomes of statements in
// an edited stanza that nobody knows about.
const (
	LoadMerge   Load = "merge"   // every release: what is missing is merged, what is too much deleted
	LoadReplace Load = "replace" // 18.1R1: an edited stanza is replaced as a whole
	LoadUpdate  Load = "update"  // 21.1R1: all that the database is to hold; only for one that is the agent's own
)

// element is a piece of configuration in XML.
type element struct {
	XMLName  xml.Name
	Attrs    []xml.Attr `xml:",any,attr"`
	Text     string     `xml:",chardata"`
	Children []*element `xml:",any"`
}

// add appends a child.
func (e *element) add(name, value string) *element {
	child := &element{XMLName: xml.Name{Local: name}, Text: value}
	e.Children = append(e.Children, child)
	return child
}

// at finds the element below, or makes it.
func (e *element) at(names ...string) *element {
	for _, name := range names {
		i := slices.IndexFunc(e.Children, func(c *element) bool { return c.XMLName.Local == name })
		if i < 0 {
			e = e.add(name, "")
		} else {
			e = e.Children[i]
		}
	}
	return e
}

func (e *element) attr(name, value string) {
	e.Attrs = append(e.Attrs, xml.Attr{Name: xml.Name{Local: name}, Value: value})
}

// put adds a statement; containers are shared, and leaves of a list are not.
func (e *element) put(st statement) {
	path := strings.Fields(st.path)
	last := len(path) - 1
	e.at(path[:last]...).add(path[last], st.value)
}

// load is the change as <load-configuration>.
func (change Change) load(how Load) (string, error) {
	if err := change.Validate(); err != nil {
		return "", err
	}
	if how == LoadUpdate {
		if whole := change.result(); len(whole) > 0 { // else there is nothing to send but deletes
			return Change{Add: whole}.render(LoadUpdate)
		}
		how = LoadReplace
	}
	return change.render(how)
}

func (change Change) render(how Load) (string, error) {
	load := &element{XMLName: xml.Name{Local: "load-configuration"}}
	load.attr("action", string(how))
	load.attr("format", "xml")
	bgp := load.at("configuration", "protocols", "bgp")
	groups := map[string]*element{}
	neighbor := func(s Stanza) *element {
		if groups[s.Group] == nil {
			groups[s.Group] = bgp.add("group", "")
			groups[s.Group].add("name", s.Group)
		}
		n := groups[s.Group].add("neighbor", "")
		n.add("name", s.name())
		return n
	}
	for _, s := range change.Remove {
		neighbor(s).attr("delete", "delete")
	}
	for _, e := range change.Edit {
		n := neighbor(e.To)
		if how == LoadReplace {
			n.attr("replace", "replace")
		} else {
			for _, st := range without(e.From.statements(), e.To.statements()) {
				path := strings.Fields(st.path)
				last := len(path) - 1
				n.at(path[:last]...).add(path[last], "").attr("delete", "delete")
			}
		}
		for _, st := range e.To.statements() {
			n.put(st)
		}
	}
	for _, s := range change.Add {
		n := neighbor(s)
		for _, st := range s.statements() {
			n.put(st)
		}
	}
	body, err := xml.Marshal(load)
	return string(body), err
}

// result is what the database holds after the change.
func (change Change) result() (all []Stanza) {
	gone := map[Place]bool{}
	for _, s := range change.Remove {
		gone[s.Place()] = true
	}
	edited := map[Place]Stanza{}
	for _, e := range change.Edit {
		edited[e.To.Place()] = e.To
	}
	for _, s := range change.From {
		if to, ok := edited[s.Place()]; ok {
			s = to
		}
		if !gone[s.Place()] {
			all = append(all, s)
		}
	}
	return append(all, change.Add...)
}
