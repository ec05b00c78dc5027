package switchagent

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	sim "lastmile/lab/junos"
	"lastmile/lab/sshkey"
	"lastmile/switchagent/junos"
)

// TestKilledAtEveryStep: an agent is killed at each operation of a commit, before and after the leaf has done
// it, and the leaf takes a while to notice: its session, with what it holds, stays. The next agent takes nothing
// away from it, waits, and makes the change once.
func TestKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	steps := map[string]string{
		"open":   "open-configuration|lock-configuration",
		"load":   "load-configuration",
		"commit": "commit-configuration",
		"close":  "close-configuration|unlock-configuration",
	}
	for step, rpc := range steps {
		for when, fault := range map[string]string{"before": "slow", "after": "stall"} {
			t.Run(step+" "+when, func(t *testing.T) {
				inEveryDatabase(t, func(t *testing.T, s *site) {
					// Nobody but the agent that is killed knows what was up before its trial: the leaf takes it back.
					s.disturbs = s.cfg.Database == junos.Shared && step == "commit"
					s.inject(fault + " delay=1s rpc=" + rpc)
					s.plug(1)
					s.plug(2)
					p := s.launch()
					s.eventually("it is there", func() bool { return len(s.device.Strikes()) > 0 })
					p.kill(t)
					p.input.Close()
					s.start()
					s.await("1 2")
					s.rest()
					s.eachOnce("+1 +2")
				})
			})
		}
	}
}

// wrongKey is the host key that the device shows while the fault lasts.
func (s *site) wrongKey() (shown ssh.PublicKey) {
	s.t.Helper()
	s.inject("host-key")
	config := &ssh.ClientConfig{User: "nobody", HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
		shown = key
		return nil
	}}
	if client, err := ssh.Dial("tcp", s.cfg.Target, config); err == nil {
		client.Close()
	}
	if shown == nil {
		s.t.Fatal("the device has shown no key")
	}
	return shown
}

// pin adds a host key to those that are pinned.
func (s *site) pin(key ssh.PublicKey) {
	s.t.Helper()
	text, err := os.ReadFile(s.cfg.KnownHosts)
	line := knownhosts.Line([]string{knownhosts.Normalize(s.cfg.Target)}, key) + "\n"
	s.must(err, os.WriteFile(s.cfg.KnownHosts, append(text, line...), 0o600))
}

// TestSwitchover: the other routing engine takes over, with a host key of its own, which is pinned, and
// refuses the first commit, as its peer is not there yet.
func TestSwitchover(t *testing.T) {
	inEveryDatabase(t, func(t *testing.T, s *site) {
		s.pin(s.wrongKey())
		s.cfg.Synchronize = true
		s.plug(1)
		a := s.start()
		s.await("1")
		s.inject("host-key count=all", "slow rpc=connect delay=300ms", "error", "drop")
		s.plug(2)
		s.await("1 2")
		s.rest()
		s.eachOnce("+1 +2")
		if n := testutil.ToFloat64(a.metrics.commits.WithLabelValues(resultLocked)); n != 1 {
			t.Errorf("%v commits met the lock of the other engine", n)
		}
	})
}

// TestHostKeyRotated: who has another host key than those that are pinned is not spoken to, until somebody pins
// it. Nobody restarts anything.
func TestHostKeyRotated(t *testing.T) {
	inEveryDatabase(t, func(t *testing.T, s *site) {
		key := s.wrongKey()
		s.plug(1)
		a := s.start()
		s.await("1")
		s.inject("host-key count=all", "drop")
		s.plug(2)
		s.eventually("it is refused", func() bool { return testutil.ToFloat64(a.metrics.dials.WithLabelValues("host_key")) > 0 })
		s.eventually("somebody is told", func() bool { return s.logged(ssh.FingerprintSHA256(key)) })
		if got := s.stanzas(); got != "1" {
			t.Errorf("stanzas of %s", got)
		}
		s.pin(key)
		s.await("1 2")
		s.rest()
		s.eachOnce("+1 +2")
	})
}

// TestUserKeyRotated: the leaf takes another key of the agent's from now on. The agent is refused, does not try
// so often that it would be locked out, and goes on as soon as its file holds the new key.
func TestUserKeyRotated(t *testing.T) {
	inEveryDatabase(t, func(t *testing.T, s *site) {
		authorise := func(key sshkey.Key) string {
			line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key.PublicKey())))
			return `set system login user rotating authentication ssh-ed25519 "` + line + `"`
		}
		dir := t.TempDir()
		s.cfg.User, s.cfg.Key = "rotating", filepath.Join(dir, "id")
		o := s.operator()
		s.must(o.CommitPrivate(t.Context(), "set system login user rotating class super-user\n"+authorise(sshkey.ForTest(t, sshkey.Ed25519, s.cfg.Key))))
		s.plug(1)
		a := s.start()
		s.await("1")
		next := filepath.Join(dir, "next")
		s.must(o.CommitPrivate(t.Context(), "delete system login user rotating authentication\n"+authorise(sshkey.ForTest(t, sshkey.Ed25519, next))))
		s.inject("drop")
		s.plug(2)
		denied := func() float64 { return testutil.ToFloat64(a.metrics.dials.WithLabelValues("auth")) }
		s.eventually("it is refused", func() bool { return denied() > 0 })
		time.Sleep(2 * time.Second)
		if n := denied(); n > 1 {
			t.Errorf("%v attempts in 2 s", n)
		}
		s.must(os.Rename(next, s.cfg.Key))
		s.await("1 2")
		s.rest()
		s.eachOnce("+1 +2")
	})
}

// TestNobodyIsAbsentFromAFaultyTable: servers whose sessions are down, so that nothing else protects
// their stanzas.
func TestNobodyIsAbsentFromAFaultyTable(t *testing.T) {
	t.Parallel()
	for _, fault := range []string{
		"empty count=40", "truncate count=40", `error rpc=get-ipv6-nd-information count=40 text="daemon is not running"`,
		"error rpc=get-ipv6-ra-information count=40", "drop rpc=get-ipv6-nd-information after=300 count=3",
		"malformed rpc=get-ipv6-nd-information count=3",
	} {
		t.Run(fault, func(t *testing.T) {
			inEveryDatabase(t, func(t *testing.T, s *site) {
				for n := 1; n <= 4; n++ {
					s.world.SetSilent(portOf(n), addressOf(n), true)
					s.plug(n)
				}
				s.start()
				s.await("1 2 3 4")
				s.inject(fault)
				s.eventually("the faults are over", func() bool { return len(s.device.Faults()) == 0 })
				s.rest()
				s.wantChanges(1)
			})
		})
	}
}

// TestServerThatMoves to another port: the stanza follows it.
func TestServerThatMoves(t *testing.T) {
	t.Parallel()
	for _, profile := range []string{"18.4R1", "24.4R1"} {
		t.Run(profile, func(t *testing.T) {
			s := newSite(t, profile, nil)
			s.plug(1)
			s.start()
			s.await("1")
			s.unplug(1)
			s.plugAt("ge-0/0/2.0", "fe80::1")
			s.eventually("it is there", func() bool {
				all := s.device.Merged()
				return strings.Contains(all, "local-interface ge-0/0/2.0") && !strings.Contains(all, "local-interface ge-0/0/1.0")
			})
			s.rest()
			s.eachOnce("+1 +2 -1")
			if !s.world.Established("ge-0/0/2.0", "fe80::1") {
				t.Error("its session is down")
			}
		})
	}
}

// TestHugeTable: as many neighbours as a leaf's table holds, on interfaces that are not the agent's.
func TestHugeTable(t *testing.T) {
	s := newSite(t, "", func(c *Config) { c.PollInterval, c.HoldDown = time.Second, time.Second })
	table := sim.SyntheticNeighbors(75_000, 48)
	s.world.SetNeighbors(append(table, sim.Neighbor{
		Address: "fe80::1", MAC: "52:54:00:00:00:01", State: "reachable", Interface: "ge-0/0/1.0", Router: true,
	}))
	a := s.start()
	s.within(2*time.Minute, "it has a stanza", func() bool { return s.stanzas() == "1" })
	s.world.SetNeighbors(table)
	s.within(2*time.Minute, "it has none", func() bool { return s.stanzas() == "" })
	if n := testutil.ToFloat64(a.metrics.polls.WithLabelValues(resultTruncated)); n > 0 {
		t.Errorf("%v tables were not whole", n)
	}
	s.wantChanges(2)
	s.eachOnce("+1 -1")
}

// TestMistakeOfOthersIsNamed: what stands in the way of a commit and is not ours is logged with where it is.
func TestMistakeOfOthersIsNamed(t *testing.T) {
	t.Parallel()
	for _, kind := range []junos.Kind{junos.Private, junos.Shared} {
		t.Run(string(kind), func(t *testing.T) {
			s := newSite(t, "", func(c *Config) { c.Database = kind })
			o := s.operator()
			s.inject(`error text="[edit interfaces ge-0/0/7]: Only unit 0 is valid for this encapsulation"`)
			s.must(o.CommitPrivate(t.Context(), "set policy-options community operator-1 members 65001:1"))
			s.plug(1)
			s.start()
			s.await("1")
			s.rest()
			s.eachOnce("+1")
			if !s.logged("[edit interfaces ge-0/0/7]") {
				t.Error("nobody is told where")
			}
			if !strings.Contains(s.device.Committed(), "operator-1") {
				t.Error("the operator's commit is gone")
			}
		})
	}
}
