// Package bootstrap knows the configuration that a leaf needs once, before switchagent can work: what
// of it is missing, and what is there with another value and is left alone. It is pure: set lines in,
// set lines out.
package bootstrap

import (
	"fmt"
	"slices"
	"strings"
)

// Options is what the configuration depends on.
type Options struct {
	User      string // login of switchagent; empty: no login is configured
	PublicKey string // its key as in authorized_keys: "ssh-ed25519 AAAA..."; empty: none is configured
	Group     string
	Instance  string // ephemeral instance; empty: none
	Ports     []string
	PeerAS    uint32 // of the servers; 0: not configured, which is an error if the group has none
	OwnAS     bool   // every neighbour will have a peer-as of its own, so the group needs none
	Prefixes  int    // limit of each family
	Keys      bool   // some neighbours have an authentication-key
}

// Other is a statement that is there with another value than the one that would be set.
type Other struct {
	Is     string `json:"is"`     // the line, or what is wrong
	Wanted string `json:"wanted"` // the line that is not set
}

// Difference is what to do.
type Difference struct {
	Missing []string `json:"missing"` // set lines, in order
	Other   []Other  `json:"other"`   // left alone
}

// Class is the login class of switchagent, and ImportPolicy the policy of the group: whoever has no
// policy of its own may announce nothing.
const (
	Class        = "lastmile-agent"
	ImportPolicy = "lastmile-reject"
)

// want is one statement: the words that lead to it, and its value if it has one. A list takes further
// values beside those that it has.
type want struct {
	path  string
	value string
	list  bool
}

func (w want) line() string {
	if w.value == "" {
		return "set " + w.path
	}
	return "set " + w.path + " " + w.value
}

// Compare says what of the configuration is missing in the committed set lines of a leaf.
func Compare(o Options, lines []string) (Difference, error) {
	if err := o.check(); err != nil {
		return Difference{}, err
	}
	have := read(lines)
	var d Difference
	for _, w := range o.wants(have) {
		switch is, state := have.find(w); state {
		case there:
		case other:
			d.Other = append(d.Other, Other{Is: is, Wanted: w.line()})
		case missing:
			d.Missing = append(d.Missing, w.line())
		}
	}
	bgp := "protocols bgp group " + o.Group + " peer-as"
	if o.PeerAS == 0 && !o.OwnAS && !have.below(bgp) && !have.below("protocols bgp peer-as") {
		return d, fmt.Errorf("group %s has no peer-as: say which AS the servers are in", o.Group)
	}
	return d, nil
}

// check refuses what could become more than the statements that are meant.
func (o Options) check() error {
	for what, value := range map[string]string{"user": o.User, "group": o.Group, "instance": o.Instance} {
		if strings.ContainsAny(value, " \t\r\n\"\\;{}[]#<>&?'") {
			return fmt.Errorf("%s %q has characters that are not allowed", what, value)
		}
	}
	for _, port := range o.Ports {
		if _, _, err := unit(port); err != nil {
			return err
		}
	}
	if fields := strings.Fields(o.PublicKey); o.PublicKey != "" && (len(fields) < 2 || strings.ContainsAny(o.PublicKey, "\"\\\r\n?")) {
		return fmt.Errorf("public key %q is none", o.PublicKey)
	}
	return nil
}

// unit splits a logical interface.
func unit(ifl string) (physical, number string, err error) {
	physical, number, ok := strings.Cut(ifl, ".")
	if !ok || physical == "" || number == "" || strings.ContainsAny(ifl, " \t\r\n\"\\;{}[]#<>&?'") || strings.Trim(number, "0123456789") != "" {
		return "", "", fmt.Errorf("port %q is no logical interface such as ge-0/0/1.0", ifl)
	}
	return physical, number, nil
}

// wants is all that should be there, in the order of Junos' hierarchy.
func (o Options) wants(have config) (all []want) {
	add := func(path string, value ...string) {
		all = append(all, want{path: path, value: strings.Join(value, " ")})
	}
	add("system services netconf ssh")
	if o.Instance != "" {
		add("system configuration-database ephemeral instance " + o.Instance)
	}
	if o.User != "" {
		all = append(all, o.login(have)...)
	}
	for _, port := range o.Ports {
		physical, number, _ := unit(port)
		above := fmt.Sprintf("interfaces %s unit %s family", physical, number)
		if !have.below(above+" inet") || !have.below(above+" inet6") {
			if have.below(above + " ethernet-switching") {
				all = append(all, want{path: above, value: "inet6"}) // shown as another value
				continue
			}
		}
		add(above + " inet")
		add(above + " inet6")
	}
	add("policy-options policy-statement "+ImportPolicy+" then", "reject")
	for _, port := range o.Ports {
		above := "protocols router-advertisement interface " + port
		add(above+" max-advertisement-interval", "4")
		add(above+" min-advertisement-interval", "3")
		add(above+" default-lifetime", "0")
	}
	return append(all, o.group()...)
}

func (o Options) group() (all []want) {
	add := func(path string, value ...string) {
		all = append(all, want{path: "protocols bgp group " + o.Group + " " + path, value: strings.Join(value, " ")})
	}
	add("type", "external")
	add("import", ImportPolicy)
	for _, family := range []string{"inet", "inet6"} {
		if family == "inet" {
			add("family inet unicast extended-nexthop")
		}
		limit := "family " + family + " unicast prefix-limit"
		add(limit+" maximum", fmt.Sprint(o.Prefixes))
		add(limit+" teardown", "80")
		add(limit+" teardown idle-timeout", "5")
	}
	if o.PeerAS != 0 {
		add("peer-as", fmt.Sprint(o.PeerAS))
	}
	add("multipath multiple-as")
	add("bfd-liveness-detection minimum-interval", "1000")
	add("bfd-liveness-detection multiplier", "3")
	return all
}

// login is the class with the least rights, and the user in it. A user that is there in another class
// stays there.
func (o Options) login(have config) (all []want) {
	class := "system login class " + Class + " "
	add := func(path, value string, list bool) { all = append(all, want{path, value, list}) }
	for _, bit := range []string{"configure", "view", "view-configuration"} {
		add(class+"permissions", bit, true)
	}
	for _, command := range []string{"clear", "file", "op", "request", "restart", "ssh", "start", "telnet"} {
		add(class+"deny-commands-regexps", `"`+command+` .*"`, true)
	}
	neighbor := "protocols bgp group " + o.Group + " neighbor fe[89ab].*"
	add(class+"allow-configuration-regexps", `"`+neighbor+`"`, true)
	add(class+"allow-configuration-regexps", `"policy-options (policy-statement|as-path) lastmile-.*"`, true)
	for _, statement := range []string{"multihop", "export", "local-as", "allow"} {
		add(class+"deny-configuration-regexps", `"`+neighbor+" "+statement+`.*"`, true)
	}
	add(class+"deny-configuration-regexps", `"policy-options policy-statement `+ImportPolicy+`.*"`, true)
	if o.Keys {
		all = append(all, o.keyRights()...)
	}
	user := "system login user " + o.User
	add(user+" class", Class, false)
	if o.PublicKey != "" {
		all = append(all, authentication(o.User, o.PublicKey))
	}
	return all
}

// KeyPermission is the permission to change passwords and keys ("secret-control"; it includes to see them).
const KeyPermission = "secret-control"

// keyRights is what it takes to set the keys of neighbors. The permission is for the whole configuration, so
// all that is none of the agent's is denied as far as expressions can tell: passwords elsewhere, a
// key of a group, which would end all its sessions, and those of peers that are no servers.
func (o Options) keyRights() []want {
	class := "system login class " + Class + " "
	all := []want{{class + "permissions", KeyPermission, true}}
	for _, denied := range []string{
		"(access|dynamic-profiles|interfaces|logical-systems|routing-instances|security|services|snmp|system) .*(authentication|password|secret).*",
		"protocols bgp authentication.*",
		"protocols bgp group [A-Za-z0-9_.:-]+ authentication.*",
		"protocols bgp group .* neighbor ([0-9]|f[cd]).* authentication.*",
	} {
		all = append(all, want{class + "deny-configuration-regexps", `"` + denied + `"`, true})
	}
	return all
}

// Authentication is the statement that lets a user in with a public key, which is "TYPE BASE64".
func Authentication(user, key string) string { return authentication(user, key).line() }

func authentication(user, key string) want {
	words := strings.Fields(key)
	kind := words[0]
	if strings.HasPrefix(kind, "ecdsa-") {
		kind = "ssh-ecdsa"
	}
	return want{"system login user " + user + " authentication " + kind, `"` + strings.Join(words[:2], " ") + `"`, true}
}

type state int

const (
	missing state = iota
	there
	other
)

// config is the set lines of a leaf, without the word set, and what is deactivated.
type config struct {
	lines    map[string]bool
	sorted   []string
	inactive []string
}

func read(lines []string) config {
	c := config{lines: map[string]bool{}}
	for _, line := range lines {
		line = strings.Join(strings.Fields(line), " ")
		if path, ok := strings.CutPrefix(line, "deactivate "); ok {
			c.inactive = append(c.inactive, path)
		} else if path, ok := strings.CutPrefix(line, "set "); ok {
			c.lines[path] = true
			c.sorted = append(c.sorted, path)
		}
	}
	slices.Sort(c.sorted)
	return c
}

// under returns the lines that are the path, or begin with it.
func (c config) under(path string) (found []string) {
	i, _ := slices.BinarySearch(c.sorted, path)
	for ; i < len(c.sorted) && strings.HasPrefix(c.sorted[i], path); i++ {
		if line := c.sorted[i]; len(line) == len(path) || line[len(path)] == ' ' {
			found = append(found, line)
		}
	}
	return found
}

func (c config) below(path string) bool { return len(c.under(path)) > 0 }

// find looks for a statement.
func (c config) find(w want) (is string, s state) {
	whole := strings.TrimPrefix(w.line(), "set ")
	for _, path := range c.inactive {
		if whole == path || strings.HasPrefix(whole, path+" ") {
			return "deactivate " + path, other
		}
	}
	if c.below(whole) || c.below(unquoted(w)) {
		return "", there
	}
	if w.value == "" || w.list {
		return "", missing
	}
	for _, line := range c.under(w.path) {
		if line != w.path && !isBelowValue(w, line) {
			return "set " + line, other
		}
	}
	return "", missing
}

// unquoted is the line of a statement whose value is shown without the quotation marks it was
// typed with.
func unquoted(w want) string { return w.path + " " + strings.Trim(w.value, `"`) }

// isBelowValue says that a line below the path of a statement is not its value: "teardown" has a
// value and statements below it.
func isBelowValue(w want, line string) bool {
	rest := strings.TrimPrefix(line, w.path+" ")
	return strings.HasSuffix(w.path, " teardown") && strings.HasPrefix(rest, "idle-timeout")
}
