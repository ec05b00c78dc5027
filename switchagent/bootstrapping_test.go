package switchagent

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	sim "lastmile/lab/junos"
	"lastmile/lab/sshkey"
	"lastmile/switchagent/junos"
	"lastmile/switchagent/login"
)

// factory is what a leaf has before anybody has thought of servers: a fabric, and SSH.
const factory = `
set system host-name leaf1
set system services ssh
set routing-options router-id 10.255.255.1
set routing-options autonomous-system 65001
set protocols bgp group fabric type external
set protocols bgp group fabric neighbor fc00:1::201 peer-as 65201
set interfaces et-0/0/48 unit 0 family inet6 address fc00:1::200/64
`

// newFactory starts such a leaf. Nobody but admin may log in, and only to the command line.
func newFactory(t *testing.T, profile, more string, change ...func(*sim.Config)) (*site, BootstrapOptions) {
	t.Helper()
	t.Parallel()
	s := &site{t: t, world: sim.NewWorld("et-0/0/48.0", "ge-0/0/1.0", "ge-0/0/2.0", "ge-0/0/3.0")}
	s.world.SetAddress("ge-0/0/3.0", "192.0.2.1/31")
	dir := t.TempDir()
	hostKey, admin := sshkey.ForTest(t, sshkey.Ed25519, ""), sshkey.ForTest(t, sshkey.Ed25519, filepath.Join(dir, "admin"))
	sshkey.ForTest(t, sshkey.Ed25519, filepath.Join(dir, "id"))
	console, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := sim.Config{
		World: s.world, HostName: "leaf1", Model: "qfx5120-48y-8c", Static: factory + more, HostKey: hostKey.Signer, CLI: console,
		Users: []sim.User{{Name: "admin", AuthorizedKeys: []ssh.PublicKey{admin.PublicKey()}}},
	}
	if cfg.Profile, err = sim.ProfileNamed(profile); err != nil {
		t.Fatal(err)
	}
	for _, f := range change {
		f(&cfg)
	}
	at := s.serve(cfg)
	var lines strings.Builder
	for _, addr := range []string{at, console.Addr().String()} {
		fmt.Fprintln(&lines, knownhosts.Line([]string{addr}, hostKey.PublicKey()))
	}
	s.cfg = DefaultConfig()
	s.cfg.KnownHosts = filepath.Join(dir, "known_hosts")
	if err := os.WriteFile(s.cfg.KnownHosts, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	s.cfg.Target, s.cfg.User, s.cfg.Key = at, "switchagent", filepath.Join(dir, "id")
	s.cfg.Group, s.cfg.Interfaces = "servers", []string{"ge-0/0/*.0"}
	s.cfg.Unknown = unknownAccept
	s.cfg.PollInterval = 30 * time.Millisecond
	return s, BootstrapOptions{
		Login: "admin", Credentials: login.Credentials{Key: filepath.Join(dir, "admin")},
		CLI: console.Addr().String(), PeerAS: 64512, Prefixes: 16,
	}
}

func (s *site) bootstrap(o BootstrapOptions, apply bool) BootstrapResult {
	s.t.Helper()
	r, err := s.cfg.Bootstrap(s.t.Context(), o, apply)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// TestFromFactoryToSession: a leaf with nothing but SSH is configured through its command line; then
// the doctor is content, and the first server gets its session.
func TestFromFactoryToSession(t *testing.T) {
	for _, profile := range sim.Profiles() {
		t.Run(profile.Name, func(t *testing.T) {
			s, o := newFactory(t, profile.Name, "")
			if found := s.cfg.Doctor(t.Context()); found[2].Check != "tcp" || found[2].Status != StatusFault || found[2].Mend[0] != "set system services netconf ssh" {
				t.Errorf("before: %+v", found[:3])
			}
			before := s.device.Committed()
			printed := s.bootstrap(o, false)
			if printed.Via != "cli" || printed.Applied || len(printed.Missing) < 30 || s.device.Committed() != before {
				t.Errorf("printed: %+v", printed)
			}
			s.expectGolden(printed.Missing)
			if !slices.Equal(printed.Skipped, []string{"ge-0/0/3.0"}) {
				t.Errorf("skipped %q", printed.Skipped)
			}
			applied := s.bootstrap(o, true)
			if !applied.Applied || !slices.Equal(applied.Missing, printed.Missing) {
				t.Errorf("applied: %+v", applied)
			}
			again := s.bootstrap(o, true)
			if again.Via != "netconf" || again.Applied || len(again.Missing)+len(again.Other) > 0 {
				t.Errorf("again: %+v", again)
			}
			if s.device.Candidate() != s.device.Committed() || s.device.LockedBy() != "" {
				t.Error("somebody's candidate is not as it was")
			}
			for _, f := range s.cfg.Doctor(t.Context()) {
				if f.Status != StatusOK {
					t.Errorf("doctor: %+v", f)
				}
			}
			s.plug(1)
			s.start()
			s.await("1")
			s.eventually("the session is up", func() bool { return s.world.Established("ge-0/0/1.0", "fe80::1") })
			s.agents[0].stop()
		})
	}
}

// expectGolden wants the same lines of every release.
func (s *site) expectGolden(lines []string) {
	s.t.Helper()
	want, err := os.ReadFile("bootstrap/testdata/ephemeral.set")
	s.must(err)
	key := regexp.MustCompile(`AAAA[A-Za-z0-9+/=]{20,}`)
	got := key.ReplaceAllString(strings.Join(lines, "\n")+"\n", "AAAA...")
	if diff := cmp.Diff(string(want), got); diff != "" {
		s.t.Errorf("printed (-want +got):\n%s", diff)
	}
}

// TestBootstrapOverNetconf: where NETCONF is enabled and half of it is there, only the other half comes,
// and what differs is named and stays.
func TestBootstrapOverNetconf(t *testing.T) {
	s, o := newFactory(t, "21.4R1", `
set system services netconf ssh
set protocols bgp group servers type internal
set protocols bgp group servers peer-as 64999
set protocols bgp group servers family inet unicast prefix-limit maximum 100
set protocols router-advertisement interface ge-0/0/1.0 max-advertisement-interval 30
set interfaces ge-0/0/2 unit 0 family ethernet-switching vlan members v1
`)
	r := s.bootstrap(o, true)
	if r.Via != "netconf" || !r.Applied {
		t.Errorf("%+v", r)
	}
	var others []string
	for _, other := range r.Other {
		others = append(others, other.Is)
	}
	slices.Sort(others)
	want := []string{
		"set interfaces ge-0/0/2 unit 0 family ethernet-switching vlan members v1",
		"set protocols bgp group servers family inet unicast prefix-limit maximum 100",
		"set protocols bgp group servers peer-as 64999",
		"set protocols bgp group servers type internal",
		"set protocols router-advertisement interface ge-0/0/1.0 max-advertisement-interval 30",
	}
	if !slices.Equal(others, want) {
		t.Errorf("left alone:\n%s", strings.Join(others, "\n"))
	}
	for _, line := range want {
		if !strings.Contains(s.device.Committed(), line) {
			t.Errorf("gone: %s", line)
		}
	}
	if again := s.bootstrap(o, true); again.Applied || len(again.Missing) > 0 {
		t.Errorf("again: %+v", again)
	}
}

// TestBootstrapLeavesOthersAlone: an operator at work is waited for, not pushed aside.
func TestBootstrapLeavesOthersAlone(t *testing.T) {
	for _, netconf := range []string{"", "set system services netconf ssh\n"} {
		t.Run(fmt.Sprintf("netconf %v", netconf != ""), func(t *testing.T) {
			s, o := newFactory(t, "21.4R1", netconf)
			operator := s.operator()
			s.must(operator.Edit(t.Context(), "set system domain-name half.done"))
			before := s.device.Committed()
			if _, err := s.cfg.Bootstrap(t.Context(), o, true); err == nil {
				t.Error("no error while somebody edits the candidate")
			}
			if s.device.Committed() != before || !strings.Contains(s.device.Candidate(), "half.done") {
				t.Error("somebody's edits were touched")
			}
		})
	}
}

// TestBootstrapNeedsAnAS: there is no AS of servers that is right everywhere.
func TestBootstrapNeedsAnAS(t *testing.T) {
	s, o := newFactory(t, "21.4R1", "")
	o.PeerAS = 0
	if _, err := s.cfg.Bootstrap(t.Context(), o, false); err == nil || !strings.Contains(err.Error(), "no peer-as") {
		t.Errorf("got %v", err)
	}
	s.inventory("ge-0/0/1.0,bms1,4200000101,10.0.0.1/32,,\n") // one for every neighbour
	if _, err := s.cfg.Bootstrap(t.Context(), o, false); err != nil {
		t.Error(err)
	}
	s.cfg.Unknown = unknownQuarantine
	if _, err := s.cfg.Bootstrap(t.Context(), o, false); err == nil || !strings.Contains(err.Error(), "no peer-as") {
		t.Errorf("with neighbours that are not listed: %v", err)
	}
}

// TestClassHoldsTheAgentBack: with the rights that bootstrap gives, the agent's login can change nothing
// but neighbours.
func TestClassHoldsTheAgentBack(t *testing.T) {
	s, o := newFactory(t, "21.4R1", "")
	s.bootstrap(o, true)
	s.agentMayNot(
		"set system login user intruder class super-user",
		"set system services ssh root-login allow",
		"set protocols bgp group servers import accept-all",
		"set protocols bgp group fabric neighbor fc00:1::201 shutdown",
		"set protocols bgp group servers neighbor 192.0.2.1 peer-as 1",
		"set protocols bgp group servers neighbor fe80::9 export all",
		"set protocols bgp group servers neighbor fe80::9 multihop ttl 9",
		"set policy-options policy-statement lastmile-reject then accept",
		"set policy-options policy-statement other then accept",
		"set routing-options static route 0.0.0.0/0 discard",
		"set interfaces et-0/0/48 unit 0 disable",
		"delete system services ssh",
	)
	s.agentMay("set protocols bgp group servers neighbor fe80::9 local-interface ge-0/0/1.0")
	s.agentMay("set policy-options policy-statement lastmile-ge-0-0-1-0-abcd then reject")
	s.agentMay("set protocols bgp group servers neighbor fe80::9 import lastmile-ge-0-0-1-0-abcd")
}

// asAgent commits lines with the agent's login.
func (s *site) asAgent(lines ...string) (junos.Outcome, error) {
	s.t.Helper()
	target, err := s.cfg.target()
	s.must(err)
	client, err := junos.Dial(s.t.Context(), target, func(junos.Trace) {})
	s.must(err)
	defer client.Close()
	return client.CommitLines(s.t.Context(), lines, "test")
}

// agentMay wants the lines to be taken in one commit, and agentMayNot each of them to be refused.
func (s *site) agentMay(lines ...string) {
	s.t.Helper()
	_, err := s.asAgent(lines...)
	s.must(err)
}

func (s *site) agentMayNot(lines ...string) {
	s.t.Helper()
	for _, line := range lines {
		if outcome, err := s.asAgent(line); err == nil || outcome != junos.Refused {
			s.t.Errorf("%s: %v %v", line, outcome, err)
		}
	}
}

// TestLastStanzaGoes: with the rights that bootstrap gives, the last stanza can be removed, and another be put
// into the group that is left empty by it.
func TestLastStanzaGoes(t *testing.T) {
	s, o := newFactory(t, "21.4R1", "")
	s.bootstrap(o, true)
	s.inventory("ge-0/0/1.0,bms1,4200000101,10.0.0.1/32,,\n")
	s.plug(1)
	for range 2 {
		s.must(s.operateFast().Apply(t.Context()))
		s.await("1")
		_, err := s.operateFast().Rollback(t.Context(), true, true)
		s.must(err)
		s.await("")
	}
	s.edit("set protocols bgp group servers")
	s.must(s.operateFast().Apply(t.Context()))
	s.await("1")
	s.disturbs = true
}
