package junos

import (
	"encoding/xml"
	"slices"
	"strings"
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

func (e *element) attr(name, value string) {
	e.Attrs = append(e.Attrs, xml.Attr{Name: xml.Name{Local: name}, Value: value})
}

// below is the first element at the path; nil if there is none, which has neither text nor children.
func (e *element) below(names ...string) *element {
	for _, name := range names {
		all := e.children(name)
		if len(all) == 0 {
			return nil
		}
		e = all[0]
	}
	return e
}

func (e *element) children(name string) (all []*element) {
	if e == nil {
		return nil
	}
	for _, c := range e.Children {
		if c.XMLName.Local == name {
			all = append(all, c)
		}
	}
	return all
}

// at is all elements at the path, of which no part is deactivated.
func (e *element) at(names ...string) (all []*element) {
	for _, c := range e.children(names[0]) {
		switch {
		case c.inactive():
		case len(names) == 1:
			all = append(all, c)
		default:
			all = append(all, c.at(names[1:]...)...)
		}
	}
	return all
}

// inactive is the mark of a deactivated statement.
func (e *element) inactive() bool {
	return slices.ContainsFunc(e.Attrs, func(a xml.Attr) bool { return a.Name.Local == "inactive" })
}

func (e *element) text() string {
	if e == nil {
		return ""
	}
	return strings.TrimSpace(e.Text)
}

// key is the name of an entry in a list.
func (e *element) key() string {
	for _, name := range []string{"name", "address"} {
		if child := e.below(name); child != nil {
			return child.text()
		}
	}
	return ""
}

// lines is all below the element, sorted, a line for each statement. What is deactivated is marked: it does
// nothing on the switch.
func (e *element) lines(above string) (all []string) {
	for _, c := range e.Children {
		name := strings.TrimSpace(above + " " + c.XMLName.Local)
		if c.inactive() {
			name += "(inactive)"
		}
		if key := c.key(); key != "" {
			name += " " + key
		}
		if len(c.Children) == 0 {
			all = append(all, strings.TrimSpace(name+" "+c.text()))
		}
		all = append(all, c.lines(name)...)
	}
	slices.Sort(all)
	return all
}

func escape(s string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(s)) // a strings.Builder takes everything
	return b.String()
}
