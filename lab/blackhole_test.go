package lab_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"lastmile/lab/junos"
	"lastmile/lab/netns"
	"lastmile/lab/sshkey"
)

// deadPeer is within what time an agent must notice a leaf that does not answer any more.
const deadPeer = 45 * time.Second

// TestDeadPeer: the way to the leaf swallows everything, without a reset and with the link up. The agent notices,
// in a poll, between two, and during a commit, which may be silent for minutes; and is back when the
// way is.
func TestDeadPeer(t *testing.T) {
	for _, tt := range []struct {
		name, interval string
		during         string // a fault that keeps a commit waiting
	}{
		{"in a poll", "200ms", ""},
		{"between polls", "1h", ""},
		{"during a commit", "200ms", "slow delay=10m"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			far := newFarLeaf(t, tt.interval)
			far.eventually("it has polled", 30*time.Second, func() bool { return far.device.Stats().RPCs >= 7 })
			if tt.during != "" {
				fault, err := junos.ParseFault(tt.during)
				if err == nil {
					_, err = far.device.Inject(fault)
				}
				if err = errors.Join(err, far.world.Plug("ge-0/0/1.0", "fe80::1", "52:54:00:00:00:01")); err != nil {
					t.Fatal(err)
				}
				far.eventually("the commit has begun", 30*time.Second, func() bool { return len(far.device.Strikes()) > 0 })
			}
			far.swallow()
			begun := time.Now()
			far.eventually("it notices", deadPeer, func() bool { return strings.Contains(far.log.String(), "no session with the leaf") })
			t.Logf("noticed after %s", time.Since(begun).Round(time.Second))
			far.device.ClearFaults()
			far.nft("delete table " + swallowTable)
			far.eventually("it is back", time.Minute, func() bool { return strings.Count(far.log.String(), "msg=connected") > 1 })
		})
	}
}

// A farLeaf is a leaf in a namespace, and its agent in another.
type farLeaf struct {
	t      *testing.T
	ns     *netns.NS
	world  *junos.World
	device *junos.Device
	log    lockedBuffer
}

func newFarLeaf(t *testing.T, interval string) *farLeaf {
	t.Helper()
	program := binaries(t).SwitchAgent
	f := &farLeaf{t: t, ns: netns.ForTest(t, "leaf"), world: junos.NewWorld("et-0/0/48.0", "ge-0/0/1.0")}
	station := netns.ForTest(t, "station")
	err := errors.Join(netns.Veth(f.ns, "mgmt", station, "eth0"), f.ns.AddAddress("mgmt", "192.0.2.1/24"), station.AddAddress("eth0", "192.0.2.2/24"),
		f.world.Plug("et-0/0/48.0", "fe80::201", "52:54:00:00:02:01"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	host := sshkey.ForTest(t, sshkey.Ed25519, filepath.Join(dir, "host"))
	key := sshkey.ForTest(t, sshkey.Ed25519, filepath.Join(dir, "id"))
	f.device, err = junos.New(junos.Config{
		World: f.world, HostName: "leaf1", Model: "qfx5120-48y-8c", Version: "21.4R3.15", Static: rigStatic, HostKey: host.Signer,
		Interfaces: map[string]string{"et-0/0/48": "et-0-0-48", "ge-0/0/1": "ge-0-0-1"},
		Users:      []junos.User{{Name: "switchagent", AuthorizedKeys: []ssh.PublicKey{key.PublicKey()}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	f.serve()
	known := knownhosts.Line([]string{"[192.0.2.1]:830"}, host.PublicKey()) + "\n"
	config := filepath.Join(dir, "switchagent.yaml")
	err = errors.Join(os.WriteFile(filepath.Join(dir, "known_hosts"), []byte(known), 0o600), os.WriteFile(config, fmt.Appendf(nil,
		"target: 192.0.2.1\nuser: switchagent\nkey: %[1]s/id\nknown_hosts: %[1]s/known_hosts\npoll_interval: %[2]s\ngroup: servers\n"+
			"interfaces: [ge-0/0/*.0]\nunknown: accept\nlisten: ''\n", dir, interval), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	f.start(station, program, config)
	return f
}

// serve listens where the leaf is.
func (f *farLeaf) serve() {
	f.t.Helper()
	var listener net.Listener
	err := f.ns.Do(func() (err error) {
		listener, err = net.Listen("tcp", "192.0.2.1:830")
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.device.Serve(ctx, listener) }()
	f.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			f.t.Errorf("device: %v", err)
		}
	})
}

func (f *farLeaf) start(station *netns.NS, program, config string) {
	f.t.Helper()
	agent := exec.Command(program, "run", "--config", config)
	agent.Stdout, agent.Stderr = &f.log, &f.log
	if err := station.Start(agent); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		if err := errors.Join(agent.Process.Signal(syscall.SIGTERM), agent.Wait()); err != nil {
			f.t.Errorf("agent: %v", err)
		}
	})
}

const swallowTable = "inet lastmile_swallow"

// swallow drops everything in and out, the kernel's acknowledgements too.
func (f *farLeaf) swallow() {
	f.t.Helper()
	f.nft("table " + swallowTable + ` {
		chain in { type filter hook input priority 0; policy drop; }
		chain out { type filter hook output priority 0; policy drop; }
	}`)
}

func (f *farLeaf) nft(command string) {
	f.t.Helper()
	if _, err := f.ns.Run(f.t.Context(), "nft", command); err != nil {
		f.t.Fatal(err)
	}
}

func (f *farLeaf) eventually(what string, within time.Duration, holds func() bool) {
	f.t.Helper()
	for deadline := time.Now().Add(within); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			f.t.Fatalf("not within %s: %s; the agent's log:\n%s", within, what, f.log.String())
		}
	}
}
