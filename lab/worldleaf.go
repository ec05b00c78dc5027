package lab

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"lastmile/lab/junos"
)

// A worldLeaf is a simulated Junos in this process, before a World in place of a
// kernel and FRR: it needs no privileges, and has as many ports as one likes.
type worldLeaf struct {
	world  *junos.World
	device *junos.Device
	at     string // host:port of NETCONF
	// The paths of what logs a client in.
	key, knownHosts string
	in, out         atomic.Int64 // bytes that came and went, SSH's included
	stop            context.CancelFunc
	ended           chan error
}

// worldStatic is the configuration of a worldLeaf; servers are in its group
// servers.
const worldStatic = `set system host-name leaf
set system services netconf ssh
set system configuration-database ephemeral instance ` + instance + `
set routing-options router-id 10.255.255.1
set routing-options autonomous-system 65001
set protocols bgp group ` + serverGroup + ` type external
set protocols bgp group ` + serverGroup + ` peer-as 64512
set protocols bgp group ` + serverGroup + ` family inet unicast extended-nexthop
`

// startWorldLeaf serves a leaf with these logical interfaces. Its files are in
// dir, which must be there. A commit takes commitTime.
func startWorldLeaf(dir string, ports []string, commitTime time.Duration) (*worldLeaf, error) {
	l := &worldLeaf{
		world: junos.NewWorld(ports...), key: filepath.Join(dir, agentKeyFile), knownHosts: filepath.Join(dir, "known_hosts"),
		ended: make(chan error, 1),
	}
	public, err := newKey(l.key, os.Getuid())
	if err != nil {
		return nil, err
	}
	hostPublic, err := newKey(filepath.Join(dir, hostKeyFile), os.Getuid())
	if err != nil {
		return nil, err
	}
	hostKey, err := readSigner(filepath.Join(dir, hostKeyFile))
	if err != nil {
		return nil, err
	}
	l.device, err = junos.New(junos.Config{
		World: l.world, HostName: "leaf", Model: "qfx5120-48y-8c", Version: "21.4R3.15", Static: worldStatic, HostKey: hostKey,
		EphemeralCommitTime: commitTime, Users: []junos.User{{Name: agentUser, AuthorizedKeys: []ssh.PublicKey{public}}},
	})
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l.at = listener.Addr().String()
	line := knownhosts.Line([]string{knownhosts.Normalize(l.at)}, hostPublic) + "\n"
	if err := os.WriteFile(l.knownHosts, []byte(line), 0o600); err != nil {
		listener.Close()
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	l.stop = cancel
	go func() { l.ended <- l.device.Serve(ctx, &countingListener{listener, l}) }()
	return l, nil
}

func readSigner(path string) (ssh.Signer, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return ssh.ParsePrivateKey(text)
}

func (l *worldLeaf) close() error {
	l.stop()
	return <-l.ended
}

// A countingListener counts the bytes of the leaf's connections.
type countingListener struct {
	net.Listener
	leaf *worldLeaf
}

func (l *countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &countingConn{c, l.leaf}, nil
}

type countingConn struct {
	net.Conn
	leaf *worldLeaf
}

func (c *countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.leaf.in.Add(int64(n))
	return n, err
}

func (c *countingConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.leaf.out.Add(int64(n))
	return n, err
}

// syntheticPorts are the logical interfaces of junos.SyntheticNeighbors.
func syntheticPorts(n int) []string {
	ports := make([]string, n)
	for i := range ports {
		ports[i] = junos.SyntheticPort(i)
	}
	return ports
}

// agentConfig is a switchagent's configuration before the leaf. What is in more
// is added: lines of YAML.
func (l *worldLeaf) agentConfig(listen, more string) string {
	return fmt.Sprintf("target: %s\nuser: %s\nkey: %s\nknown_hosts: %s\ngroup: %s\ninstance: %s\ninterfaces: [\"xe-*/*/*.0\"]\nlisten: %s\n%s",
		l.at, agentUser, l.key, l.knownHosts, serverGroup, instance, listen, more)
}
