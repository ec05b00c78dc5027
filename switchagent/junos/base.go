package junos

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"lastmile/switchagent/netconf"
)

// Base is the part of the committed static configuration that sessions of servers depend on, which
// is the operator's.
type Base struct {
	groups    map[string]baseGroup
	bgp       baseGroup // what all groups inherit
	noPolicy  bool      // without a policy nothing is accepted: protocols bgp defaults ebgp no-policy
	advertise []string  // interfaces under protocols router-advertisement, active and sending
	native    []string  // interfaces, and ranges of them, whose neighbours Junos discovers by itself
	ranges    []interfaceRange
}

type baseGroup struct {
	extended, inet6, imported, bfd bool
	limited                        int // families with a prefix limit
}

// Base reads it.
func (c *Client) Base(ctx context.Context) (Base, error) {
	b := Base{groups: map[string]baseGroup{}}
	_, err := c.call(ctx, netconf.Call{
		Body: `<get-configuration database="committed" inherit="inherit" format="xml"><configuration><protocols>` +
			`<bgp/><router-advertisement/></protocols><interfaces><interface-range/></interfaces></configuration></get-configuration>`,
		Elements: elements{"configuration": func(decode func(any) error) error {
			var config baseConfiguration
			err := decode(&config)
			config.read(&b)
			return err
		}},
	})
	return b, err
}

type baseConfiguration struct {
	Ranges    []interfaceRange `xml:"interfaces>interface-range"`
	Protocols struct {
		mark
		BGP struct {
			mark
			peerStatements
			NoPolicy leaf `xml:"defaults>ebgp>no-policy>receive"`
			Groups   []struct {
				mark
				peerStatements
				Name      text `xml:"name"`
				Templates []struct {
					mark
					Discovery *struct {
						mark
						Interfaces []baseInterface `xml:"interface"`
					} `xml:"peer-auto-discovery"`
				} `xml:"dynamic-neighbor"`
			} `xml:"group"`
		} `xml:"bgp"`
		RA struct {
			mark
			Interfaces []baseInterface `xml:"interface"`
		} `xml:"router-advertisement"`
	} `xml:"protocols"`
}

type baseInterface struct {
	mark
	Name    text  `xml:"name"`
	Disable *mark `xml:"disable"`
	Passive *mark `xml:"passive-mode"`
}

type peerStatements struct {
	Import []leaf      `xml:"import"`
	BFD    *mark       `xml:"bfd-liveness-detection"`
	Inet   *baseFamily `xml:"family>inet>unicast"`
	Inet6  *baseFamily `xml:"family>inet6>unicast"`
}

type baseFamily struct {
	mark
	Extended *mark `xml:"extended-nexthop"`
	Limit    *mark `xml:"prefix-limit"`
	Accepted *mark `xml:"accepted-prefix-limit"`
}

func on(m *mark) bool { return m != nil && m.active() }

func (p peerStatements) read() (g baseGroup) {
	g.imported = slices.ContainsFunc(p.Import, leaf.set)
	g.bfd = on(p.BFD)
	g.inet6 = p.Inet6 != nil && p.Inet6.active()
	g.extended = p.Inet != nil && p.Inet.active() && on(p.Inet.Extended)
	for _, f := range []*baseFamily{p.Inet, p.Inet6} {
		if f != nil && (on(f.Limit) || on(f.Accepted)) {
			g.limited++
		}
	}
	return g
}

func (c baseConfiguration) read(into *Base) {
	if !c.Protocols.active() {
		return
	}
	into.ranges = append(into.ranges, c.Ranges...)
	bgp := c.Protocols.BGP
	for _, i := range c.Protocols.RA.Interfaces {
		if c.Protocols.RA.active() && i.active() && !on(i.Passive) {
			into.advertise = append(into.advertise, string(i.Name))
		}
	}
	if !bgp.active() {
		return
	}
	into.bgp, into.noPolicy = bgp.read(), strings.HasPrefix(string(bgp.NoPolicy.Text), "reject")
	for _, g := range bgp.Groups {
		if !g.active() {
			continue
		}
		into.groups[string(g.Name)] = g.read()
		for _, t := range g.Templates {
			if !t.active() || t.Discovery == nil || !t.Discovery.active() {
				continue
			}
			for _, i := range t.Discovery.Interfaces {
				if i.active() && !on(i.Disable) {
					into.native = append(into.native, string(i.Name))
				}
			}
		}
	}
}

// Advertises says whether router advertisements are sent on a logical interface; without them, no
// server behind it finds the switch.
func (b Base) Advertises(ifl string) bool {
	ifd, _, _ := strings.Cut(ifl, ".")
	return covered(b.advertise, ifl) || slices.ContainsFunc(b.ranges, func(r interfaceRange) bool {
		return slices.Contains(b.advertise, string(r.Name)) && r.has(ifd)
	})
}

// Discovers says whether Junos discovers BGP neighbours on a logical interface by itself (21.1R1,
// "BGP Auto-Discovered Neighbors", which configures them "by interfaces and interface ranges").
func (b Base) Discovers(ifl string) bool {
	return slices.ContainsFunc(b.native, func(name string) bool { return b.meant(name, ifl) })
}

// Native is the interfaces on which it does.
func (b Base) Native() []string { return slices.Clone(b.native) }

func covered(names []string, ifl string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		matched, _ := path.Match(name, ifl) // a name that is no pattern is compared
		return name == "all" || name == ifl || matched || name+".0" == ifl
	})
}

// Lack is something that a BGP group does not have, and the commands that mend it.
type Lack struct {
	What string
	Mend []string
	Must bool // no session, or none of use, comes up without
	// Own says that a stanza from the inventory brings its own: the group's is for all others.
	Own bool
}

// Lacks is what a group lacks for sessions with servers, apart from what Static.CheckGroup finds.
func (b Base) Lacks(group string) (all []Lack) {
	g, there := b.groups[group]
	if !there {
		return nil
	}
	set := "set protocols bgp group " + group + " "
	add := func(has, must bool, what string, mend ...string) {
		if !has {
			all = append(all, Lack{What: what, Mend: mend, Must: must})
		}
	}
	own := func(has bool, what, mend string) {
		if !has {
			all = append(all, Lack{What: what, Mend: []string{mend}, Own: true})
		}
	}
	inherited := func(own, above, anyFamily bool) bool { return own || above && !anyFamily }
	families := g.extended || g.inet6
	add(inherited(g.extended, b.bgp.extended, families), true, "extended-nexthop is missing: servers get no IPv4 routes (RFC 8950)",
		set+"family inet unicast extended-nexthop")
	add(inherited(g.inet6, b.bgp.inet6, families), false, "family inet6 unicast is missing: servers get no IPv6 routes",
		set+"family inet6 unicast")
	own(g.imported || b.bgp.imported || b.noPolicy, "no import policy: Junos accepts every route from every server",
		set+"import POLICY")
	own(g.limited > 0 || b.bgp.limited > 0, "no prefix limit: a server may fill the table",
		set+"family inet unicast prefix-limit maximum 16")
	add(g.bfd || b.bgp.bfd, false, "no BFD: a server that dies with its link up is noticed by the hold time",
		set+"bfd-liveness-detection minimum-interval 1000")
	return all
}

// Clock is what the switch's clock shows; the zero time if it does not tell.
func (c *Client) Clock(ctx context.Context) (time.Time, error) {
	var now time.Time
	_, err := c.call(ctx, netconf.Call{Body: "<get-system-uptime-information/>", Elements: elements{
		"current-time": func(decode func(any) error) error {
			var current struct {
				Date struct {
					Seconds string `xml:"seconds,attr"`
				} `xml:"date-time"`
			}
			err := decode(&current)
			if s, parseErr := strconv.ParseInt(current.Date.Seconds, 10, 64); parseErr == nil && now.IsZero() {
				now = time.Unix(s, 0)
			}
			return err
		},
	}})
	return now, optional(err)
}

// TryChange finds out whether this user may do what a commit does, without one: it opens the
// database, loads one neighbour and throws it away. Only databases are tried where that is nobody
// else's matter, not the shared candidate. The instance must be known to be configured.
func (c *Client) TryChange(ctx context.Context, o Options, s Stanza) error {
	open := "<open-configuration><private/></open-configuration>"
	switch o.Kind {
	case Shared:
		return nil
	case Ephemeral:
		if err := c.CheckInstance(ctx, o.Instance); err != nil {
			return err
		}
		open = "<open-configuration><ephemeral-instance>" + escape(o.Instance) + "</ephemeral-instance></open-configuration>"
	}
	load, err := Change{Add: []Stanza{s}}.load(LoadMerge, false)
	if err != nil {
		return err
	}
	if _, err := c.call(ctx, netconf.Call{Body: open}); err != nil {
		return fmt.Errorf("opening the database: %w", busy(err))
	}
	if _, err = c.call(ctx, netconf.Call{Body: load}); err != nil {
		err = fmt.Errorf("loading a neighbour: %w", err)
	}
	c.closeAfter(ctx, "<close-configuration/>")
	return err
}
