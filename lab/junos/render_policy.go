package junos

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// direction is which way a chain of policies is applied: it decides what
// happens to a route that no policy decides on.
type direction string

const (
	importing direction = "in"  // by default everything is accepted
	exporting direction = "out" // by default BGP routes are advertised, nothing else
)

// An origin is a protocol whose routes a policy can export into BGP. FRR
// redistributes them with a tag, by which the policies tell them apart.
type origin struct{ junos, frr, tag string }

var origins = []origin{{"direct", "connected", "1"}, {"static", "static", "2"}}

// redistributions is the origins that some export policy asks for.
func redistributions(tree, bgp *node) []origin {
	var out []origin
	for _, o := range origins {
		if slices.ContainsFunc(exportPolicies(bgp), func(name string) bool {
			policy := tree.at("policy-options").entry("policy-statement", name)
			return slices.ContainsFunc(termsOf(policy), func(t *node) bool {
				return slices.Contains(t.at("from").leaves("protocol"), o.junos)
			})
		}) {
			out = append(out, o)
		}
	}
	return out
}

// exportPolicies names every policy that any level of bgp exports through.
func exportPolicies(bgp *node) []string {
	names := slices.Clone(bgp.leaves("export"))
	for _, group := range bgp.list("group") {
		names = append(names, group.leaves("export")...)
		for _, n := range group.list("neighbor") {
			names = append(names, n.leaves("export")...)
		}
	}
	return names
}

// termsOf is a policy's terms; from and then outside of any are the last one.
func termsOf(policy *node) []*node {
	if policy == nil {
		return nil
	}
	terms := policy.list("term")
	if policy.has("from") || policy.has("then") {
		terms = append(terms, policy)
	}
	return terms
}

// putPolicy adds an object that policies are made of, unless it is there.
func (r *renderer) putPolicy(name, text, undo string) {
	if r.written[name] {
		return
	}
	r.written[name] = true
	r.settings = append(r.settings, &setting{
		object: name, key: name, text: text, undo: undo, policy: true, whole: true,
	})
}

// originMap is the route-map that redistribution goes through.
func (r *renderer) originMap(o origin) string {
	name := "ORIGIN-" + o.junos
	head := "route-map " + name + " permit 10"
	r.putPolicy(head, head+"\nset tag "+o.tag+"\nexit", "no "+head)
	return name
}

// pathList renders a list of AS paths and returns its name.
func (r *renderer) pathList(name, expression string) string {
	list := "bgp as-path access-list " + frrName(name)
	entry := list + " seq 5 permit " + expression
	r.putPolicy(list, entry, "no "+entry)
	return frrName(name)
}

// matchLearned matches routes heard from a peer. In a network of external
// sessions only own routes have an empty path; outbound policies see the path
// before the own AS is put on it.
func (r *renderer) matchLearned() []string {
	return []string{"match as-path " + r.pathList("LEARNED", "[0-9]")}
}

// A chain is what one session imports or exports a family through.
type chain struct {
	policies []string
	family   string // Junos' name
	way      direction
	// except is an AS whose routes are not sent: without advertise-peer-as, the
	// peer's. FRR's sender-as-path-loop-detection does the same, but not for all
	// of the peers that share an update group.
	except string
}

func (c chain) name() string {
	words := append(slices.Clone(c.policies), string(c.way), c.family)
	if c.except != "" {
		words = append(words, "not", c.except)
	}
	return frrName(words...)
}

// policyMap renders a chain of policies as a route-map, and returns its name.
func (r *renderer) policyMap(chain chain) string {
	c := &chainRenderer{renderer: r, family: chain.family, name: chain.name()}
	if r.written["route-map "+c.name] {
		return c.name
	}
	r.written["route-map "+c.name] = true
	if chain.except != "" {
		c.seq = 1
		c.entry("deny", []string{"match as-path " + r.pathList("AS-"+chain.except, "_"+chain.except+"_")}, nil)
	}
	next := policyStride
	for _, name := range chain.policies {
		policy := r.tree.at("policy-options").entry("policy-statement", name)
		if policy == nil {
			r.complain("policy %s is not defined", name)
			continue
		}
		c.seq, next = next, next+policyStride
		c.nextPolicy = next
		for _, t := range termsOf(policy) {
			c.term(t)
		}
	}
	c.seq = next
	if chain.way == importing {
		c.entry("permit", nil, nil)
	} else {
		c.entry("permit", r.matchLearned(), nil)
	}
	return c.name
}

// frrName joins words to a name that FRR reads as one word.
func frrName(words ...string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' || strings.ContainsRune(`"|#`, r) {
			return '_'
		}
		return r
	}, strings.Join(words, ":"))
}

// policyStride is how far the entries of one policy of a chain are from those
// of the next, which "next policy" jumps to.
const policyStride = 1000

// A chainRenderer writes the entries of one route-map.
type chainRenderer struct {
	*renderer
	name, family string
	seq          int // of the next entry
	nextPolicy   int // where "next policy" goes
}

// entry writes one entry. FRR knows it by its number alone: undoing "permit 1000" takes a "deny 1000" away,
// and setting one keeps the other's conditions. So an entry with another action replaces it.
func (c *chainRenderer) entry(action string, matches, sets []string) {
	head := fmt.Sprintf("route-map %s %s %d", c.name, action, c.seq)
	lines := append([]string{head}, matches...)
	lines = append(append(lines, sets...), "exit")
	c.putPolicy(fmt.Sprintf("route-map %s %d", c.name, c.seq), strings.Join(lines, "\n"), "no "+head)
	c.seq++
}

// term renders one term: an entry for every protocol and community that it
// names, since the conditions of an entry must all hold and these are
// alternatives.
func (c *chainRenderer) term(t *node) {
	from := t.at("from")
	if f := from.leaf("family"); f != "" && f != c.family {
		return
	}
	prefixes, possible := c.prefixes(from)
	if !possible {
		return
	}
	action, sets := c.actions(t.at("then"))
	for _, protocol := range c.protocols(from) {
		for _, community := range c.communities(from) {
			for _, path := range c.asPaths(from) {
				for _, hop := range nextHops(from) {
					c.entry(action, slices.Concat(protocol, prefixes, community, path, hop), sets)
				}
			}
		}
	}
}

// protocols is how entries recognise the protocols that from names; any route
// if it names none.
func (c *chainRenderer) protocols(from *node) (alternatives [][]string) {
	if !from.has("protocol") {
		return [][]string{nil}
	}
	for _, name := range from.leaves("protocol") {
		if name == "bgp" {
			alternatives = append(alternatives, c.matchLearned())
		}
		for _, o := range origins {
			if o.junos == name {
				alternatives = append(alternatives, []string{"match tag " + o.tag})
			}
		}
	}
	return alternatives
}

// communities is the same for the communities that from names.
func (c *chainRenderer) communities(from *node) (alternatives [][]string) {
	if !from.has("community") {
		return [][]string{nil}
	}
	for _, name := range from.leaves("community") {
		if c.communityList(name) {
			alternatives = append(alternatives, []string{"match community " + frrName(name)})
		}
	}
	return alternatives
}

// asPaths is the same for the AS paths that from names.
func (c *chainRenderer) asPaths(from *node) (alternatives [][]string) {
	if !from.has("as-path") {
		return [][]string{nil}
	}
	for _, name := range from.leaves("as-path") {
		object := c.tree.at("policy-options").entry("as-path", name)
		expression, err := pathExpression(object.leaf("path"))
		if object == nil || err != nil {
			c.complain("as-path %s is not defined, or not understood: %v", name, err)
			continue
		}
		alternatives = append(alternatives, []string{"match as-path " + c.pathList(name, expression)})
	}
	return alternatives
}

// nextHops is the same for next hops. FRR matches those of either family so if they are IPv6.
func nextHops(from *node) (alternatives [][]string) {
	if !from.has("next-hop") {
		return [][]string{nil}
	}
	for _, hop := range from.leaves("next-hop") {
		alternatives = append(alternatives, []string{"match ipv6 next-hop address " + hop})
	}
	return alternatives
}

var pathTokens = regexp.MustCompile(`^(?:[0-9]+|[.()|*+?^$]|\{[0-9]+(?:,[0-9]*)?\}|\s+)`)

// pathExpression turns Junos' regular expression for an AS path, whose letters are whole AS numbers and which
// must match the whole path ("Understanding AS Path Regular Expressions"), into FRR's, which is
// one for its text.
func pathExpression(junos string) (string, error) {
	var out strings.Builder
	for rest := junos; rest != ""; {
		token := pathTokens.FindString(rest)
		if token == "" {
			return "", fmt.Errorf("AS path expression %q: %q", junos, rest)
		}
		rest = rest[len(token):]
		switch {
		case token[0] >= '0' && token[0] <= '9':
			out.WriteString("(_" + token + ")") // and no blank: vtysh takes "| " for a pipe
		case token == ".":
			out.WriteString("(_[0-9]+)")
		case token == "^", token == "$", strings.TrimSpace(token) == "":
		default:
			out.WriteString(token)
		}
	}
	if out.Len() == 0 {
		return "", fmt.Errorf("AS path expression %q is empty", junos)
	}
	return "^(" + out.String() + ")$", nil
}

// prefixes renders the prefixes that from names. A term that names some of the
// other family only can never match.
func (c *chainRenderer) prefixes(from *node) (matches []string, possible bool) {
	entries, filtered := c.filters(from)
	if !filtered {
		return nil, true
	}
	if len(entries) == 0 {
		return nil, false
	}
	ip := map[string]string{"inet": "ip", "inet6": "ipv6"}[c.family]
	name := c.name + ":" + strconv.Itoa(c.seq)
	object := ip + " prefix-list " + name
	var lines []string
	for i, e := range entries {
		lines = append(lines, fmt.Sprintf("%s seq %d permit %s", object, 5*(i+1), e))
	}
	c.putPolicy(object, strings.Join(lines, "\n"), "no "+object)
	return []string{fmt.Sprintf("match %s address prefix-list %s", ip, name)}, true
}

// filters is the prefixes that from names, of this family, as FRR writes them.
func (c *chainRenderer) filters(from *node) (entries []string, filtered bool) {
	add := func(prefix string, match *node) {
		filtered = true
		p, err := netip.ParsePrefix(prefix)
		if err != nil || p.Addr().Is4() != (c.family == "inet") {
			return
		}
		entries = append(entries, prefixMatch(p.Masked(), match))
	}
	for _, f := range from.list("route-filter") {
		add(f.key, f)
	}
	for _, kind := range []string{"prefix-list", "prefix-list-filter"} {
		for _, use := range from.list(kind) {
			filtered = true
			list := c.tree.at("policy-options").entry("prefix-list", use.key)
			for _, item := range list.list("prefix-list-item") {
				add(item.key, use)
			}
		}
	}
	return entries, filtered
}

// prefixMatch writes a prefix with FRR's bounds on the length, which is exact if
// match holds no word about it.
func prefixMatch(p netip.Prefix, match *node) string {
	length, most := p.Bits(), p.Addr().BitLen()
	low, high := length, length
	switch {
	case match.has("orlonger"):
		high = most
	case match.has("longer"):
		low, high = length+1, most
	case match.has("upto"):
		high, _ = strconv.Atoi(strings.TrimPrefix(match.leaf("upto"), "/"))
	case match.has("prefix-length-range"):
		from, to, _ := strings.Cut(match.leaf("prefix-length-range"), "-")
		low, _ = strconv.Atoi(strings.TrimPrefix(from, "/"))
		high, _ = strconv.Atoi(strings.TrimPrefix(to, "/"))
	}
	out := p.String()
	if low > length {
		out += fmt.Sprintf(" ge %d", low)
	}
	if high > length {
		out += fmt.Sprintf(" le %d", min(high, most))
	}
	return out
}
