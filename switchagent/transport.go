package switchagent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"lastmile/switchagent/cli"
	"lastmile/switchagent/junos"
	"lastmile/switchagent/login"
)

// The transports.
const (
	transportNetconf = "netconf"
	transportCLI     = "cli"
)

// Ports of the transports (RFC 6242 section 7, RFC 4251).
const (
	netconfPort = "830"
	sshPort     = "22"
)

// errReadsOnly is why nothing is committed through the command line.
var errReadsOnly = errors.New("transport: cli only reads: set system services netconf ssh, and take transport: netconf")

// open opens a client by the configured transport.
func (c Config) open(ctx context.Context, target login.Target, trace func(junos.Trace)) (*junos.Client, error) {
	if c.Transport != transportCLI {
		return junos.Dial(ctx, target, trace)
	}
	shell, err := cli.Dial(ctx, target)
	if err != nil {
		return nil, err
	}
	return junos.OverCLI(shell, trace), nil
}

// address is Target as host:port.
func (c *Config) address() (string, error) {
	host, port, err := net.SplitHostPort(c.Target)
	if err != nil { // no port, or a bare IPv6 address
		host = strings.TrimSuffix(strings.TrimPrefix(c.Target, "["), "]")
	}
	usual := netconfPort
	if c.Transport == transportCLI {
		usual = sshPort
	}
	port = cmp.Or(port, usual)
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("port %q is not 1 to 65535", port)
	}
	if _, err := netip.ParseAddr(host); err != nil && !hostName.MatchString(host) {
		return "", errors.New("neither a host name nor an address")
	}
	return net.JoinHostPort(host, port), nil
}

// target is the leaf as the session needs it.
func (c *Config) target() (login.Target, error) {
	addr, err := c.address()
	return login.Target{Addr: addr, User: c.User, KnownHosts: c.KnownHosts, Credentials: c.credentials()}, err
}

// CheckFiles reads the private key and the pinned host keys, as Run does whenever it dials, and the
// inventory with its keys. The warning, if there is one, is about a key that can be used by too many.
func (c *Config) CheckFiles() (warning string, err error) {
	target, err := c.target()
	if err != nil {
		return "", fmt.Errorf("target %q: %w", c.Target, err)
	}
	inv, err := c.readInventory()
	warning = target.KeyWarning()
	for _, e := range inv.Entries() {
		if w := login.ModeWarning("key of port "+e.Port, e.KeyFile); w != "" && warning == "" {
			warning = w // one is enough to go and look
		}
	}
	return warning, errors.Join(target.Check(), err)
}
