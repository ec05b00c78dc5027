package junos

import (
	"encoding/xml"
	"slices"
)

// Load is how a change is written for the switch. What it does is the same in each way: what its
// commands say.
type Load string

// The ways to load, which differ in what releases take them.
const (
	LoadMerge   Load = "merge"   // every release: what is too much is deleted, what is missing merged
	LoadReplace Load = "replace" // 18.1R1: what is deleted and made anew is replaced
	// LoadUpdate is all that the database is to hold, from 21.1R1 on, and only for a database that is
	// the agent's own. Of one that holds anything that no Stanza has, it would delete that: then it is
	// LoadReplace.
	LoadUpdate Load = "update"
)

// load is the change as <load-configuration>. alone says that the database holds change.From and
// nothing else.
func (change Change) load(how Load, alone bool) (string, error) {
	if err := change.Validate(); err != nil {
		return "", err
	}
	if how != LoadUpdate {
		return render(change.Commands(), how)
	}
	// Without stanzas there is nothing to send but deletes.
	if whole := change.result(); alone && len(whole) > 0 && !slices.ContainsFunc(whole, Stanza.unseen) {
		all := slices.DeleteFunc(Change{Add: whole}.Commands(), func(c Command) bool { return c.Delete })
		return render(all, LoadUpdate)
	}
	return render(change.Commands(), LoadReplace)
}

// unseen says that not all of a stanza that was read is known, so that it cannot be written again.
func (s Stanza) unseen() bool { return s.Secret.hidden || s.odd != "" || s.Import.odd != "" }

// render writes commands as <load-configuration>: each set and each delete is one element, at the same
// place and in the same order, and there is nothing else. What is deleted and then set again is
// LoadReplace's replace="replace", which means the same ("load-configuration", Junos XML Management
// Protocol Developer Guide).
func render(commands []Command, how Load) (string, error) {
	load := &element{XMLName: xml.Name{Local: "load-configuration"}}
	load.attr("action", string(how))
	load.attr("format", "xml")
	config := load.add("configuration", "")
	for _, c := range commands {
		c.write(config, how)
	}
	body, err := xml.Marshal(load)
	return string(body), err
}

func (c Command) write(config *element, how Load) {
	e, last := config, len(c.way)-1
	for _, h := range c.way[:last] {
		e = e.enter(h, how)
	}
	switch h := c.way[last]; {
	case c.Delete:
		e.entry(h).attr("delete", "delete")
	case c.value != "" || c.secret.Set():
		e.add(h.name, c.value+c.secret.key)
	default:
		e.enter(h, how)
	}
}

// enter finds the element, or makes it. One that was deleted before is made anew behind that, or
// replaced.
func (e *element) enter(h hop, how Load) *element {
	for _, c := range slices.Backward(e.Children) {
		if c.XMLName.Local != h.name || c.key() != h.key {
			continue
		}
		if len(c.Attrs) == 0 || c.Attrs[0].Name.Local != "delete" {
			return c
		}
		if how != LoadReplace {
			break
		}
		c.Attrs = nil
		c.attr("replace", "replace")
		return c
	}
	return e.entry(h)
}

// entry appends an element with nothing but its key.
func (e *element) entry(h hop) *element {
	made := e.add(h.name, "")
	if h.key != "" {
		made.add(h.keyName, h.key)
	}
	return made
}
