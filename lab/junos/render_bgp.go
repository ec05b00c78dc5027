package junos

import (
	"net/netip"
	"slices"
	"strings"
)

// families are Junos' families that FRR's sessions carry, and FRR's names.
var families = []struct{ junos, frr string }{{"inet", "ipv4 unicast"}, {"inet6", "ipv6 unicast"}}

// A peer is one neighbor statement with what it inherits.
type peer struct {
	address netip.Addr
	group   *node
	levels  []*node // the neighbor, its group, protocols bgp
}

// find is the innermost statement at path.
func (p *peer) find(path ...string) *node {
	for _, level := range p.levels {
		if n := level.at(path...); n != nil {
			return n
		}
	}
	return nil
}

func (p *peer) leaf(name string) string {
	if n := p.find(name); n != nil {
		return n.value
	}
	return ""
}

func (p *peer) policies(name string) []string {
	if n := p.find(name); n != nil {
		return n.values
	}
	return nil
}

// carries says whether the session has a family: inet alone if none is named.
func (p *peer) carries(family string) bool {
	for _, level := range p.levels {
		if level.has("family") {
			return level.has("family", family, "unicast")
		}
	}
	return family == "inet"
}

func (p *peer) external() bool { return p.leaf("type") != "internal" }

// peersOf lists the neighbors of protocols bgp. The key may be address%interface,
// as since Junos 20.4R1; the interface then is the default local-interface.
func peersOf(bgp *node) (peers []*peer, bad []string) {
	for _, group := range bgp.list("group") {
		for _, n := range group.list("neighbor") {
			address, err := neighborAddress(n.key)
			if err != nil {
				bad = append(bad, n.key)
				continue
			}
			peers = append(peers, &peer{address: address, group: group, levels: []*node{n, group, bgp}})
		}
	}
	return peers, bad
}

// neighborAddress is the address in a neighbor's key, without its interface.
func neighborAddress(key string) (netip.Addr, error) {
	bare, _, _ := strings.Cut(key, "%")
	return netip.ParseAddr(bare)
}

// localInterface is the logical interface a link-local neighbor is on, or "".
func (p *peer) localInterface() string {
	if _, scope, scoped := strings.Cut(p.levels[0].key, "%"); scoped && !p.levels[0].has("local-interface") {
		return scope
	}
	return p.leaf("local-interface")
}

// bgp renders protocols bgp.
func (r *renderer) bgp() {
	bgp := r.tree.at("protocols", "bgp")
	as := r.tree.leaf("routing-options", "autonomous-system", "as-number")
	if bgp == nil || len(bgp.list("group")) == 0 {
		return
	}
	if as == "" {
		r.complain("bgp: no autonomous-system")
		return
	}
	b := &bgpRenderer{renderer: r, path: "router bgp " + as}
	r.settings = append(r.settings,
		&setting{object: "policies", key: "route-map delay", text: "bgp route-map delay-timer 1", undo: "no bgp route-map delay-timer"},
		&setting{object: "bgp", key: "router bgp", text: b.path, root: true})
	b.globals(bgp)
	peers, bad := peersOf(bgp)
	for _, key := range bad {
		r.complain("bgp: neighbor %s is not an address", key)
	}
	seen := map[netip.Addr]bool{}
	for _, p := range peers {
		if seen[p.address] {
			r.complain("bgp: neighbor %s is configured twice", p.address)
			continue
		}
		seen[p.address] = true
		b.peer(p)
	}
}

type bgpRenderer struct {
	*renderer
	path string // "router bgp AS"
}

// globals renders what Junos does by default and what applies to the router.
func (b *bgpRenderer) globals(bgp *node) {
	add := func(path, key, text string) {
		b.settings = append(b.settings, &setting{object: "bgp", path: path, key: key, text: text})
	}
	// Without a policy Junos accepts and advertises every BGP route.
	if strings.HasPrefix(bgp.leaf("defaults", "ebgp", "no-policy", "receive"), "reject") {
		add(b.path, "rfc8212", "bgp ebgp-requires-policy")
	} else {
		add(b.path, "rfc8212", "no bgp ebgp-requires-policy")
	}
	add(b.path, "default family", "no bgp default ipv4-unicast")
	add(b.path, "import check", "no bgp network import-check")
	add(b.path, "coalesce", "coalesce-time 0") // Junos sends what it has at once, FRR would wait a second
	if id := b.tree.leaf("routing-options", "router-id"); id != "" {
		add(b.path, "router-id", "bgp router-id "+id)
		// With the address FRR refuses it the second time.
		b.settings[len(b.settings)-1].undo = "no bgp router-id"
	}
	multipath, relaxed := false, false
	for _, level := range append(bgp.list("group"), bgp) {
		multipath = multipath || level.has("multipath") && !level.has("multipath", "disable")
		relaxed = relaxed || level.has("multipath", "multiple-as")
	}
	if relaxed {
		add(b.path, "relax", "bgp bestpath as-path multipath-relax")
	}
	redistributed := redistributions(b.tree, bgp)
	for _, f := range families {
		path := b.path + "\naddress-family " + f.frr
		if !multipath {
			add(path, "paths", "maximum-paths 1")
		}
		for _, protocol := range redistributed {
			add(path, "redistribute "+protocol.frr, "redistribute "+protocol.frr+" route-map "+b.originMap(protocol))
		}
	}
}

// peer renders one neighbor.
func (b *bgpRenderer) peer(p *peer) {
	n := &neighborRenderer{bgpRenderer: b, peer: p, name: "neighbor " + p.address.String()}
	kernel := ""
	if p.address.IsLinkLocalUnicast() {
		local := p.localInterface()
		if local == "" {
			b.complain("bgp: neighbor %s is link-local and has no local-interface", p.address)
			return
		}
		var known bool
		if kernel, known = b.names.kernel(local); !known {
			b.complain("bgp: neighbor %s: interface %s does not exist", p.address, local)
			return
		}
	}
	remote := p.leaf("peer-as")
	switch {
	case !p.external():
		remote = "internal"
	case remote == "":
		b.complain("bgp: neighbor %s has no peer-as", p.address)
		return
	}
	b.settings = append(b.settings, &setting{
		object: n.name, path: b.path, key: n.name + " remote-as", root: true,
		text: n.name + " remote-as " + remote, undo: "no " + n.name,
	})
	if kernel != "" {
		n.add("interface", kernel)
	}
	n.session()
	for _, f := range families {
		if p.carries(f.junos) {
			n.family(f.junos, f.frr)
		}
	}
}

// A neighborRenderer renders one neighbor's settings.
type neighborRenderer struct {
	*bgpRenderer
	peer *peer
	name string // "neighbor ADDRESS"
}

func (n *neighborRenderer) add(key string, words ...string) {
	n.addTo(n.bgpRenderer.path, key, words...)
}

func (n *neighborRenderer) addTo(path, key string, words ...string) {
	text := strings.Join(append([]string{n.name, key}, words...), " ")
	// A route-map's direction is part of what it replaces.
	if key == "route-map" {
		key += " " + words[1]
	}
	n.settings = append(n.settings, &setting{object: n.name, path: path, key: n.name + " " + key, text: text})
}

// session renders what belongs to the session and not to a family.
func (n *neighborRenderer) session() {
	p := n.peer
	if p.find("family", "inet", "unicast", "extended-nexthop") != nil {
		n.add("capability extended-nexthop")
	}
	if text := p.leaf("description"); text != "" {
		n.add("description", strings.Join(strings.Fields(text), " "))
	}
	hold := p.leaf("hold-time")
	if hold == "" {
		hold = "90" // Junos' default
	}
	n.add("timers", keepalive(hold), hold)
	n.add("timers connect", "5")
	if key := p.leaf("authentication-key"); key != "" {
		n.add("password", key)
	}
	if p.find("passive") != nil {
		n.add("passive")
	}
	if p.find("shutdown") != nil {
		n.add("shutdown")
	}
	if address := p.leaf("local-address"); address != "" {
		n.add("update-source", address)
	}
	if multihop := p.find("multihop"); multihop != nil && p.external() {
		ttl := multihop.leaf("ttl")
		if ttl == "" {
			ttl = "64"
		}
		n.add("ebgp-multihop", ttl)
	} else if p.leaf("ttl") == "255" {
		n.add("ttl-security hops", "1")
	}
	if p.find("enforce-first-as") != nil {
		n.add("enforce-first-as")
	}
	if as := p.find("local-as"); as != nil && as.leaf("as-number") != "" {
		n.add("local-as", as.leaf("as-number"), "no-prepend", "replace-as")
	}
	if bfd := p.find("bfd-liveness-detection"); bfd != nil {
		n.add("bfd", bfdTimers(bfd)...)
		n.settings[len(n.settings)-1].undo = "no " + n.name + " bfd" // FRR refuses it with the times
	}
}

// family renders one address family of the session.
func (n *neighborRenderer) family(junos, frr string) {
	p, path := n.peer, n.path+"\naddress-family "+frr
	n.addTo(path, "activate")
	if loops := n.loops(junos); loops != "" {
		n.addTo(path, "allowas-in", loops)
	}
	if p.find("as-override") != nil {
		n.addTo(path, "as-override")
	}
	if p.find("remove-private") != nil {
		n.addTo(path, "remove-private-AS")
	}
	if p.find("cluster") != nil && !p.external() {
		n.addTo(path, "route-reflector-client")
	}
	exports := p.policies("export")
	if n.setsSelf(exports) {
		n.addTo(path, "next-hop-self")
	}
	for _, limit := range []string{"prefix-limit", "accepted-prefix-limit"} {
		if l := p.find("family", junos, "unicast", limit); l != nil && l.leaf("maximum") != "" {
			words := prefixLimit(l)
			if limit == "prefix-limit" {
				words = append(words, "force") // what the policies reject counts too
			}
			n.addTo(path, "maximum-prefix", words...)
			break
		}
	}
	if imports := p.policies("import"); len(imports) > 0 {
		n.addTo(path, "soft-reconfiguration", "inbound") // Junos keeps what it has rejected
		n.addTo(path, "route-map", n.policyMap(chain{policies: imports, family: junos, way: importing}), "in")
	}
	out := chain{policies: exports, family: junos, way: exporting}
	if p.external() && p.find("advertise-peer-as") == nil {
		out.except = p.leaf("peer-as")
	}
	n.addTo(path, "route-map", n.policyMap(out), "out")
}

// loops is how often the own AS may be in the path of a route of the family.
func (n *neighborRenderer) loops(family string) string {
	for _, place := range []*node{
		n.peer.find("family", family, "unicast", "loops"), n.peer.find("local-as"),
		n.tree.at("routing-options", "autonomous-system"),
	} {
		if loops := place.leaf("loops"); loops != "" {
			return loops
		}
	}
	return ""
}

func (n *neighborRenderer) setsSelf(policies []string) bool {
	return slices.ContainsFunc(policies, func(name string) bool {
		policy := n.tree.at("policy-options").entry("policy-statement", name)
		if policy == nil {
			return false
		}
		return slices.ContainsFunc(append(policy.list("term"), policy), func(t *node) bool {
			return t.has("then", "next-hop", "self")
		})
	})
}
