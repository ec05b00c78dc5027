package lab_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"lastmile/lab/junos"
	"lastmile/lab/netns"
	"lastmile/lab/sshkey"
)

// A rig is the real switchagent before a simulated Junos whose neighbours are entries of a
// kernel's table, put there by the test, and whose BGP sessions are what the test says they are.
type rig struct {
	t      *testing.T
	ns     *netns.NS
	bgp    *sessions
	cfg    junos.Config
	device *junos.Device
	stop   func() // ends the device
	at     string // where the device listens
	wire   *wire  // between the agent and the device
	agent  *exec.Cmd
	config string // the agent's file
	key    ssh.Signer
	log    lockedBuffer // the agent's
}

// lockedBuffer is read while it is written.
type lockedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

const (
	holdDown    = time.Second
	serverPorts = 3 // ge-0/0/1 and on

	rigStatic = `
set system host-name leaf1
set system services netconf ssh
set system configuration-database ephemeral instance lastmile
set routing-options router-id 10.255.255.1
set routing-options autonomous-system 65001
set protocols bgp group fabric type external
set protocols bgp group fabric neighbor fc00:1::201 peer-as 65201
set protocols bgp group servers type external
set protocols bgp group servers peer-as 64512
set protocols bgp group servers family inet unicast extended-nexthop
`
)

// newRig starts the device and the agent. A spine is always there: nobody is absent from an empty
// table.
func newRig(t *testing.T, change func(*junos.Config)) *rig {
	t.Helper()
	return newRigWith(t, change, "unknown: accept\nsessions_per_port: 10\nlisten: \"\"\n")
}

// newRigWith has more lines in the agent's configuration.
func newRigWith(t *testing.T, change func(*junos.Config), lines string) *rig {
	t.Helper()
	t.Parallel() // rigs share nothing
	programs := binaries(t)
	r := &rig{t: t, ns: netns.ForTest(t, "leaf"), bgp: &sessions{states: map[string]string{}}}
	far := netns.ForTest(t, "far")
	ports := map[string]string{"et-0/0/48": "et-0-0-48"}
	for i := range serverPorts {
		ports[fmt.Sprintf("ge-0/0/%d", i+1)] = fmt.Sprintf("ge-0-0-%d", i+1)
	}
	for _, port := range ports {
		if err := netns.Veth(r.ns, port, far, port); err != nil {
			t.Fatal(err)
		}
	}
	r.plug("fe80::201", "et-0-0-48")
	dir := t.TempDir()
	hostKey := sshkey.ForTest(t, sshkey.Ed25519, filepath.Join(dir, "host"))
	r.key = sshkey.ForTest(t, sshkey.Ed25519, filepath.Join(dir, "id")).Signer
	r.cfg = junos.Config{
		NS: r.ns, Router: r.bgp, HostName: "leaf1", Model: "qfx5120-48y-8c", Version: "21.4R3.15",
		Static: rigStatic, Interfaces: ports, HostKey: hostKey.Signer, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Users: []junos.User{
			{Name: "switchagent", AuthorizedKeys: []ssh.PublicKey{r.key.PublicKey()}},
			{Name: "operator", AuthorizedKeys: []ssh.PublicKey{r.key.PublicKey()}},
		},
	}
	if change != nil {
		change(&r.cfg)
	}
	r.wire = newWire(t)
	r.boot()
	r.configure(dir, hostKey.PublicKey(), lines)
	r.startAgent(programs.SwitchAgent)
	return r
}

// boot starts a device that knows nothing but its configuration; one that runs is killed.
func (r *rig) boot() {
	r.t.Helper()
	if r.stop != nil {
		r.stop()
	}
	device, err := junos.New(r.cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- device.Serve(ctx, listener) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			r.t.Errorf("device: %v", err)
		}
	})
	r.t.Cleanup(r.stop)
	r.device, r.at = device, listener.Addr().String()
	r.wire.lead(r.at)
}

func (r *rig) configure(dir string, hostKey ssh.PublicKey, lines string) {
	r.t.Helper()
	known := filepath.Join(dir, "known_hosts")
	line := knownhosts.Line([]string{knownhosts.Normalize(r.wire.at())}, hostKey) + "\n"
	text := fmt.Sprintf(`target: %s
user: switchagent
key: %s
known_hosts: %s
poll_interval: 100ms
group: servers
interfaces: ["ge-0/0/*.0"]
hold_down: %s
%s`, r.wire.at(), filepath.Join(dir, "id"), known, holdDown, lines)
	r.config = filepath.Join(dir, "switchagent.yaml")
	err := errors.Join(os.WriteFile(known, []byte(line), 0o600), os.WriteFile(r.config, []byte(text), 0o600))
	if err != nil {
		r.t.Fatal(err)
	}
}

// startAgent starts the agent; one that runs is stopped as its service manager would.
func (r *rig) startAgent(program string) {
	r.t.Helper()
	if r.agent != nil {
		r.stopAgent()
	}
	r.agent = exec.Command(program, "run", "--config", r.config)
	out := io.MultiWriter(r.t.Output(), &r.log)
	r.agent.Stdout, r.agent.Stderr = out, out
	if err := r.agent.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(r.stopAgent)
}

func (r *rig) stopAgent() {
	if r.agent.ProcessState != nil {
		return
	}
	if err := errors.Join(r.agent.Process.Signal(syscall.SIGTERM), r.agent.Wait()); err != nil {
		r.t.Errorf("agent: %v", err)
	}
}

// plug makes a router a neighbour of the leaf.
func (r *rig) plug(address, port string) {
	r.t.Helper()
	r.ip("-6", "neigh", "replace", address, "lladdr", "52:54:00:00:00:01", "dev", port, "nud", "stale", "router")
}

func (r *rig) unplug(address, port string) {
	r.t.Helper()
	r.ip("-6", "neigh", "del", address, "dev", port)
}

func (r *rig) ip(args ...string) {
	r.t.Helper()
	if _, err := r.ns.Run(r.t.Context(), "ip", args...); err != nil {
		r.t.Fatal(err)
	}
}

// operator logs in to the device with a client that is not the agent's. send returns the reply to
// the last request.
func (r *rig) operator() (send func(requests ...string) string) {
	r.t.Helper()
	client, err := ssh.Dial("tcp", r.at, &ssh.ClientConfig{
		User: "operator", Auth: []ssh.AuthMethod{ssh.PublicKeys(r.key)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { client.Close() })
	session, err := client.NewSession()
	if err != nil {
		r.t.Fatal(err)
	}
	in, inErr := session.StdinPipe()
	out, outErr := session.StdoutPipe()
	if err := errors.Join(inErr, outErr, session.RequestSubsystem("netconf")); err != nil {
		r.t.Fatal(err)
	}
	return func(requests ...string) string {
		r.t.Helper()
		var reply string
		for _, request := range requests {
			if _, err := fmt.Fprintf(in, "<rpc>%s</rpc>]]>]]>", request); err != nil {
				r.t.Fatal(err)
			}
			reply = untilReply(r.t, out)
		}
		return reply
	}
}

// untilReply reads up to the end of the next reply, over a hello if there is one.
func untilReply(t *testing.T, out io.Reader) string {
	t.Helper()
	var text strings.Builder
	one := make([]byte, 1)
	for !strings.HasSuffix(text.String(), "rpc-reply>\n]]>]]>") {
		if _, err := out.Read(one); err != nil {
			t.Fatalf("%v after %q", err, text.String())
		}
		text.Write(one)
	}
	return text.String()
}

var stanza = regexp.MustCompile(`set protocols bgp group servers neighbor (\S+) local-interface (\S+)`)

// stanzas is what the agent's instance holds, as "address interface", sorted.
func (r *rig) stanzas() []string {
	r.t.Helper()
	lines, err := r.device.Ephemeral("lastmile")
	if err != nil {
		r.t.Fatal(err)
	}
	var list []string
	for _, found := range stanza.FindAllStringSubmatch(lines, -1) {
		list = append(list, found[1]+" "+found[2])
	}
	slices.Sort(list)
	return list
}

// await waits until the instance holds exactly these stanzas, and the commit that made it so is counted.
func (r *rig) await(want ...string) {
	r.t.Helper()
	var got []string
	r.eventually(func() bool { got = r.stanzas(); return slices.Equal(got, want) && !r.device.Committing() },
		func() string { return fmt.Sprintf("stanzas %q, want %q", got, want) })
}

func (r *rig) eventually(holds func() bool, otherwise func() string) {
	r.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatal(otherwise())
		}
	}
}

// rest lets the agent look at the leaf ten times, and wants nothing to be committed meanwhile.
func (r *rig) rest() {
	r.t.Helper()
	const perPoll = 3 // neighbours, advertisements, stanzas
	before := r.device.Stats()
	r.eventually(func() bool { return r.device.Stats().RPCs >= before.RPCs+10*perPoll },
		func() string { return "the agent has stopped looking" })
	if after := r.device.Stats(); after.Ephemeral != before.Ephemeral || after.Loads != before.Loads {
		r.t.Errorf("nothing has changed, but there were %d loads and %d commits",
			after.Loads-before.Loads, after.Ephemeral-before.Ephemeral)
	}
}

// commits wants a number of commits of the agent's instance since the device booted, and none
// of anything else.
func (r *rig) commits(want int) {
	r.t.Helper()
	if s := r.device.Stats(); s.Ephemeral != want || s.Commits != 0 {
		r.t.Errorf("%d commits of ephemeral instances, want %d; %d of the static configuration", s.Ephemeral, want, s.Commits)
	}
}

// sessions is a router whose sessions the test sets; those that it does not are idle.
type sessions struct {
	mu     sync.Mutex
	states map[string]string // by address
}

func (s *sessions) set(address, state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.states[address] = state
}

func (s *sessions) Show(context.Context, string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var peers []string
	for address, state := range s.states {
		peers = append(peers, fmt.Sprintf(`%q: {"bgpState": %q}`, address, state))
	}
	return []byte("{" + strings.Join(peers, ", ") + "}"), nil
}

func (s *sessions) Configure(context.Context, []string) error { return nil }
