package junos

import (
	"context"
	"maps"
	"slices"
	"strings"

	"lastmile/switchagent/netconf"
)

// Static is what of the committed static configuration, which is others', sessions with servers depend on,
// whether or not the routing daemon has read it yet.
type Static struct {
	Stanzas  []Stanza // the link-local neighbours
	Unmarked []Stanza // of these, the ones that are not the agent's: without its mark, or deactivated
	// Places is where all neighbours stand, of whatever family, and those too whose key makes no sense.
	Places    map[Place]bool
	groups    map[string]group
	inherited statements // of all groups
	noPolicy  bool       // without a policy nothing is accepted: protocols bgp defaults ebgp no-policy
	advertise []string   // interfaces under protocols router-advertisement, active and sending
	native    []string   // interfaces, and ranges of them, whose neighbours Junos discovers by itself
	ranges    []interfaceRange
}

// Static reads it.
func (c *Client) Static(ctx context.Context) (Static, error) {
	static := Static{groups: map[string]group{}, Places: map[Place]bool{}}
	var read bgpRead
	_, err := c.call(ctx, netconf.Call{
		Body: `<get-configuration database="committed" inherit="inherit" format="xml"><configuration><protocols>` +
			`<bgp/><router-advertisement/></protocols><interfaces><interface-range/></interfaces></configuration></get-configuration>`,
		Elements: elements{"configuration": func(decode func(any) error) error {
			var config bgpConfiguration
			err := decode(&config)
			config.read(&read)
			static.add(config)
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

// add adds a configuration. A group that is deactivated, at any level, is listed and counts as if it were not there.
func (s *Static) add(c bgpConfiguration) {
	c.places(s.Places)
	for _, interfaces := range (&element{Children: c.Others}).children("interfaces") {
		for _, r := range interfaces.children("interface-range") {
			s.ranges = append(s.ranges, readRange(r))
		}
	}
	bgp, active := c.Protocols.BGP, c.Protocols.active() && c.Protocols.BGP.active()
	for _, g := range bgp.Groups {
		s.groups[string(g.Name)] = g.read(active, bgp.PeerAS.set())
		if active && g.active() {
			s.discovered(&element{Children: g.Others})
		}
	}
	if active {
		level := &element{Children: bgp.Others}
		s.inherited = readStatements(level)
		for _, policy := range level.at("defaults", "ebgp", "no-policy", "receive") {
			s.noPolicy = strings.HasPrefix(policy.text(), "reject")
		}
	}
	if c.Protocols.active() {
		s.advertised(&element{Children: c.Protocols.Others})
	}
}

// advertised adds the interfaces on which router advertisements are sent.
func (s *Static) advertised(protocols *element) {
	for _, i := range protocols.at("router-advertisement", "interface") {
		if len(i.at("passive-mode")) == 0 {
			s.advertise = append(s.advertise, i.key())
		}
	}
}

// discovered adds the interfaces whose neighbours are to be in a group.
func (s *Static) discovered(group *element) {
	for _, i := range group.at("dynamic-neighbor", "peer-auto-discovery", "interface") {
		if len(i.at("disable")) == 0 {
			s.native = append(s.native, i.key())
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
