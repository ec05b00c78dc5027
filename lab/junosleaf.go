package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sync/errgroup"

	"lastmile/lab/frr"
	"lastmile/lab/junos"
	"lastmile/lab/netns"
)

// The management link between a Junos leaf and the switchagent beside it; no
// two leaves share a namespace, so all have the same.
const (
	managementPort  = "em0"  // the leaf's
	sidecarPort     = "eth0" // the switchagent's
	managementLeaf  = "172.31.0.1/30"
	managementAgent = "172.31.0.2/30"
	netconfPort     = 830
	cliPort         = 22
)

// The files of a Junos leaf's directory.
const (
	junosFile   = "junos.json"
	hostKeyFile = "host.key"
	diskFile    = "committed.set"
)

// A junosLeaf is the file that tells the process of a simulated Junos what to
// be.
type junosLeaf struct {
	Namespace     string
	Router        string // the directory of the FRR behind it
	HostName      string
	Listen        netip.AddrPort
	CLI           netip.AddrPort    // of the command line
	Profile       string            // a release of junos.Profiles; empty: a mild one
	HostKey       string            // the path of a private key
	User          string            // may log in with AuthorizedKey
	AuthorizedKey string            // as in authorized_keys(5)
	Interfaces    map[string]string // ge-0/0/1 -> ge-0-0-1
	Static        string            // set lines
	Disk          string            // the path of the file that keeps what is committed
	// CommitTime and EphemeralCommitTime are what a commit takes in the
	// static and in an ephemeral database, in nanoseconds.
	CommitTime, EphemeralCommitTime time.Duration
}

// A commit takes this long: at the short end of what was seen of real devices
// for the static database, and as measured for an ephemeral one.
const (
	staticCommit    = 5 * time.Second
	ephemeralCommit = 330 * time.Millisecond
)

// startJunos starts the simulated Junos of a leaf whose FRR runs, and the
// switchagent beside it.
func (f *Fabric) startJunos(ctx context.Context, n Node) error {
	leaf, sidecar := f.spaces[n.Name], f.spaces[n.sidecar()]
	if err := netns.Veth(leaf, managementPort, sidecar, sidecarPort); err != nil {
		return err
	}
	err := errors.Join(leaf.AddAddress(managementPort, managementLeaf), sidecar.AddAddress(sidecarPort, managementAgent))
	if err != nil {
		return err
	}
	hostKey, err := newKey(filepath.Join(f.nodeDir(n.Name), hostKeyFile), 0)
	if err != nil {
		return err
	}
	userKey, err := newKey(filepath.Join(f.nodeDir(n.sidecar()), agentKeyFile), nobody)
	if err != nil {
		return err
	}
	if err := f.writeJunos(n, userKey); err != nil {
		return err
	}
	if err := f.runJunos(ctx, n); err != nil {
		return err
	}
	return f.startSwitchAgent(ctx, n, hostKey)
}

// netconf is where a simulated Junos listens.
func netconf() netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParsePrefix(managementLeaf).Addr(), netconfPort)
}

func (f *Fabric) writeJunos(n Node, userKey ssh.PublicKey) error {
	dir := f.nodeDir(n.Name)
	text, err := json.MarshalIndent(junosLeaf{
		Namespace: f.space(n.Name), Router: dir, HostName: n.Name,
		Listen: netconf(), CLI: netip.AddrPortFrom(netconf().Addr(), cliPort), Profile: f.Topology.Junos, HostKey: filepath.Join(dir, hostKeyFile),
		User: agentUser, AuthorizedKey: string(ssh.MarshalAuthorizedKey(userKey)),
		Interfaces: f.Topology.junosInterfaces(n), Static: f.Topology.junosStatic(n), Disk: filepath.Join(dir, diskFile),
		CommitTime: staticCommit, EphemeralCommitTime: ephemeralCommit,
	}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, junosFile), text, 0o644)
}

// runJunos starts the simulated Junos that the leaf's file describes.
func (f *Fabric) runJunos(ctx context.Context, n Node) error {
	dir := f.nodeDir(n.Name)
	cmd := exec.Command(f.binaries.Lab, "junos", "--config", filepath.Join(dir, junosFile))
	cmd.Args[0] = "junos"
	p, err := startProcess(f.spaces[n.Name], "junos", dir, cmd)
	if err != nil {
		return err
	}
	return p.awaitReady(ctx, f.listens(n.Name, netconf()))
}

// listens returns a check whether something listens at an address, as seen
// from a node.
func (f *Fabric) listens(node string, addr netip.AddrPort) func() error {
	return func() error {
		return f.spaces[node].Do(func() error {
			conn, err := net.DialTimeout("tcp", addr.String(), time.Second)
			if err != nil {
				return err
			}
			return conn.Close()
		})
	}
}

// RunJunos is the process of a simulated Junos: it does what the file at path
// says until ctx ends.
func RunJunos(ctx context.Context, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var leaf junosLeaf
	if err := json.Unmarshal(text, &leaf); err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	cfg, err := leaf.config()
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := (router{frr.Open(leaf.Router)}).reset(ctx); err != nil {
		return err
	}
	var listener net.Listener
	err = cfg.NS.Do(func() (err error) {
		if listener, err = net.Listen("tcp", leaf.Listen.String()); err != nil {
			return err
		}
		cfg.CLI, err = net.Listen("tcp", leaf.CLI.String())
		return err
	})
	if err != nil {
		return err
	}
	device, err := junos.New(cfg)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return device.Serve(ctx, listener) })
	g.Go(func() error { return serveFaults(ctx, device, filepath.Join(filepath.Dir(path), faultSocket)) })
	return g.Wait()
}

func (l junosLeaf) config() (junos.Config, error) {
	ns, err := netns.Open(l.Namespace)
	if err != nil {
		return junos.Config{}, err
	}
	key, err := os.ReadFile(l.HostKey)
	if err != nil {
		return junos.Config{}, err
	}
	hostKey, err := ssh.ParsePrivateKey(key)
	if err != nil {
		return junos.Config{}, fmt.Errorf("host key %s: %w", l.HostKey, err)
	}
	userKey, _, _, _, err := ssh.ParseAuthorizedKey([]byte(l.AuthorizedKey))
	if err != nil {
		return junos.Config{}, fmt.Errorf("key of user %s: %w", l.User, err)
	}
	profile := junos.Profile{}
	if l.Profile != "" {
		if profile, err = junos.ProfileNamed(l.Profile); err != nil {
			return junos.Config{}, err
		}
	}
	return junos.Config{
		Profile: profile,
		NS:      ns, Router: router{frr.Open(l.Router)},
		HostName: l.HostName, Model: "qfx5120-48y-8c", Version: "21.4R3.15",
		Static: l.Static, Disk: l.Disk, Interfaces: l.Interfaces,
		Users:   []junos.User{{Name: l.User, AuthorizedKeys: []ssh.PublicKey{userKey}}},
		HostKey: hostKey, CommitTime: l.CommitTime, EphemeralCommitTime: l.EphemeralCommitTime,
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}, nil
}

// router is the simulated Junos' view of FRR.
type router struct{ frr *frr.Router }

func (r router) Show(ctx context.Context, command string) ([]byte, error) {
	return r.frr.Vtysh(ctx, command)
}

func (r router) Configure(ctx context.Context, lines []string) error {
	return r.frr.Configure(ctx, lines...)
}

// reset removes what an earlier simulated Junos left of BGP and policies.
func (r router) reset(ctx context.Context) error {
	out, err := r.Show(ctx, "show running-config")
	if err != nil {
		return err
	}
	var lines []string
	for line := range strings.Lines(string(out)) {
		for _, kind := range []string{"router bgp", "route-map", "ip prefix-list", "ipv6 prefix-list", "bgp as-path", "bgp community-list"} {
			if strings.HasPrefix(line, kind+" ") {
				lines = append(lines, "no "+strings.TrimSpace(line))
			}
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return r.Configure(ctx, lines)
}

// junosName is the Junos name of a kernel interface of a Junos leaf: ge-0/0/1
// for ge-0-0-1; what is a logical interface, such as irb.2, has the same name.
func junosName(kernel string) string {
	kind, place, ok := strings.Cut(kernel, "-")
	if !ok {
		return kernel
	}
	return kind + "-" + strings.ReplaceAll(place, "-", "/")
}

func (t Topology) junosInterfaces(n Node) map[string]string {
	names := map[string]string{managementPort: managementPort}
	for _, p := range t.Ports(n.Name) {
		names[junosName(p.Interface)] = p.Interface
	}
	for _, s := range n.Subnets {
		names[s.Interface] = s.Interface
	}
	return names
}
