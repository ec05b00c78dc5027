package junos

import (
	"fmt"
	"strings"
)

// actions renders then: the entry's action and what it sets. A term that
// neither accepts nor rejects lets the route go on.
func (c *chainRenderer) actions(then *node) (action string, sets []string) {
	if then.has("reject") {
		return "deny", nil
	}
	if v := then.leaf("local-preference", "local-preference"); v != "" {
		sets = append(sets, "set local-preference "+v)
	}
	if v := then.leaf("metric", "metric"); v != "" {
		sets = append(sets, "set metric "+v)
	}
	if v := then.leaf("origin"); v != "" {
		sets = append(sets, "set origin "+v)
	}
	if v := then.leaf("as-path-prepend"); v != "" {
		sets = append(sets, "set as-path prepend "+v)
	}
	if v := then.leaf("next-hop", "address"); v != "" {
		sets = append(sets, c.nextHop(v))
	}
	for _, e := range then.list("community") {
		sets = append(sets, c.setCommunity(e.key)...)
	}
	switch {
	case then.has("accept"):
	case then.leaf("next") == "policy":
		sets = append(sets, fmt.Sprintf("on-match goto %d", c.nextPolicy))
	default:
		sets = append(sets, "on-match next")
	}
	return "permit", sets
}

func (c *chainRenderer) nextHop(address string) string {
	if c.family == "inet6" {
		return "set ipv6 next-hop global " + address
	}
	return "set ip next-hop " + address
}

// setCommunity renders "add NAME", "set NAME" or "delete NAME".
func (c *chainRenderer) setCommunity(statement string) []string {
	verb, name, _ := strings.Cut(statement, " ")
	community := c.tree.at("policy-options").entry("community", name)
	if community == nil {
		c.complain("community %s is not defined", name)
		return nil
	}
	members := strings.Join(community.leaves("members"), " ")
	switch verb {
	case "set":
		return []string{"set community " + members}
	case "add":
		return []string{"set community " + members + " additive"}
	}
	if !c.communityList(name) {
		return nil
	}
	return []string{"set comm-list " + frrName(name) + " delete"}
}

// communityList renders a policy-options community, all of whose members a
// route must have.
func (c *chainRenderer) communityList(name string) bool {
	community := c.tree.at("policy-options").entry("community", name)
	if community == nil {
		c.complain("community %s is not defined", name)
		return false
	}
	list := "bgp community-list standard " + frrName(name)
	entry := list + " seq 5 permit " + strings.Join(community.leaves("members"), " ")
	c.putPolicy(list, entry, "no "+entry)
	return true
}
