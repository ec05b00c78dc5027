package switchagent

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	sim "lastmile/lab/junos"
	"lastmile/lab/sshkey"
	"lastmile/switchagent/junos"
)

// A site is agents before a simulated Junos, over real SSH. Whatever happens in a test, at its end
// no session may have been disturbed, no lock be held, and nobody's edits be gone; and no commit of an agent
// may have had in it what is not its own, or nothing.
type site struct {
	t      *testing.T
	world  *sim.World
	device *sim.Device
	cfg    Config
	agents []*onSite
	ran    int // agents, those that are processes with them
	// disturbs says that the test's operator ends sessions.
	disturbs bool
	// tune changes an agent before it runs.
	tune func(*Agent)
}

// TestMain lets more tests run at once than there are processors: those with a site mostly wait.
// It is also the program of the agents that are killed.
func TestMain(m *testing.M) {
	if path := os.Getenv(agentProcess); path != "" {
		beAgent(path)
	}
	flag.Parse()
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

type onSite struct {
	*Agent
	log  *syncBuffer
	stop func()
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

const siteStatic = `
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
set protocols bgp group servers neighbor fe80::ff description "of the operator"
set protocols bgp group servers neighbor fe80::ff local-interface ge-0/0/9.0
`

// simMinute is the device's minute: long enough for a trial on a busy machine, short enough for a test.
const simMinute = 10 * time.Second

// kinds are the databases; what a test shows should hold in all of them.
var kinds = []junos.Kind{junos.Ephemeral, junos.Private, junos.Shared}

func inEveryDatabase(t *testing.T, test func(t *testing.T, s *site)) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			test(t, newSite(t, "", func(c *Config) { c.Database = kind }))
		})
	}
}

// newSite starts a device of a profile, the easy one if it is empty, and makes the configuration of
// its agents.
func newSite(t *testing.T, profile string, change func(*Config)) *site {
	t.Helper()
	t.Parallel()
	ports := []string{"et-0/0/48.0"}
	interfaces := map[string]string{"et-0/0/48": "et-0-0-48"}
	for i := 1; i <= 9; i++ {
		ports = append(ports, fmt.Sprintf("ge-0/0/%d.0", i))
		interfaces[fmt.Sprintf("ge-0/0/%d", i)] = fmt.Sprintf("ge-0-0-%d", i)
	}
	s := &site{t: t, world: sim.NewWorld(ports...)}
	s.plugAt("et-0/0/48.0", "fe80::201")
	dir := t.TempDir()
	hostKey, key := sshkey.ForTest(t, sshkey.Ed25519, ""), sshkey.ForTest(t, sshkey.Ed25519, filepath.Join(dir, "id"))
	cfg := sim.Config{
		World: s.world, HostName: "leaf1", Model: "qfx5120-48y-8c", Version: "21.4R3.15",
		Static: siteStatic, Interfaces: interfaces, HostKey: hostKey.Signer, Minute: simMinute,
		Users: []sim.User{{Name: "switchagent", AuthorizedKeys: []ssh.PublicKey{key.PublicKey()}}},
	}
	if profile != "" {
		var err error
		if cfg.Profile, err = sim.ProfileNamed(profile); err != nil {
			t.Fatal(err)
		}
	}
	at := s.serve(cfg)
	known := filepath.Join(dir, "known_hosts")
	line := knownhosts.Line([]string{knownhosts.Normalize(at)}, hostKey.PublicKey()) + "\n"
	if err := os.WriteFile(known, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	s.cfg = DefaultConfig()
	s.cfg.Target, s.cfg.User, s.cfg.Key, s.cfg.KnownHosts = at, "switchagent", filepath.Join(dir, "id"), known
	s.cfg.Group, s.cfg.Interfaces = "servers", []string{"ge-0/0/*.0"}
	s.cfg.Unknown, s.cfg.SessionsPerPort = unknownAccept, 1000
	s.cfg.PollInterval, s.cfg.HoldDown = 30*time.Millisecond, 300*time.Millisecond
	s.cfg.Confirm, s.cfg.ConfirmAfter = time.Minute, 200*time.Millisecond
	s.cfg.CommitRate, s.cfg.CommitBurst = 600, 100
	if change != nil {
		change(&s.cfg)
	}
	t.Cleanup(s.check)
	return s
}

func (s *site) serve(cfg sim.Config) (at string) {
	s.t.Helper()
	device, err := sim.New(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- device.Serve(ctx, listener) }()
	s.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Errorf("device: %v", err)
		}
	})
	s.device = device
	return listener.Addr().String()
}

// start starts one more agent. It is not started through the wait of a first failed dial.
func (s *site) start() *onSite {
	s.t.Helper()
	a := &onSite{log: &syncBuffer{}}
	a.Agent = New(s.cfg, slog.New(slog.NewTextHandler(a.log, nil)), prometheus.NewRegistry())
	a.minute = simMinute
	a.planner.quarantine.first = 500 * time.Millisecond
	if s.tune != nil {
		s.tune(a.Agent)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx, func() {}) }()
	a.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Errorf("agent: %v", err)
		}
	})
	s.agents = append(s.agents, a)
	s.ran++
	return a
}

// check stops the agents and looks at what they leave.
func (s *site) check() {
	for _, a := range s.agents {
		a.stop()
		if s.t.Failed() {
			s.t.Logf("log of an agent:\n%s", a.log)
		}
	}
	if disturbed := s.world.Disturbed(); len(disturbed) > 0 && !s.disturbs {
		s.t.Errorf("disturbed sessions: %v", disturbed)
	}
	if !strings.Contains(s.device.Committed(), `neighbor fe80::ff local-interface ge-0/0/9.0`) {
		s.t.Error("the operator's neighbour is gone")
	}
	s.eventually("locks are free", s.free)
	s.wantOwn()
}

func portOf(n int) string    { return fmt.Sprintf("ge-0/0/%d.0", n) }
func addressOf(n int) string { return fmt.Sprintf("fe80::%d", n) }

func (s *site) plug(n int) { s.plugAt(portOf(n), addressOf(n)) }

func (s *site) plugAt(port, address string) {
	s.t.Helper()
	if err := s.world.Plug(port, address, "52:54:00:00:00:01"); err != nil {
		s.t.Fatal(err)
	}
}

// inventory gives the site an inventory with these rows; who is not in it is refused.
func (s *site) inventory(rows string) {
	s.t.Helper()
	s.cfg.Inventory, s.cfg.Unknown = filepath.Join(s.t.TempDir(), "inventory.csv"), unknownRefuse
	s.must(os.WriteFile(s.cfg.Inventory, []byte("port,server,as,prefixes,mac,key_file\n"+rows), 0o600))
}

func (s *site) unplug(n int) {
	s.world.Unplug(portOf(n), addressOf(n))
}

// inject puts faults on the device's list.
func (s *site) inject(faults ...string) {
	s.t.Helper()
	for _, text := range faults {
		f, err := sim.ParseFault(text)
		if err == nil {
			_, err = s.device.Inject(f)
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *site) eventually(what string, holds func() bool) {
	s.t.Helper()
	s.within(3*time.Minute, what, holds)
}

func (s *site) within(limit time.Duration, what string, holds func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(limit); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("not in %s: %s\nstanzas: %v", limit, what, s.stanzas())
		}
	}
}

// stanzas are the servers that have one, whatever the database: "1 2".
func (s *site) stanzas() string {
	var found []string
	merged := s.device.Merged()
	for n := 1; n <= 9; n++ {
		if strings.Contains(merged, fmt.Sprintf("neighbor fe80::%d local-interface ge-0/0/%d.0", n, n)) {
			found = append(found, fmt.Sprint(n))
		}
	}
	return strings.Join(found, " ")
}

// await waits until these servers have a stanza, and no others, nobody is at work and no commit is on trial.
func (s *site) await(want string) {
	s.t.Helper()
	s.eventually("stanzas of "+want+", and nobody is at work", func() bool {
		return s.atRest(func() bool { return s.stanzas() == want })
	})
}

// atRest says whether it holds while nobody is at work and no commit is on trial. It is looked at one after the other,
// and counts if nothing was committed or taken back meanwhile.
func (s *site) atRest(holds func() bool) bool {
	before := len(s.device.History())
	return !s.onTrial() && holds() && s.free() && !s.device.Committing() && len(s.device.History()) == before
}

// free says whether nobody holds a lock.
func (s *site) free() bool { return s.device.LockedBy() == "" && s.device.OpenedBy("lastmile") == "" }

// onTrial says whether the device waits for the confirmation of the newest commit.
func (s *site) onTrial() bool {
	history := s.device.History()
	return len(history) > 0 && strings.HasPrefix(history[len(history)-1].Log, "lastmile: to be confirmed")
}

// changes are the commits of agents that had an effect.
func (s *site) changes() (all []sim.Change) {
	for _, c := range s.device.History() {
		if c.User == "switchagent" && strings.TrimSpace(c.Diff) != "" {
			all = append(all, c)
		}
	}
	return all
}

func (s *site) wantChanges(n int) {
	s.t.Helper()
	// The device notes a commit a moment after it is in force.
	s.eventually("no commit is under way", func() bool { return !s.device.Committing() })
	if got := s.changes(); len(got) != n {
		var diffs []string
		for _, c := range got {
			diffs = append(diffs, c.Diff)
		}
		s.t.Errorf("%d commits with an effect, want %d:\n%s", len(got), n, strings.Join(diffs, "\n"))
	}
}

// rest lets the agents look ten times each and wants no commit meanwhile.
func (s *site) rest() {
	s.t.Helper()
	before := s.device.Stats().RPCs
	s.eventually("a poll", func() bool { return s.device.Stats().RPCs >= before+3*max(len(s.agents), 1) }) // and the last commit is noted
	commits := len(s.changes())
	s.eventually("ten polls", func() bool { return s.device.Stats().RPCs >= before+10*3*max(len(s.agents), 1) })
	s.wantChanges(commits)
}

// operator is somebody else at work.
func (s *site) operator() *sim.Operator {
	o := s.device.Operator("admin")
	s.t.Cleanup(o.Close)
	return o
}

func (s *site) must(errs ...error) {
	s.t.Helper()
	if err := errors.Join(errs...); err != nil {
		s.t.Fatal(err)
	}
}

// edit is set lines of an operator, put where the agents put theirs.
func (s *site) edit(lines string) {
	s.t.Helper()
	o := s.operator()
	defer o.Close()
	s.eventually("nobody else is at work", func() bool {
		if s.cfg.Database == junos.Ephemeral {
			return o.CommitEphemeral(s.t.Context(), "lastmile", lines) == nil
		}
		return o.CommitPrivate(s.t.Context(), lines) == nil
	})
}

func (s *site) logged(text string) bool {
	return slices.ContainsFunc(s.agents, func(a *onSite) bool { return strings.Contains(a.log.String(), text) })
}
