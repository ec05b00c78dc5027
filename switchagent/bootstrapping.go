package switchagent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"lastmile/switchagent/bootstrap"
	"lastmile/switchagent/cli"
	"lastmile/switchagent/inventory"
	"lastmile/switchagent/junos"
	"lastmile/switchagent/login"
)

// BootstrapOptions is what Bootstrap needs beside the configuration.
type BootstrapOptions struct {
	// Login is who configures the leaf, once; empty fields are those of the configuration.
	Login       string
	Credentials login.Credentials
	CLI         string // address of the command line; empty: port 22 of the target
	PublicKey   string // of the agent; empty: that of its key
	Ports       []string
	PeerAS      uint32
	Prefixes    int
	// EndSessions changes the group too although sessions in it are up, or may be.
	EndSessions bool
}

// BootstrapResult is what Bootstrap found, and did.
type BootstrapResult struct {
	Via string `json:"via"` // netconf or cli
	bootstrap.Difference
	Skipped []string `json:"skipped"` // ports that are somebody else's
	// Ended is the sessions of the group that what is missing ends, or may end.
	Ended   []string `json:"sessions_ended"`
	Applied bool     `json:"applied"`
}

// baseline is what a leaf is configured through, once.
type baseline interface {
	read(context.Context) ([]string, error)
	commit(context.Context, []string) error
	client() *junos.Client
	Close() error
}

const bootstrapLog = junos.Mark + " bootstrap"

// Bootstrap compares the leaf's static configuration with what switchagent needs, and if apply is set
// commits what is missing. What is there with another value is never touched. Where NETCONF is not
// enabled it goes through the command line.
func (c Config) Bootstrap(ctx context.Context, o BootstrapOptions, apply bool) (r BootstrapResult, err error) {
	leaf, via, err := c.dialBaseline(ctx, o)
	if err != nil {
		return r, err
	}
	defer leaf.Close()
	r.Via = via
	want := bootstrap.Options{User: c.User, PublicKey: o.PublicKey, Group: c.Group, PeerAS: o.PeerAS, OwnAS: !c.groupNamesAS(), Prefixes: o.Prefixes}
	if c.Database == junos.Ephemeral {
		want.Instance = c.Instance
	}
	if want.Keys, err = c.usesKeys(); err != nil {
		return r, fmt.Errorf("which rights are needed: %w", err)
	}
	if want.PublicKey == "" {
		if want.PublicKey, err = c.credentials().PublicKey(); err != nil {
			return r, fmt.Errorf("the agent's public key: %w", err)
		}
	}
	if want.Ports, r.Skipped, err = c.ports(ctx, leaf.client(), o.Ports); err != nil {
		return r, fmt.Errorf("ports: %w", err)
	}
	lines, err := leaf.read(ctx)
	if err != nil {
		return r, fmt.Errorf("reading the configuration: %w", err)
	}
	if r.Difference, err = bootstrap.Compare(want, lines); err != nil {
		return r, err
	}
	if err := r.spare(ctx, leaf.client(), c.Group, lines, o.EndSessions); err != nil || !apply || len(r.Missing) == 0 {
		return r, err
	}
	if err := leaf.commit(ctx, r.Missing); err != nil {
		return r, fmt.Errorf("committing: %w", err)
	}
	r.Applied = true
	return r, nil
}

// spare looks whose sessions the change of the group would end, and leaves the group alone if there are
// any, unless they are meant to end.
func (r *BootstrapResult) spare(ctx context.Context, client *junos.Client, group string, lines []string, end bool) error {
	r.Ended = []string{}
	if !r.ChangesGroup(group) {
		return nil
	}
	peers, err := client.Members(ctx)
	if err != nil {
		return fmt.Errorf("sessions: %w", err)
	}
	for _, p := range peers {
		if (p.Group == group || p.Group == "") && !p.Down() {
			r.Ended = append(r.Ended, p.Peer.String())
		}
	}
	why := fmt.Sprintf("group %s is in use, and a change of it ends sessions that are up, or may be: %s", group, strings.Join(r.Ended, ", "))
	if len(peers) == 0 && bootstrap.Neighbors(lines) {
		why = "neighbours are configured and the leaf lists no sessions: whose is up is not known"
	} else if len(r.Ended) == 0 {
		return nil
	}
	if !end {
		r.Difference, r.Ended = r.WithoutGroup(group, why), []string{}
	}
	return nil
}

func (c Config) credentials() login.Credentials {
	return login.Credentials{Key: c.Key, Passphrase: c.Passphrase, Certificate: c.Certificate, Agent: c.Agent}
}

func (c Config) dialBaseline(ctx context.Context, o BootstrapOptions) (baseline, string, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	target, err := c.target()
	if err != nil {
		return nil, "", fmt.Errorf("target %q: %w", c.Target, err)
	}
	if o.Login != "" {
		target.User = o.Login
	}
	if o.Credentials != (login.Credentials{}) {
		target.Credentials = o.Credentials
	}
	var client *junos.Client
	if c.Transport != transportCLI {
		client, err = junos.Dial(ctx, target, func(junos.Trace) {})
		if err == nil {
			return overNetconf{client}, transportNetconf, nil
		}
		if kind := login.KindOf(err); kind != login.Unreachable && kind != login.NoNetconf && kind != login.Files {
			return nil, "", err
		}
		host, _, splitErr := net.SplitHostPort(target.Addr)
		if splitErr != nil {
			return nil, "", splitErr
		}
		target.Addr = net.JoinHostPort(host, sshPort)
	}
	if o.CLI != "" {
		target.Addr = o.CLI
	}
	shell, cliErr := cli.Dial(ctx, target)
	if cliErr != nil {
		return nil, "", errors.Join(err, cliErr)
	}
	return overShell{shell, junos.OverCLI(shell, func(junos.Trace) {})}, transportCLI, nil
}

type overNetconf struct{ *junos.Client }

func (l overNetconf) read(ctx context.Context) ([]string, error) { return l.Lines(ctx) }
func (l overNetconf) client() *junos.Client                      { return l.Client }
func (l overNetconf) commit(ctx context.Context, lines []string) error {
	_, err := l.CommitLines(ctx, lines, bootstrapLog)
	return err
}

type overShell struct {
	*cli.Shell
	over *junos.Client
}

func (l overShell) read(ctx context.Context) ([]string, error) { return l.over.Lines(ctx) }
func (l overShell) client() *junos.Client                      { return l.over }
func (l overShell) commit(ctx context.Context, lines []string) error {
	if err := l.over.Unconfirmed(ctx); err != nil {
		return err
	}
	_, err := l.Configure(ctx, lines, bootstrapLog)
	return err
}

// ports is the logical interfaces that servers are plugged in to: the ones that were named, or all
// that the configuration means. A port without a unit is meant by its unit 0; one that has an
// address is somebody else's.
func (c Config) ports(ctx context.Context, client *junos.Client, named []string) (ports, skipped []string, err error) {
	logical, err := client.Interfaces(ctx)
	if err != nil {
		return nil, nil, err
	}
	all := named
	if len(named) == 0 {
		physical, err := client.PhysicalInterfaces(ctx)
		if err != nil {
			return nil, nil, err
		}
		for _, name := range physical {
			all = append(all, name+".0")
		}
		for name := range logical {
			all = append(all, name)
		}
		all = slices.DeleteFunc(all, func(ifl string) bool { return !c.mayTouch(ifl) })
	}
	slices.Sort(all)
	for _, ifl := range slices.Compact(all) {
		if owned(logical[ifl]) {
			skipped = append(skipped, ifl)
		} else {
			ports = append(ports, ifl)
		}
	}
	return ports, skipped, nil
}

// usesKeys says whether the inventory gives a port a key. The files with the keys need not be there yet.
func (c Config) usesKeys() (bool, error) {
	inv, err := c.parseInventory()
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(inv.Entries(), func(e inventory.Entry) bool { return e.KeyFile != "" }), nil
}
