package switchagent

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"lastmile/switchagent/junos"
)

// Config is the daemon's configuration; docs/switchagent.yaml explains every key.
type Config struct {
	// Target is the leaf's NETCONF server: host, host:port or [v6]:port.
	Target string `yaml:"target"`
	User   string `yaml:"user"`
	// Key is the path of a private key without passphrase.
	Key string `yaml:"key"`
	// KnownHosts is the path of a file in OpenSSH's format that pins the leaf's host keys.
	KnownHosts   string        `yaml:"known_hosts"`
	PollInterval time.Duration `yaml:"poll_interval"`
	// Group is the BGP group that neighbours are added to. It is configured by others.
	Group string `yaml:"group"`
	// Instance is the ephemeral configuration instance that is the agent's own.
	Instance string `yaml:"instance"`
	// Interfaces are patterns of path.Match: the logical interfaces that may get a neighbour.
	Interfaces []string `yaml:"interfaces"`
	// HoldDown is how long a neighbour must be gone before its stanza is removed.
	HoldDown time.Duration `yaml:"hold_down"`
	// Listen is the TCP address of /metrics and /healthz; empty for none.
	Listen string `yaml:"listen"`
}

// DefaultConfig is the configuration of an empty file. The keys without a default must be set.
func DefaultConfig() Config {
	return Config{
		PollInterval: 2 * time.Second,
		Instance:     "lastmile",
		HoldDown:     time.Minute,
		Listen:       "127.0.0.1:9473",
	}
}

const netconfPort = "830" // RFC 6242 section 7

var (
	// instanceName is what Junos takes: "Configuring the Ephemeral Configuration Database".
	instanceName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)
	hostName     = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?$`)
	groupName    = regexp.MustCompile(`^[^\s<>&"'{};\[\]()]{1,64}$`)
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
	if _, err := c.address(); err != nil {
		refuse("target", c.Target, "host, host:port, [v6]:port or a bare address, such as leaf1.example.net:830,")
	}
	for _, needed := range []struct{ key, value, wanted string }{
		{"user", c.User, "the login on the leaf"},
		{"key", c.Key, "the path of a private key"},
		{"known_hosts", c.KnownHosts, "the path of a known_hosts file that pins the leaf's host keys"},
	} {
		if needed.value == "" {
			refuse(needed.key, "", needed.wanted)
		}
	}
	if !groupName.MatchString(c.Group) {
		refuse("group", c.Group, "the name of a BGP group of the leaf, 1 to 64 characters without blanks and brackets,")
	}
	if !instanceName.MatchString(c.Instance) || c.Instance == "default" {
		refuse("instance", c.Instance, "1 to 32 letters, digits, - and _ other than the word default")
	}
	c.validateInterfaces(refuse)
	checkDuration := func(key string, value, least, most time.Duration) {
		if value < least || value > most {
			refuse(key, value.String(), fmt.Sprintf("%s to %s", least, most))
		}
	}
	checkDuration("poll_interval", c.PollInterval, 100*time.Millisecond, time.Hour)
	checkDuration("hold_down", c.HoldDown, time.Second, 24*time.Hour)
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

// address is Target as host:port.
func (c *Config) address() (string, error) {
	host, port, err := net.SplitHostPort(c.Target)
	if err != nil { // no port, or a bare IPv6 address
		host = strings.TrimSuffix(strings.TrimPrefix(c.Target, "["), "]")
	}
	port = cmp.Or(port, netconfPort)
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("port %q is not 1 to 65535", port)
	}
	if _, err := netip.ParseAddr(host); err != nil && !hostName.MatchString(host) {
		return "", errors.New("neither a host name nor an address")
	}
	return net.JoinHostPort(host, port), nil
}

// target is the leaf as the session needs it.
func (c *Config) target() (junos.Target, error) {
	addr, err := c.address()
	return junos.Target{Addr: addr, User: c.User, Key: c.Key, KnownHosts: c.KnownHosts}, err
}

// CheckFiles reads the private key and the pinned host keys, as Run does whenever it dials. The
// warning, if there is one, is about a key that can be used by too many.
func (c *Config) CheckFiles() (warning string, err error) {
	target, err := c.target()
	if err != nil {
		return "", fmt.Errorf("target %q: %w", c.Target, err)
	}
	return target.KeyWarning(), target.Check()
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
