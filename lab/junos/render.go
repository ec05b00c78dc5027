package junos

import (
	"fmt"
	"strconv"
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
		put := func(text, undo string) {
			key, _, _ := strings.Cut(text, "\n")
			if undo != "" {
				key = undo
			}
			r.settings = append(r.settings, &setting{
				object: "router-advertisement " + e.key, path: "interface " + kernel,
				key: key, text: text, undo: undo,
			})
		}
		put("no ipv6 nd suppress-ra", "ipv6 nd suppress-ra")
		interval, lifetime := advertisementTimes(e)
		// FRR refuses an interval above the lifetime, which 0 is; so the lifetime
		// steps aside first.
		put(fmt.Sprintf("no ipv6 nd ra-lifetime\nipv6 nd ra-interval %d\nipv6 nd ra-lifetime %d", interval, lifetime),
			"no ipv6 nd ra-lifetime\nno ipv6 nd ra-interval")
		if limit := e.leaf("current-hop-limit"); limit != "" {
			put("ipv6 nd ra-hop-limit "+limit, "no ipv6 nd ra-hop-limit")
		}
		if e.has("managed-configuration") {
			put("ipv6 nd managed-config-flag", "")
		}
		if e.has("other-stateful-configuration") {
			put("ipv6 nd other-config-flag", "")
		}
	}
}

// advertisementTimes is the interval that FRR, which knows only one and
// deviates from it at random, is given, and the lifetime: seconds. Defaults are
// Junos'.
func advertisementTimes(e *node) (interval, lifetime int) {
	interval = 600
	if n, err := strconv.Atoi(e.leaf("max-advertisement-interval")); err == nil {
		interval = n
	}
	lifetime = min(3*interval, 9000)
	if n, err := strconv.Atoi(e.leaf("default-lifetime")); err == nil {
		lifetime = n
	}
	return interval, lifetime
}
