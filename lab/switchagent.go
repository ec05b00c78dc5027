package lab

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"lastmile/lab/sshkey"
)

// A switchagent runs in a namespace of its own, the leaf's sidecar, as an
// ordinary user with nothing but a key to the leaf.
const (
	agentUser    = "switchagent" // on the leaf
	nobody       = 65534         // on the machine
	agentKeyFile = "agent.key"
	agentFile    = "switchagent.yaml"

	inventoryFile = "inventory.csv"
	agentListen   = "127.0.0.1:9473"
)

// sidecar is the name of the node that a Junos leaf's switchagent runs in.
func (n Node) sidecar() string { return n.Name + "-agent" }

// sidecars returns the nodes that are not in the topology but follow from it.
func (t Topology) sidecars() []Node {
	var nodes []Node
	for _, n := range t.OfKind(LeafJunos) {
		nodes = append(nodes, Node{Name: n.sidecar(), Kind: Sidecar})
	}
	return nodes
}

func (f *Fabric) startSwitchAgent(ctx context.Context, n Node, hostKey ssh.PublicKey) error {
	dir := f.nodeDir(n.sidecar())
	leaf := netconf()
	knownHosts := filepath.Join(dir, "known_hosts")
	line := knownhosts.Line([]string{knownhosts.Normalize(leaf.String())}, hostKey) + "\n"
	if err := os.WriteFile(knownHosts, []byte(line), 0o644); err != nil {
		return err
	}
	inventory := filepath.Join(dir, inventoryFile)
	if err := os.WriteFile(inventory, []byte(f.Topology.inventory(n)), 0o644); err != nil {
		return err
	}
	text := fmt.Sprintf(`target: %s
user: %s
key: %s
known_hosts: %s
poll_interval: 2s
group: %s
instance: %s
interfaces: [%s]
inventory: %s
hold_down: 60s
listen: %s
`, leaf, agentUser, filepath.Join(dir, agentKeyFile), knownHosts, serverGroup, instance, f.Topology.serverPorts(n), inventory, agentListen)
	if err := os.WriteFile(filepath.Join(dir, agentFile), []byte(text), 0o644); err != nil {
		return err
	}
	return f.runSwitchAgent(ctx, n.sidecar())
}

// serverPorts lists a leaf's logical interfaces to servers: not all of
// ge-0/0/*.0, since the spine is no server either.
func (t Topology) serverPorts(leaf Node) string {
	var names []string
	for _, p := range t.PortsTo(leaf.Name, Server) {
		names = append(names, junosName(p.Interface)+".0")
	}
	if len(names) == 0 {
		return "none" // a list must not be empty
	}
	return strings.Join(names, ", ")
}

// inventory lists a leaf's servers, and what each announces: what several do is shared.
func (t Topology) inventory(leaf Node) string {
	announcers := map[netip.Prefix]map[string]bool{}
	ports := t.PortsTo(leaf.Name, Server)
	for _, p := range ports {
		for _, prefix := range p.To.Announced() {
			if announcers[prefix] == nil {
				announcers[prefix] = map[string]bool{}
			}
			announcers[prefix][p.To.Name] = true
		}
	}
	var table strings.Builder
	table.WriteString("port,server,as,prefixes,shared\n")
	for _, p := range ports {
		var own, shared []string
		for _, prefix := range p.To.Announced() {
			if len(announcers[prefix]) > 1 {
				shared = append(shared, prefix.String())
			} else {
				own = append(own, prefix.String())
			}
		}
		fmt.Fprintf(&table, "%s.0,%s,%d,%s,%s\n", junosName(p.Interface), p.To.Name, p.To.AS, strings.Join(own, " "), strings.Join(shared, " "))
	}
	if len(ports) == 0 {
		table.WriteString("none.0,none,64512,,\n") // a table must not be empty
	}
	return table.String()
}

// runSwitchAgent starts the switchagent of a sidecar whose files are there.
func (f *Fabric) runSwitchAgent(ctx context.Context, sidecar string) error {
	dir := f.nodeDir(sidecar)
	// The program may lie where only root can go, such as root's home:
	// it is opened here and executed by its descriptor.
	program, err := os.Open(f.binaries.SwitchAgent)
	if err != nil {
		return err
	}
	defer program.Close()
	cmd := exec.Command("/proc/self/fd/3", "run", "--config", filepath.Join(dir, agentFile))
	cmd.Args[0] = "switchagent"
	cmd.ExtraFiles = []*os.File{program}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	p, err := startProcess(f.spaces[sidecar], "switchagent", dir, cmd)
	if err != nil {
		return err
	}
	return p.awaitReady(ctx, f.listens(sidecar, netip.MustParseAddrPort(agentListen)))
}

// newKey makes an ed25519 key, writes the private half into a file that only
// the user uid may read, and returns the public half.
func newKey(path string, uid int) (ssh.PublicKey, error) {
	key, err := sshkey.New(sshkey.Ed25519)
	if err != nil {
		return nil, err
	}
	if err := key.Write(path, ""); err != nil {
		return nil, err
	}
	if err := os.Chown(path, uid, uid); err != nil {
		return nil, err
	}
	return key.PublicKey(), nil
}
