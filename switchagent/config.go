package switchagent

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"lastmile/switchagent/junos"
)

// Config is the daemon's configuration; docs/switchagent.yaml explains every key.
type Config struct {
	// Transport is netconf, or cli, which only reads.
	Transport string `yaml:"transport"`
	// Target is the leaf's server of it: host, host:port or [v6]:port.
	Target string `yaml:"target"`
	User   string `yaml:"user"`
	// Key is the path of a private key, Passphrase of a file that holds its passphrase, Certificate
	// of its certificate, and Agent of an agent's socket.
	Key         string `yaml:"key"`
	Passphrase  string `yaml:"passphrase"`
	Certificate string `yaml:"certificate"`
	Agent       string `yaml:"agent"`
	// KnownHosts is the path of a file in OpenSSH's format that pins the leaf's host keys.
	KnownHosts   string        `yaml:"known_hosts"`
	PollInterval time.Duration `yaml:"poll_interval"`
	// Group is the BGP group that neighbours are added to. It is configured by others.
	Group string `yaml:"group"`
	// Database is where changes are committed: ephemeral, private or shared.
	Database junos.Kind `yaml:"database"`
	// Instance is the ephemeral configuration instance that is the agent's own.
	Instance string `yaml:"instance"`
	// Load is how changes are written; empty for the best that the release can do.
	Load junos.Load `yaml:"load"`
	// Synchronize commits on both routing engines.
	Synchronize bool `yaml:"synchronize"`
	// Confirm is after how many whole minutes the leaf takes back a commit of the shared
	// candidate that is not confirmed, and ConfirmAfter how long a new session may take before
	// a peer that does not answer explains that it is missing.
	Confirm      time.Duration `yaml:"confirm"`
	ConfirmAfter time.Duration `yaml:"confirm_after"`
	// Interfaces are patterns of path.Match: the logical interfaces that may get a neighbour.
	Interfaces []string `yaml:"interfaces"`
	// Inventory is the path of the table that says who is on which port, and Unknown what is done
	// about who is not in it: refuse, quarantine or accept. Without one Unknown must be accept.
	Inventory string `yaml:"inventory"`
	Unknown   string `yaml:"unknown"`
	// SessionsPerPort and MaxSessions bound the stanzas of a port and of the leaf.
	SessionsPerPort int `yaml:"sessions_per_port"`
	MaxSessions     int `yaml:"max_sessions"`
	// PrefixLimit is how many prefixes of each family a server of the inventory may send; 0 for
	// the group's limit.
	PrefixLimit int `yaml:"prefix_limit"`
	// MatchNextHop accepts only prefixes whose next hop is the peer itself.
	MatchNextHop bool `yaml:"match_next_hop"`
	// HoldDown is how long a neighbour must be gone before its stanza is removed.
	HoldDown time.Duration `yaml:"hold_down"`
	// Drift is what is done about stanzas that somebody else has changed or taken away: restore,
	// adopt or ignore. Restores is how often each is restored in an hour.
	Drift    string `yaml:"drift"`
	Restores int    `yaml:"restores"`
	// BatchWindow is how long a change waits for others to come.
	BatchWindow time.Duration `yaml:"batch_window"`
	// CommitRate is the most commits a minute in the long run, CommitBurst the most at once.
	CommitRate  int `yaml:"commit_rate"`
	CommitBurst int `yaml:"commit_burst"`
	// MaxRemovals and MaxRemovalShare (percent) bound what is removed at once; 0 is no bound.
	MaxRemovals     int `yaml:"max_removals"`
	MaxRemovalShare int `yaml:"max_removal_share"`
	// Takeover is after how long an agent that stands by commits what another should have; 0
	// if there is no other.
	Takeover time.Duration `yaml:"takeover"`
	// Syslog hears of ports that come up, to poll at once.
	Syslog Syslog `yaml:"syslog"`
	// Listen is the TCP address of /metrics and /healthz; empty for none.
	Listen string `yaml:"listen"`
}

// DefaultConfig is the configuration of an empty file. The keys without a default must be set.
func DefaultConfig() Config {
	return Config{
		Transport:       transportNetconf,
		PollInterval:    2 * time.Second,
		Database:        junos.Ephemeral,
		Instance:        "lastmile",
		Confirm:         5 * time.Minute,
		ConfirmAfter:    30 * time.Second,
		Unknown:         unknownRefuse,
		SessionsPerPort: 1,
		MaxSessions:     512,
		PrefixLimit:     100,
		HoldDown:        time.Minute,
		Drift:           driftRestore,
		Restores:        3,
		CommitRate:      12,
		CommitBurst:     10,
		MaxRemovals:     20,
		MaxRemovalShare: 50,
		Listen:          "127.0.0.1:9473",
	}
}

var (
	// instanceName is what Junos takes: "Configuring the Ephemeral Configuration Database".
	instanceName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)
	hostName     = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?$`)
)

// Validate reports every value that is not allowed, by its key.
func (c *Config) Validate(report func(key, problem string)) {
	refuse := func(key, value, wanted string) {
		if value == "" {
			report(key, "missing; "+wanted+" is wanted")
		} else {
			report(key, fmt.Sprintf("%q is not allowed: %s is wanted", value, wanted))
		}
	}
	if c.Transport != transportNetconf && c.Transport != transportCLI {
		refuse("transport", c.Transport, "netconf or cli")
	}
	if _, err := c.address(); err != nil {
		refuse("target", c.Target, "host, host:port, [v6]:port or a bare address, such as leaf1.example.net:830,")
	}
	for _, needed := range []struct{ key, value, wanted string }{
		{"user", c.User, "the login on the leaf"},
		{"key", c.Key + c.Agent, "the path of a private key, or agent,"},
		{"known_hosts", c.KnownHosts, "the path of a known_hosts file that pins the leaf's host keys"},
	} {
		if needed.value == "" {
			refuse(needed.key, "", needed.wanted)
		}
	}
	if !junos.ValidGroup(c.Group) {
		refuse("group", c.Group, "the name of a BGP group of the leaf, 1 to 64 ASCII characters without blanks and brackets,")
	}
	if !instanceName.MatchString(c.Instance) || c.Instance == "default" {
		refuse("instance", c.Instance, "1 to 32 letters, digits, - and _ other than the word default")
	}
	c.validateInterfaces(refuse)
	if c.Listen != "" && !isListenable(c.Listen) {
		refuse("listen", c.Listen, "host:port with a port from 1 to 65535, such as 127.0.0.1:9473, or nothing for nowhere,")
	}
	c.Syslog.validate(refuse)
	checkDuration := func(key string, value, least, most time.Duration) {
		if value < least || value > most {
			refuse(key, value.String(), fmt.Sprintf("%s to %s", least, most))
		}
	}
	checkDuration("poll_interval", c.PollInterval, 100*time.Millisecond, time.Hour)
	checkDuration("hold_down", c.HoldDown, time.Second, 24*time.Hour)
	checkDuration("batch_window", c.BatchWindow, 0, time.Minute)
	checkDuration("takeover", c.Takeover, 0, time.Hour)
	c.validateCommits(refuse)
	c.validateAdmission(refuse)
}

// isListenable says whether it is [host]:port. A name is looked up when it is listened at.
func isListenable(address string) bool {
	host, port, err := net.SplitHostPort(address)
	n, numErr := strconv.ParseUint(port, 10, 16)
	_, addrErr := netip.ParseAddr(host)
	return err == nil && numErr == nil && n > 0 && (host == "" || addrErr == nil || hostName.MatchString(host))
}

func (c *Config) validateAdmission(refuse func(key, value, wanted string)) {
	if !slices.Contains([]string{unknownRefuse, unknownQuarantine, unknownAccept}, c.Unknown) {
		refuse("unknown", c.Unknown, "refuse, quarantine or accept")
	}
	if c.Inventory == "" && c.Unknown != unknownAccept {
		refuse("inventory", "", "the path of the table of ports and servers, or else unknown: accept to give everybody a session,")
	}
	for _, n := range []struct {
		key                string
		value, least, most int
	}{
		{"sessions_per_port", c.SessionsPerPort, 1, 1000},
		{"max_sessions", c.MaxSessions, 1, 100_000},
		{"prefix_limit", c.PrefixLimit, 0, 10_000_000},
	} {
		if n.value < n.least || n.value > n.most {
			refuse(n.key, strconv.Itoa(n.value), fmt.Sprintf("%d to %d", n.least, n.most))
		}
	}
}

func (c *Config) validateCommits(refuse func(key, value, wanted string)) {
	oneOf := func(key, value string, allowed ...string) {
		if !slices.Contains(allowed, value) {
			refuse(key, value, strings.Join(allowed[:len(allowed)-1], ", ")+" or "+allowed[len(allowed)-1])
		}
	}
	oneOf("database", string(c.Database), string(junos.Ephemeral), string(junos.Private), string(junos.Shared))
	oneOf("drift", c.Drift, driftRestore, driftAdopt, driftIgnore)
	if c.Load != "" {
		oneOf("load", string(c.Load), string(junos.LoadMerge), string(junos.LoadReplace), string(junos.LoadUpdate))
	}
	if c.Load == junos.LoadUpdate && c.Database != junos.Ephemeral {
		refuse("load", string(c.Load), "with database: "+string(c.Database)+", which holds others' statements, merge or replace")
	}
	if c.Confirm < time.Minute || c.Confirm > 65535*time.Minute || c.Confirm%time.Minute != 0 {
		refuse("confirm", c.Confirm.String(), "1 to 65535 whole minutes, such as 5m,")
	}
	if c.ConfirmAfter < time.Second || c.ConfirmAfter > c.Confirm/2 {
		refuse("confirm_after", c.ConfirmAfter.String(), "1s to half of confirm")
	}
	number := func(key string, value, least, most int) {
		if value < least || value > most {
			refuse(key, strconv.Itoa(value), fmt.Sprintf("%d to %d", least, most))
		}
	}
	number("restores", c.Restores, 0, 1000)
	number("commit_rate", c.CommitRate, 1, 600)
	number("commit_burst", c.CommitBurst, 1, 1000)
	number("max_removals", c.MaxRemovals, 0, 100_000)
	number("max_removal_share", c.MaxRemovalShare, 0, 100)
}

func (c *Config) validateInterfaces(refuse func(key, value, wanted string)) {
	const wanted = `the name of a logical interface such as ge-0/0/1.0, or a pattern such as ge-0/0/*.0 (* ? [...], none of which matches a /),`
	if len(c.Interfaces) == 0 {
		refuse("interfaces", "", "a list with "+wanted)
	}
	for i, pattern := range c.Interfaces {
		if _, err := path.Match(pattern, ""); err != nil || pattern == "" || strings.ContainsAny(pattern, " \t\n") {
			refuse(fmt.Sprintf("interfaces[%d]", i), pattern, wanted)
		}
	}
}

// groupNamesAS says whether stanzas rely on the group's peer-as.
func (c *Config) groupNamesAS() bool { return c.Inventory == "" || c.Unknown != unknownRefuse }

// policy is the part that decides.
func (c *Config) policy() policy {
	return policy{
		group: c.Group, holdDown: c.HoldDown, mayTouch: c.mayTouch,
		admission: admission{
			unknown: c.Unknown, perPort: c.SessionsPerPort, total: c.MaxSessions,
			limit: uint32(c.PrefixLimit), nextHop: c.MatchNextHop,
		},
	}
}

// mayTouch says whether the logical interface is meant by Interfaces.
func (c *Config) mayTouch(ifl string) bool {
	for _, pattern := range c.Interfaces {
		if ok, err := path.Match(pattern, ifl); err == nil && ok {
			return true
		}
	}
	return false
}

// SetConfirm makes the leaf take a commit back after a time unless it is confirmed.
func (c *Config) SetConfirm(window time.Duration) error {
	if c.Database != junos.Shared {
		return fmt.Errorf("confirm: Junos has no commit confirmed in database: %s, only in shared", c.Database)
	}
	if window < time.Minute {
		return fmt.Errorf("confirm: %q is not allowed: 1 to 65535 whole minutes, such as 2m, is wanted", window)
	}
	c.Confirm, c.ConfirmAfter = window, min(c.ConfirmAfter, window/2)
	var err error
	c.validateCommits(func(key, value, wanted string) {
		err = errors.Join(err, fmt.Errorf("%s: %q is not allowed: %s is wanted", key, value, wanted))
	})
	return err
}
