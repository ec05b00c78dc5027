package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"

	"lastmile/lab/frr"
)

// Binaries are the paths of the programs that a fabric runs.
type Binaries struct {
	Lab         string // itself: the janitor and the simulated Junos
	HostAgent   string
	SwitchAgent string
	FIBFloor    string // our writer to the kernel alone; only [Table] needs it
	BFDPeer     string // a leaf's BFD; only [Failover] and [FalseDrops] need it
	RTFloor     string // measures how long real-time threads wait; only [FalseDrops] needs it
	PollFloor   string // our NETCONF client alone; only [Poll] needs it
}

// BinariesIn returns the programs of the directory dir, as `make build` puts
// them there.
func BinariesIn(dir string) Binaries {
	return Binaries{
		Lab:         filepath.Join(dir, "lab"),
		HostAgent:   filepath.Join(dir, "hostagent"),
		SwitchAgent: filepath.Join(dir, "switchagent"),
		FIBFloor:    filepath.Join(dir, "fibfloor"),
		BFDPeer:     filepath.Join(dir, "bfdpeer"),
		RTFloor:     filepath.Join(dir, "rtfloor"),
		PollFloor:   filepath.Join(dir, "pollfloor"),
	}
}

// check returns an error if a program that the topology needs is missing.
func (b Binaries) check(t Topology) error {
	needed := []string{b.Lab}
	if len(t.OfKind(LeafJunos)) > 0 {
		needed = append(needed, b.SwitchAgent)
	}
	for _, n := range t.OfKind(Server) {
		if n.Daemon != HostFRR {
			needed = append(needed, b.HostAgent)
			break
		}
	}
	for _, path := range needed {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("a program is missing (make build makes it): %w", err)
		}
	}
	return nil
}

// startNetwork starts what a spine or leaf runs.
func (f *Fabric) startNetwork(ctx context.Context, n Node) error {
	if err := f.startFRR(ctx, n); err != nil {
		return err
	}
	if n.Kind != LeafJunos {
		return nil
	}
	return f.startJunos(ctx, n)
}

func (f *Fabric) startFRR(ctx context.Context, n Node) error {
	zebra, bgp, err := f.Topology.frr(n)
	if err != nil {
		return err
	}
	r, err := frr.Start(ctx, frr.Config{
		NS: f.spaces[n.Name], Dir: f.nodeDir(n.Name), Zebra: zebra, BGP: bgp,
		BFD: f.Topology.runsBFDD(n),
	})
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.routers[n.Name] = r
	return nil
}

// runsFRR reports whether a node's routing can be asked for with vtysh.
func (f *Fabric) runsFRR(n Node) bool {
	return n.Kind == Spine || n.IsLeaf() || n.Kind == Server && n.Daemon == HostFRR
}

// StartHost starts the daemon of a server and returns when it answers.
func (f *Fabric) StartHost(ctx context.Context, server string) error {
	n, ok := f.Topology.Node(server)
	if !ok || n.Kind != Server {
		return fmt.Errorf("%s is no server", server)
	}
	return f.startHostAs(ctx, n, n.Daemon)
}

// startHostAs starts a daemon other than the server's own.
func (f *Fabric) startHostAs(ctx context.Context, n Node, d Daemon) error {
	n.Daemon = d
	host, err := f.startHost(ctx, n)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hosts[n.Name] = host
	return nil
}

func (f *Fabric) startHost(ctx context.Context, n Node) (stopper, error) {
	if n.Daemon == HostFRR {
		if err := f.prepareHost(n); err != nil {
			return nil, err
		}
		if err := f.startFRR(ctx, n); err != nil {
			return nil, err
		}
		return f.router(n.Name)
	}
	config := filepath.Join(f.nodeDir(n.Name), "hostagent.yaml")
	if err := os.WriteFile(config, []byte(hostAgentConfig(n)), 0o644); err != nil {
		return nil, err
	}
	socket := f.hostSocket(n.Name)
	cmd := exec.Command(f.binaries.HostAgent, "run", "--config", config, "--socket", socket)
	p, err := startProcess(f.spaces[n.Name], "hostagent", f.nodeDir(n.Name), cmd)
	if err != nil {
		return nil, err
	}
	err = p.awaitReady(ctx, func() error {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			return err
		}
		return conn.Close()
	})
	if err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

// prepareHost sets the kernel parameters that a server with FRR needs, and that
// hostagent sets by itself.
func (f *Fabric) prepareHost(n Node) error {
	errs := []error{f.spaces[n.Name].Sysctl("net.ipv4.fib_multipath_hash_policy", "1")}
	for _, u := range f.uplinks(n) {
		errs = append(errs, f.spaces[n.Name].Sysctl("net.ipv4.conf."+u+".rp_filter", "0"))
	}
	return errors.Join(errs...)
}

func (f *Fabric) hostSocket(server string) string {
	return filepath.Join(f.nodeDir(server), "hostagent.sock")
}

// StopHost stops the daemon of a server as its service manager would, and
// returns when it has ended.
func (f *Fabric) StopHost(server string) error {
	f.mu.Lock()
	host, ok := f.hosts[server]
	delete(f.hosts, server)
	delete(f.routers, server)
	f.mu.Unlock()
	if !ok {
		return fmt.Errorf("%s: no daemon of ours runs there", server)
	}
	return host.Stop()
}
