package junos

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// superUser is the class of those whom Config.Users does not give one.
const superUser = "super-user"

func (u *User) className() string {
	if u.Class != "" {
		return u.Class
	}
	return "j-" + superUser
}

// user finds somebody who may log in: one of Config.Users, or of the committed
// configuration, or both, with the keys and the class there.
func (d *Device) user(name string) *User {
	var u *User
	if i := slices.IndexFunc(d.cfg.Users, func(u User) bool { return u.Name == name }); i >= 0 {
		known := d.cfg.Users[i]
		known.AuthorizedKeys = slices.Clone(known.AuthorizedKeys)
		u = &known
	}
	n := d.db.running().at("system", "login").entry("user", name)
	if n == nil {
		return u
	}
	if u == nil {
		u = &User{Name: name}
	}
	u.Class = cmp.Or(u.Class, n.leaf("class"))
	for _, kind := range []string{"ssh-rsa", "ssh-ed25519", "ssh-ecdsa"} {
		for _, e := range n.at("authentication").list(kind) {
			if key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(e.key)); err == nil {
				u.AuthorizedKeys = append(u.AuthorizedKeys, key)
			}
		}
	}
	return u
}

// predefined is the classes that are there without configuration, by what
// they permit.
var predefined = map[string][]string{
	superUser: {"all"}, "operator": {"clear", "network", "reset", "trace", "view"},
	"read-only": {"view"}, "unauthorized": nil,
}

// A class is what a login class of the committed configuration permits.
type class struct {
	permissions     []string
	allow, deny     []*regexp.Regexp // of configuration
	allowed, denied []*regexp.Regexp // of commands
}

// class is the rights of a user; nil for one who may do everything.
func (d *Device) class(u User) *class {
	if u.Class == "" || u.Class == superUser {
		return nil
	}
	if permissions, there := predefined[u.Class]; there {
		return &class{permissions: permissions}
	}
	n := d.db.running().at("system", "login").entry("class", u.Class)
	if n == nil {
		return &class{} // may do nothing
	}
	patterns := func(name string) []*regexp.Regexp {
		out := termPatterns(n.leaves(name + "-regexps"))
		if one := n.leaf(name); one != "" {
			out = append(out, wholePattern(one)...)
		}
		return out
	}
	return &class{
		permissions: n.leaves("permissions"),
		allow:       patterns("allow-configuration"), deny: patterns("deny-configuration"),
		allowed: patterns("allow-commands"), denied: patterns("deny-commands"),
	}
}

// termPatterns compiles the -regexps forms: in each string one expression for
// each word, and what follows the last is free.
func termPatterns(texts []string) (out []*regexp.Regexp) {
	for _, text := range texts {
		var words []string
		for _, w := range strings.Fields(strings.Trim(text, "^$")) {
			if strings.Contains(w, "(") != strings.Contains(w, ")") {
				return append(out, wholePattern(text)...) // an alternative of several words
			}
			words = append(words, "(?:"+w+")")
		}
		if re, err := regexp.Compile("(?i)^" + strings.Join(words, " ") + "(?: |$)"); err == nil {
			out = append(out, re)
		}
	}
	return out
}

// wholePattern compiles the forms with one expression, which may match
// anywhere from the start. One that is none matches nothing.
func wholePattern(text string) []*regexp.Regexp {
	re, err := regexp.Compile("(?i)^(?:" + strings.TrimPrefix(text, "^") + ")")
	if err != nil {
		return nil
	}
	return []*regexp.Regexp{re}
}

func matchesAny(patterns []*regexp.Regexp, text string) bool {
	return slices.ContainsFunc(patterns, func(re *regexp.Regexp) bool { return re.MatchString(text) })
}

func (c *class) has(permission string) bool {
	return slices.Contains(c.permissions, permission) || slices.Contains(c.permissions, "all")
}

// commandOf is the command that an RPC stands for; the rights to it are the
// RPC's.
var commandOf = map[string]string{
	"get-ipv6-nd-information":           "show ipv6 neighbors",
	"get-ipv6-ra-information":           "show ipv6 router-advertisement",
	"get-interface-information":         "show interfaces terse",
	"get-software-information":          "show version",
	"get-system-information":            "show system information",
	"get-system-uptime-information":     "show system uptime",
	"get-bgp-summary-information":       "show bgp summary",
	"get-bgp-neighbor-information":      "show bgp neighbor",
	"get-bfd-session-information":       "show bfd session",
	"get-route-information":             "show route",
	"get-commit-information":            "show system commit",
	"get-commit-revision-information":   "show system commit revision",
	"get-configuration-database-status": "show system configuration database status",
	"get-database-usage":                "show system configuration database usage",
	"get-configuration":                 "show configuration",
	"get-config":                        "show configuration",
	"get-merged-configuration":          "show ephemeral-configuration merge",
	"kill-session":                      "request system logout",
}

// permits says whether a user may send an RPC.
func (d *Device) permits(u User, operation *element) error {
	c := d.class(u)
	if c == nil {
		return nil
	}
	denied := &rpcError{severity: "error", message: "permission denied", bad: operation.name}
	if command, isCommand := commandOf[operation.name]; isCommand {
		if !c.permitsCommand(command) {
			return denied
		}
		return nil
	}
	if slices.Contains(changing, operation.name) && !c.has("configure") {
		return denied
	}
	return nil
}

// permitsCommand says whether a class may run a command: expressions come
// before permissions, and denying ones first.
func (c *class) permitsCommand(command string) bool {
	switch {
	case matchesAny(c.denied, command):
		return false
	case matchesAny(c.allowed, command):
		return true
	}
	word, rest, _ := strings.Cut(command, " ")
	switch {
	case word == "configure":
		return c.has("configure")
	case word == "show" && strings.Contains(rest, "configuration") && !strings.HasPrefix(rest, "system"):
		return c.has("view-configuration") || c.has("configure")
	case word == "show":
		return c.has("view")
	case word == "set", word == "exit", word == "quit", word == "help", word == "file":
		return true // set cli ...
	}
	return c.has("maintenance")
}

// bits is the permission that a part of the configuration takes to change.
var bits = map[string]string{
	"system": "system-control", "interfaces": "interface-control", "protocols": "routing-control",
	"policy-options": "routing-control", "routing-options": "routing-control",
	"snmp": "snmp-control", "chassis": "system-control",
}

// permitsChange says whether a class may change a statement, given as the words
// of a set line without "set".
func (c *class) permitsChange(words string) bool {
	switch {
	case matchesAny(c.deny, words):
		return false
	case secretWords.MatchString(words):
		return c.has("secret-control")
	case matchesAny(c.allow, words):
		return true
	}
	top, _, _ := strings.Cut(words, " ")
	return bits[top] != "" && c.has(bits[top])
}

// forbidden is the statements that differ between before and after and that
// a class may not change.
func (c *class) forbidden(before, after *node) (errs []*loadError) {
	if c == nil {
		return nil
	}
	for _, words := range changedLines(before, after) {
		if !c.permitsChange(words) {
			errs = append(errs, &loadError{words, "permission denied"})
		}
	}
	return errs
}

// parents is what stands above the lines. A container whose last statement is deleted is a line of its own
// then, and none again with the next statement, and nobody has touched it.
func parents(lines map[string]bool) map[string]bool {
	above := map[string]bool{}
	for line := range lines {
		for i, r := range line {
			if r == ' ' {
				above[line[:i]] = true
			}
		}
	}
	return above
}

// changedLines is the set lines that are in only one of two trees, without the
// verb.
func changedLines(before, after *node) (out []string) {
	lines := func(n *node) map[string]bool {
		set := map[string]bool{}
		for line := range strings.Lines(n.setLines()) {
			set[strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(line), "set "), "deactivate ")] = true
		}
		return set
	}
	old, now := lines(before), lines(after)
	for _, pair := range [][2]map[string]bool{{old, now}, {now, old}} {
		above := parents(pair[1])
		for line := range pair[0] {
			if !pair[1][line] && !above[line] {
				out = append(out, line)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
