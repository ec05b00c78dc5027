package junos

import (
	"regexp"
	"slices"
)

// secrets is the statements whose values are passwords and keys. Who may see
// them has the permission "secret" or "secret-control", and who may change them
// the latter, wherever they are: "Access Privilege User Permission Flags
// Overview". That expressions do not stand in for it is assumed.
var secrets = []string{"authentication-key", "encrypted-password"}

// secretWords matches a set line, without its verb, that has a secret.
var secretWords = regexp.MustCompile(`(?:^| )(?:authentication-key|encrypted-password) \S`)

// secretData is what is shown instead.
const secretData = "/* SECRET-DATA */"

func (c *class) seesSecrets() bool {
	return c == nil || c.has("secret") || c.has("secret-control")
}

// shown is a configuration as the session's user may see it.
func (s *session) shown(tree *node) *node {
	if s.device.class(s.user).seesSecrets() {
		return tree
	}
	tree = tree.clone()
	tree.hideSecrets()
	return tree
}

func (n *node) hideSecrets() {
	if n.def.kind == leaf && slices.Contains(secrets, n.def.name) {
		n.value = secretData
	}
	for _, c := range n.children {
		c.hideSecrets()
	}
}
