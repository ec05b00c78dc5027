package junos

import (
	"fmt"
	"strings"
)

// render turns the merged configuration into FRR's, and says what it could not
// turn: the things that a real rpd would only complain about in its log.
func render(tree *node, names interfaceNames) (settings []*setting, complaints []string) {
	r := &renderer{tree: tree, names: names, written: map[string]bool{}}
	r.advertisements()
	r.bgp()
	return r.settings, r.complaints
}

// A renderer collects settings.
type renderer struct {
	tree       *node
	names      interfaceNames
	settings   []*setting
	complaints []string
	written    map[string]bool // policy objects that are there already
}

func (r *renderer) complain(format string, args ...any) {
	r.complaints = append(r.complaints, fmt.Sprintf(format, args...))
}

// advertisements renders protocols router-advertisement for zebra.
func (r *renderer) advertisements() {
	for _, e := range r.tree.at("protocols", "router-advertisement").list("interface") {
		kernel, known := r.names.kernel(e.key)
		if !known {
			r.complain("router-advertisement: interface %s does not exist", e.key)
			continue
		}
		if e.has("passive-mode") {
			continue
		}
		put := func(name, value, undo string) {
			r.settings = append(r.settings, &setting{
				object: "router-advertisement " + e.key, path: "interface " + kernel,
				key: name, text: strings.TrimSpace(name + " " + value), undo: undo,
			})
		}
		put("no ipv6 nd suppress-ra", "", "ipv6 nd suppress-ra")
		// FRR knows one interval, from which it deviates at random; the lifetime
		// must come first, as it may not be shorter than the interval.
		if lifetime := e.leaf("default-lifetime"); lifetime != "" {
			put("ipv6 nd ra-lifetime", lifetime, "no ipv6 nd ra-lifetime")
		}
		if interval := e.leaf("max-advertisement-interval"); interval != "" {
			put("ipv6 nd ra-interval", interval, "no ipv6 nd ra-interval")
		}
		if limit := e.leaf("current-hop-limit"); limit != "" {
			put("ipv6 nd ra-hop-limit", limit, "no ipv6 nd ra-hop-limit")
		}
		if e.has("managed-configuration") {
			put("ipv6 nd managed-config-flag", "", "")
		}
		if e.has("other-stateful-configuration") {
			put("ipv6 nd other-config-flag", "", "")
		}
	}
}
