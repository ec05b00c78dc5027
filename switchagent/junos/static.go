package junos

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lastmile/switchagent/netconf"
)

// Static is the BGP part of the committed static configuration, which is others'.
type Static struct {
	Stanzas  []Stanza
	Unmarked []Stanza // of these, the ones that are not the agent's: without its mark, or deactivated
	// Places is where all neighbours stand, of whatever family, and those too whose key makes no sense.
	Places map[Place]bool
	groups map[string]group
}

// group is what a session of a group cannot come up without.
type group struct {
	active, internal, peerAS bool
}

// Static reads the link-local BGP neighbours and the groups of the committed static configuration,
// whether or not the routing daemon has read it yet.
func (c *Client) Static(ctx context.Context) (Static, error) {
	static := Static{groups: map[string]group{}, Places: map[Place]bool{}}
	var read bgpRead
	_, err := c.call(ctx, netconf.Call{
		Body: `<get-configuration database="committed" inherit="inherit" format="xml"><configuration><protocols>` +
			`<bgp/></protocols></configuration></get-configuration>`,
		Elements: elements{"configuration": func(decode func(any) error) error {
			var config bgpConfiguration
			err := decode(&config)
			config.read(&read)
			config.groups(static.groups)
			config.places(static.Places)
			return err
		}},
	})
	if err != nil {
		return Static{}, err
	}
	static.Stanzas = read.stanzas
	static.Unmarked = slices.DeleteFunc(slices.Clone(read.stanzas), func(s Stanza) bool { return slices.Contains(read.marked, s) })
	return static, nil
}

// groups adds those of the configuration. What is deactivated, at any level, is listed and counts
// as if it were not there.
func (c bgpConfiguration) groups(into map[string]group) {
	bgp := c.Protocols.BGP
	for _, g := range bgp.Groups {
		into[string(g.Name)] = group{
			active:   c.Protocols.active() && bgp.active() && g.active(),
			internal: g.Type.set() && g.Type.Text == "internal",
			peerAS:   g.PeerAS.set() || bgp.PeerAS.set(),
		}
	}
}

// Foreign is the neighbours that are not the agent's where its own are in the static configuration too:
// the link-local ones, and the places of all.
func (s Static) Foreign() ([]Stanza, map[Place]bool) {
	places := maps.Clone(s.Places)
	for _, ours := range s.Stanzas {
		if !slices.Contains(s.Unmarked, ours) {
			delete(places, ours.Place())
		}
	}
	return s.Unmarked, places
}

// places adds those of the configuration. Of a key that is no address as such, what it begins with may
// be one to the switch.
func (c bgpConfiguration) places(into map[Place]bool) {
	for _, g := range c.Protocols.BGP.Groups {
		for _, n := range g.Neighbors {
			into[Stanza{Group: string(g.Name), Key: string(n.Name)}.Place()] = true
			begin, _, _ := strings.Cut(string(n.Name), "/")
			if addr, ok := text(begin).addr(); ok {
				into[Place{string(g.Name), addr.String()}] = true
			}
		}
	}
}

// CheckGroup says which statement a group lacks (a peer-as only if its neighbours have none of their own), with the command that mends it, if the sessions
// with neighbours that are added to it can never come up. A group without a type is external
// (Junos CLI reference, "type (Protocols BGP)"); link-local peers can be no others ("Configuring
// EBGP Peering Using IPv6 Link-Local Address").
func (s Static) CheckGroup(name string, needsAS bool) error {
	g, found := s.groups[name]
	switch {
	case !found:
		return fmt.Errorf("bgp group %q is not configured, or this user may not see it: set protocols bgp group %s type external, "+
			"set protocols bgp group %s peer-as AS-OF-THE-SERVERS", name, name, name)
	case !g.active:
		return fmt.Errorf("bgp group %q is deactivated: activate protocols bgp group %s, and what is above it", name, name)
	case g.internal:
		return fmt.Errorf("bgp group %q has type internal: set protocols bgp group %s type external", name, name)
	case !g.peerAS && needsAS:
		return fmt.Errorf("bgp group %q has no peer-as: set protocols bgp group %s peer-as AS-OF-THE-SERVERS", name, name)
	}
	return nil
}

// mark is the mark of a deactivated statement.
type mark struct {
	Inactive *string `xml:"inactive,attr"`
}

func (m mark) active() bool { return m.Inactive == nil }

// leaf is a statement with a value.
type leaf struct {
	mark
	Text text `xml:",chardata"`
}

func (l leaf) set() bool { return l.active() && l.Text != "" }
