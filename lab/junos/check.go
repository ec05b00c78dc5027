package junos

import "fmt"

// check is the part of a commit check that concerns what the device does with
// a configuration. It is done for the static configuration only: in an
// ephemeral database Junos checks nothing but syntax.
func check(tree *node) (errs []*rpcError) {
	tree = tree.active()
	bgp := tree.at("protocols", "bgp")
	peers, bad := peersOf(bgp)
	for _, key := range bad {
		errs = append(errs, invalid("[edit protocols bgp]", "neighbor "+key, "invalid ip address: "+key))
	}
	if len(peers) > 0 && tree.leaf("routing-options", "autonomous-system", "as-number") == "" {
		errs = append(errs, invalid("[edit protocols]", "bgp",
			"Error in BGP: autonomous-system must be configured under routing-options"))
	}
	for _, p := range peers {
		if err := checkPeer(p); err != nil {
			errs = append(errs, err)
		}
	}
	return append(errs, checkPolicies(tree, bgp)...)
}

func checkPeer(p *peer) *rpcError {
	path, bad := "[edit protocols bgp group "+p.group.key+"]", "neighbor "+p.levels[0].key
	if p.external() && p.leaf("peer-as") == "" {
		return invalid(path, bad, fmt.Sprintf(
			"Error in neighbor %s of group %s:\npeer AS number must be configured for an external peer", p.levels[0].key, p.group.key))
	}
	if p.address.IsLinkLocalUnicast() && p.localInterface() == "" {
		return invalid(path, bad, fmt.Sprintf(
			"Error in neighbor %s of group %s:\nlocal-interface must be configured for a link-local address", p.levels[0].key, p.group.key))
	}
	return nil
}

func checkPolicies(tree, bgp *node) (errs []*rpcError) {
	known := tree.at("policy-options")
	use := func(n *node, path string) {
		for _, way := range []string{"import", "export"} {
			for _, name := range n.leaves(way) {
				if known.entry("policy-statement", name) == nil {
					errs = append(errs, invalid(path, way, fmt.Sprintf(
						"Policy error: Policy %s referenced but not defined", name)))
				}
			}
		}
	}
	use(bgp, "[edit protocols bgp]")
	for _, group := range bgp.list("group") {
		path := "[edit protocols bgp group " + group.key
		use(group, path+"]")
		for _, n := range group.list("neighbor") {
			use(n, path+" neighbor "+n.key+"]")
		}
	}
	return errs
}

func invalid(path, bad, message string) *rpcError {
	return &rpcError{
		errorType: "application", tag: "invalid-value", severity: "error",
		daemon: "rpd", path: path, bad: bad, message: message,
	}
}
