package junos

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"lastmile/switchagent/netconf"
)

// bgpRead is what was read of a BGP configuration.
type bgpRead struct {
	stanzas []Stanza // the link-local neighbours
	marked  []Stanza // of these, the active ones that carry the mark
	others  []string // names of what else there is
}

// alone says that there is nothing else, and nothing of the stanzas that a Stanza does not hold.
func (read bgpRead) alone() bool {
	return len(read.others) == 0 && !slices.ContainsFunc(read.stanzas, Stanza.unseen)
}

// readBGP reads the link-local BGP neighbours of a configuration. Neighbours of other kinds and
// those inside routing instances are not reported.
func (c *Client) readBGP(ctx context.Context, body string) (read bgpRead, err error) {
	_, err = c.call(ctx, netconf.Call{
		Body: body,
		Elements: elements{"configuration": func(decode func(any) error) error {
			var config bgpConfiguration
			err := decode(&config)
			config.read(&read)
			return err
		}},
	})
	if err != nil {
		return bgpRead{}, err
	}
	return read, nil
}

type bgpConfiguration struct {
	Options struct {
		mark
		All []*element `xml:",any"`
	} `xml:"policy-options"`
	Protocols struct {
		mark
		BGP struct {
			mark
			PeerAS leaf       `xml:"peer-as"`
			Groups []bgpGroup `xml:"group"`
			Others []*element `xml:",any"`
		} `xml:"bgp"`
		Others []*element `xml:",any"`
	} `xml:"protocols"`
	Others []*element `xml:",any"`
}

type bgpGroup struct {
	mark
	Name      text          `xml:"name"`
	Type      leaf          `xml:"type"`
	PeerAS    leaf          `xml:"peer-as"`
	Neighbors []bgpNeighbor `xml:"neighbor"`
	Others    []*element    `xml:",any"`
}

type bgpNeighbor struct {
	mark
	Name        text       `xml:"name"`
	Interface   leaf       `xml:"local-interface"`
	Description leaf       `xml:"description"`
	PeerAS      leaf       `xml:"peer-as"`
	Secret      leaf       `xml:"authentication-key"`
	Import      []leaf     `xml:"import"`
	Family      []*element `xml:"family"`
	Others      []*element `xml:",any"`
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

// ownPolicies returns the agent's policies in force by name, and notes what else
// there is beside them.
func (c bgpConfiguration) ownPolicies(into *bgpRead) map[string][]*element {
	policies := map[string][]*element{}
	for _, e := range c.Options.All {
		if !strings.HasPrefix(e.key(), policyPrefix) {
			into.others = append(into.others, "policy-options "+e.XMLName.Local+" "+e.key())
		} else if c.Options.active() {
			policies[e.key()] = append(policies[e.key()], e)
		}
	}
	return policies
}

func (c bgpConfiguration) read(into *bgpRead) {
	others := func(elements []*element) {
		for _, e := range elements {
			into.others = append(into.others, e.XMLName.Local)
		}
	}
	others(c.Others)
	policies, used := c.ownPolicies(into), map[string]bool{}
	others(c.Protocols.Others)
	others(c.Protocols.BGP.Others)
	above := c.Protocols.active() && c.Protocols.BGP.active()
	if !above || !c.Options.active() {
		into.others = append(into.others, "what is deactivated")
	}
	for _, group := range c.Protocols.BGP.Groups {
		others(group.Others)
		if group.Type.set() || group.PeerAS.set() {
			into.others = append(into.others, "statements of group "+string(group.Name))
		}
		for _, n := range group.Neighbors {
			others(n.Others)
			s, ok := n.stanza(string(group.Name), policies)
			if !ok {
				into.others = append(into.others, "neighbor "+string(n.Name))
				continue
			}
			if s.Import.own {
				used[s.PolicyName()] = true
			}
			if len(n.Family) > 0 && s.Limit == 0 || len(n.Import) > 0 && !s.Import.own || !group.active() || n.inactive() {
				into.others = append(into.others, "statements of neighbor "+string(n.Name))
			}
			into.stanzas = append(into.stanzas, s)
			if s.Marked() && above && group.active() && n.active() {
				into.marked = append(into.marked, s)
			}
		}
	}
	for name := range policies {
		if !used[name] {
			into.others = append(into.others, "policy-options "+name+" of no neighbor")
		}
	}
}

// inactive says that the neighbor, or a statement of it, is deactivated.
func (n bgpNeighbor) inactive() bool {
	leaves := append(slices.Clone(n.Import), n.Interface, n.Description, n.PeerAS, n.Secret)
	return !n.active() || slices.ContainsFunc(leaves, func(l leaf) bool { return !l.active() })
}

func (n bgpNeighbor) stanza(group string, policies map[string][]*element) (Stanza, bool) {
	peer, ok := n.Name.addr()
	if !ok || !peer.Is6() || !peer.IsLinkLocalUnicast() {
		return Stanza{}, false
	}
	if n.Interface.set() { // else the key may hold it, from 20.4R1 on
		peer = peer.WithZone(n.Interface.Text.logical())
	}
	s := Stanza{Group: group, Peer: peer, Key: string(n.Name)}
	if n.Description.set() {
		s.Description = string(n.Description.Text)
	}
	if n.PeerAS.set() {
		as, _ := strconv.ParseUint(string(n.PeerAS.Text), 10, 32) // one that is no number is another than is wanted
		s.PeerAS = uint32(as)
	}
	if n.Secret.set() {
		s.Secret = readSecret(string(n.Secret.Text))
	}
	n.limits(&s)
	n.imports(&s, policies)
	return s, true
}

// limits reads the family statements, if there is a limit in them.
func (n bgpNeighbor) limits(s *Stanza) {
	is := &element{Children: n.Family}
	for _, families := range n.Family {
		for _, family := range []string{"inet", "inet6"} {
			most := families.below(family, "unicast", "prefix-limit", "maximum").text()
			limit, _ := strconv.ParseUint(most, 10, 32)
			s.Limit = max(s.Limit, uint32(limit))
		}
	}
	if s.Limit == 0 {
		return // somebody's own families
	}
	should := &element{}
	for _, st := range limits(s.Limit) {
		Command{way: st.hops(), value: st.value}.write(should, LoadMerge)
	}
	if !slices.Equal(is.lines(""), should.lines("")) {
		s.odd += oddFamily
	}
}

// imports reads the policies. An own one among others is not what it seems: those decide too.
func (n bgpNeighbor) imports(s *Stanza, policies map[string][]*element) {
	own := slices.ContainsFunc(n.Import, func(l leaf) bool { return l.set() && string(l.Text) == s.PolicyName() })
	if !own {
		if len(n.Import) > 0 {
			s.odd += oddImport
		}
		return
	}
	s.Import = s.readImport(policies[s.PolicyName()])
	if len(n.Import) > 1 {
		s.odd += oddImport
	}
}
