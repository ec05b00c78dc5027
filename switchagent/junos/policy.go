package junos

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Import is what a neighbour may announce. The zero Import says nothing: what the group's policy
// accepts is accepted, and without one Junos accepts everything. All others are a policy of the
// neighbour's own, which rejects all that it does not name.
type Import struct {
	own      bool
	path     string // regular expression for the whole AS path
	prefixes string // in order, with blanks between
	nextHop  bool
	odd      string // of one that was read: what else is in it, or missing
}

// RejectAll accepts nothing.
var RejectAll = Import{own: true}

// Accept accepts exactly these prefixes, no longer and no shorter ones, whose AS path is the first AS
// once or more and behind it any of the others. NextHop also wants the peer's own address as the
// next hop.
func Accept(as []uint32, prefixes []netip.Prefix, nextHop bool) Import {
	if len(prefixes) == 0 || len(as) == 0 {
		return RejectAll
	}
	sorted := slices.Clone(prefixes)
	slices.SortFunc(sorted, netip.Prefix.Compare)
	var words []string
	for _, p := range slices.Compact(sorted) {
		words = append(words, p.String())
	}
	path := strconv.FormatUint(uint64(as[0]), 10) + "+"
	if behind := as[1:]; len(behind) > 0 {
		var names []string
		for _, n := range behind {
			names = append(names, strconv.FormatUint(uint64(n), 10))
		}
		path += " (" + strings.Join(names, "|") + ")*"
	}
	return Import{own: true, path: path, prefixes: strings.Join(words, " "), nextHop: nextHop}
}

// Own says whether the neighbour has a policy of its own.
func (i Import) Own() bool { return i.own }

// SamePath says whether both accept the same AS paths.
func (i Import) SamePath(other Import) bool { return i.path == other.path }

// Prefixes is what is accepted.
func (i Import) Prefixes() (all []netip.Prefix) {
	for _, word := range strings.Fields(i.prefixes) {
		if p, err := netip.ParsePrefix(word); err == nil {
			all = append(all, p)
		}
	}
	return all
}

const (
	maxPrefixes = 4096 // of one neighbour
	maxPath     = 1024
)

var asPath = regexp.MustCompile(`^[1-9][0-9]{0,9}\+( \([1-9][0-9]{0,9}(\|[1-9][0-9]{0,9})*\)\*)?$`)

func (i Import) validate() error {
	words := strings.Fields(i.prefixes)
	switch {
	case i.odd != "":
		return fmt.Errorf("it has an import policy that was read and is not understood: %s", i.odd)
	case !i.own && (i.path != "" || i.prefixes != "" || i.nextHop):
		return fmt.Errorf("it has no import policy, and conditions for one")
	case (len(words) == 0) != (i.path == ""):
		return fmt.Errorf("prefixes without an AS path, or the other way round")
	case i.path != "" && (!asPath.MatchString(i.path) || len(i.path) > maxPath || !asNumbers(i.path)):
		return fmt.Errorf("AS path %q is none of AS+ and AS+ (AS|AS)*", i.path)
	case len(words) > maxPrefixes:
		return fmt.Errorf("it has %d prefixes, %d are allowed", len(words), maxPrefixes)
	case strings.Join(words, " ") != i.prefixes:
		return fmt.Errorf("its prefixes %q are not in order", i.prefixes)
	}
	for _, word := range words {
		p, err := netip.ParsePrefix(word)
		if err != nil {
			return err
		}
		if err := CheckPrefix(p); err != nil {
			return err
		}
	}
	return nil
}

// asNumbers says whether all numbers in a path have at most 32 bits.
func asNumbers(path string) bool {
	for _, word := range strings.FieldsFunc(path, func(r rune) bool { return r < '0' || r > '9' }) {
		if _, err := strconv.ParseUint(word, 10, 32); err != nil {
			return false
		}
	}
	return true
}

// CheckPrefix says why nobody may announce a prefix, whoever it is.
func CheckPrefix(p netip.Prefix) error {
	a := p.Addr()
	switch {
	case !p.IsValid():
		return fmt.Errorf("it is no prefix")
	case p != p.Masked():
		return fmt.Errorf("%s has bits behind its length; %s is meant", p, p.Masked())
	case p.Bits() == 0:
		return fmt.Errorf("%s is the default route, which no server may announce", p)
	case a.Is4In6(), a.IsLinkLocalUnicast(), a.IsMulticast(), a.IsLoopback(), a.IsUnspecified(),
		a.Is4() && a.As4()[0] == 0, a.Is4() && a.As4()[0] == 127, a.Is4() && a.As4()[0] >= 224:
		return fmt.Errorf("%s is no unicast prefix that can be routed", p)
	}
	return nil
}

// node is a piece of configuration.
type node struct {
	name         string
	keyName, key string // of an entry in a list
	value        string
	silent       bool // its name is not typed
	children     []node
}

// policyPrefix begins the names of all policies and AS paths of the agent.
const policyPrefix = "lastmile-"

// PolicyName is the name of the stanza's own policy, and of its AS path: letters, digits and hyphens,
// all that Juniper documents for such names. The hash keeps two stanzas' names apart, and
// apart from whatever an operator calls his.
func (s Stanza) PolicyName() string {
	slug := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, s.Peer.Zone())
	sum := sha256.Sum256([]byte(s.Group + "\x00" + s.Peer.String()))
	return policyPrefix + slug[:min(len(slug), 40)] + "-" + hex.EncodeToString(sum[:8])
}

// policy is the stanza's part of policy-options. The rejection at the end is spelled out: what
// no policy decides on Junos accepts.
func (s Stanza) policy() (all []node) {
	if !s.Import.own {
		return nil
	}
	name := s.PolicyName()
	if s.Import.path != "" {
		all = append(all, node{name: "as-path", keyName: "name", key: name,
			children: []node{{name: "path", value: s.Import.path, silent: true}}})
	}
	var terms []node
	for _, family := range []string{"inet", "inet6"} {
		from := node{name: "from", children: []node{{name: "as-path", value: name}}}
		if s.Import.nextHop {
			from.children = append(from.children, node{name: "next-hop", value: s.Peer.WithZone("").String()})
		}
		conditions := len(from.children)
		for _, p := range s.Import.Prefixes() {
			if p.Addr().Is4() == (family == "inet") {
				from.children = append(from.children, node{name: "route-filter", keyName: "address", key: p.String(), children: []node{{name: "exact"}}})
			}
		}
		if len(from.children) > conditions {
			terms = append(terms, node{name: "term", keyName: "name", key: family,
				children: []node{from, {name: "then", children: []node{{name: "accept"}}}}})
		}
	}
	terms = append(terms, node{name: "then", children: []node{{name: "reject"}}})
	return append(all, node{name: "policy-statement", keyName: "name", key: name, children: terms})
}

func (n node) hop() hop { return hop{n.name, n.keyName, n.key, n.silent} }

// commands is the node as set commands.
func (n node) commands(above []hop) (all []Command) {
	way := append(slices.Clone(above), n.hop())
	if len(n.children) == 0 {
		return []Command{{way: way, value: n.value}}
	}
	for _, child := range n.children {
		all = append(all, child.commands(way)...)
	}
	return all
}

// readImport is the Import that the policy-options hold under a stanza's name.
func (s Stanza) readImport(options []*element) Import {
	i := Import{own: true}
	found := &element{Children: options}
	i.path = found.below("as-path", "path").text()
	for _, term := range found.below("policy-statement").children("term") {
		from := term.below("from")
		i.nextHop = i.nextHop || len(from.children("next-hop")) > 0
		for _, filter := range from.children("route-filter") {
			i.prefixes = strings.TrimSpace(i.prefixes + " " + filter.key())
		}
	}
	s.Import = i
	wanted := &element{}
	for _, n := range s.policy() {
		for _, c := range n.commands(nil) {
			c.write(wanted, LoadMerge)
		}
	}
	if is, should := found.lines(""), wanted.lines(""); !slices.Equal(is, should) {
		i.odd = strings.Join(is, "; ")
		i.odd = "policy-options " + i.odd[:min(len(i.odd), 200)]
	}
	return i
}
