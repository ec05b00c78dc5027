package junos

import "fmt"

// group is what sessions of a BGP group depend on.
type group struct {
	active, internal, peerAS bool
	statements
}

// statements are those at one level of BGP that all sessions below it have.
type statements struct{ extended, inet6, imported, limited, bfd bool }

// read is the group; active says that the levels above it are, and peerAS that there is one there.
func (g bgpGroup) read(active, peerAS bool) group {
	return group{
		active:     active && g.active(),
		internal:   g.Type.set() && g.Type.Text == "internal",
		peerAS:     g.PeerAS.set() || peerAS,
		statements: readStatements(&element{Children: g.Others}),
	}
}

func readStatements(level *element) statements {
	has := func(way ...string) bool { return len(level.at(way...)) > 0 }
	limited := false
	for _, family := range []string{"inet", "inet6"} {
		limited = limited || has("family", family, "unicast", "prefix-limit") || has("family", family, "unicast", "accepted-prefix-limit")
	}
	return statements{
		extended: has("family", "inet", "unicast", "extended-nexthop"),
		inet6:    has("family", "inet6", "unicast"),
		imported: has("import"),
		limited:  limited,
		bfd:      has("bfd-liveness-detection"),
	}
}

// CheckGroup says which statement a group lacks, with the command that mends it, if the sessions with neighbours that
// are added to it can never come up; needsAS says that they have no peer-as of their own. A group without a type is
// external (Junos CLI reference, "type (Protocols BGP)"); link-local peers can be no others ("Configuring EBGP Peering
// Using IPv6 Link-Local Address").
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

// Lack is something that a BGP group does not have, and the commands that mend it.
type Lack struct {
	What string
	Mend []string
	Must bool // no session, or none of use, comes up without
	// Own says that a stanza from the inventory brings its own: the group's is for all others.
	Own bool
}

// Lacks is what a group lacks for sessions with servers, apart from what CheckGroup finds.
func (s Static) Lacks(group string) (all []Lack) {
	g := s.groups[group]
	if !g.active {
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
	// A group that names a family inherits none.
	families := g.extended || g.inet6
	add(g.extended || s.inherited.extended && !families, true, "extended-nexthop is missing: servers get no IPv4 routes (RFC 8950)",
		set+"family inet unicast extended-nexthop")
	add(g.inet6 || s.inherited.inet6 && !families, false, "family inet6 unicast is missing: servers get no IPv6 routes",
		set+"family inet6 unicast")
	own(g.imported || s.inherited.imported || s.noPolicy, "no import policy: Junos accepts every route from every server",
		set+"import POLICY")
	own(g.limited || s.inherited.limited, "no prefix limit: a server may fill the table",
		set+"family inet unicast prefix-limit maximum 16")
	add(g.bfd || s.inherited.bfd, false, "no BFD: a server that dies with its link up is noticed by the hold time",
		set+"bfd-liveness-detection minimum-interval 1000")
	return all
}
