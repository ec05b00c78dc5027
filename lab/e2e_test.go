package lab_test

import (
	"strings"
	"testing"
	"time"

	"lastmile/lab/junos"
)

// Stanzas as rig.await takes them.
const (
	one   = "fe80::1 ge-0/0/1.0"
	two   = "fe80::2 ge-0/0/2.0"
	three = "fe80::3 ge-0/0/3.0"
)

func TestAgentCommitsWhatIsNewAndThenRests(t *testing.T) {
	r := newRig(t, nil)
	r.plug("fe80::1", "ge-0-0-1")
	r.await(one)
	r.rest()
	r.plug("fe80::2", "ge-0-0-2")
	r.await(one, two)
	r.commits(2)
	r.rest()
	r.startAgent(r.agent.Path) // again: what it knew is on the leaf
	r.rest()
	r.commits(2)
}

func TestAgentFillsALeafThatForgot(t *testing.T) {
	r := newRig(t, nil)
	r.plug("fe80::1", "ge-0-0-1")
	r.await(one)
	r.plug("fe80::2", "ge-0-0-2")
	r.await(one, two)
	if err := r.device.Reboot(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.await(one, two)
	r.commits(3) // both in one
	r.boot()     // another device with the same configuration: the first was killed
	r.await(one, two)
	r.commits(1)
	r.rest()
}

func TestAgentRemovesWhoIsGoneAndNotEstablished(t *testing.T) {
	r := newRig(t, nil)
	r.plug("fe80::1", "ge-0-0-1")
	r.plug("fe80::2", "ge-0-0-2")
	r.plug("fe80::3", "ge-0-0-3")
	r.await(one, two, three)
	r.bgp.set("fe80::1", "Established")
	r.bgp.set("fe80::2", "Active")
	gone := time.Now()
	r.unplug("fe80::1", "ge-0-0-1")
	r.unplug("fe80::2", "ge-0-0-2")
	r.await(one, three) // the first is gone for as long
	if after := time.Since(gone); after < holdDown {
		t.Errorf("removed %v after it was gone, before the hold-down of %v", after, holdDown)
	}
	r.rest()
	r.bgp.set("fe80::1", "Idle")
	r.await(three)
	r.rest()
	r.plug("fe80::1", "ge-0-0-1")
	r.await(one, three)
	r.rest()
}

func TestAgentOutlivesItsSession(t *testing.T) {
	r := newRig(t, func(cfg *junos.Config) { cfg.EphemeralCommitTime = 300 * time.Millisecond })
	r.plug("fe80::1", "ge-0-0-1")
	r.eventually(func() bool { return r.device.Stats().Loads > 0 }, func() string { return "nothing is loaded" })
	r.wire.cut() // between load and commit, or with the commit under way
	r.await(one)
	r.rest()
	r.commits(1)
	r.wire.cut() // between two polls, or in one
	r.plug("fe80::2", "ge-0-0-2")
	r.await(one, two)
	r.rest()
	r.commits(2)
}

func TestAgentLeavesTheOperatorsConfigurationAlone(t *testing.T) {
	const operatorsOwn = "set protocols bgp group servers neighbor fe80::aa local-interface ge-0/0/2.0\n"
	// No session shows this one.
	const deactivated = "set protocols bgp group servers neighbor fe80::bb local-interface ge-0/0/3.0\n" +
		"deactivate protocols bgp group servers neighbor fe80::bb\n"
	r := newRig(t, func(cfg *junos.Config) { cfg.Static += operatorsOwn + deactivated })
	send := r.operator()
	// The lock is held, and the candidate changed, all the time.
	send("<lock-configuration/>",
		`<load-configuration action="set"><configuration-set>set system host-name unfinished</configuration-set></load-configuration>`)
	r.plug("fe80::aa", "ge-0-0-2")
	r.plug("fe80::bb", "ge-0-0-3")
	r.plug("fe80::1", "ge-0-0-1")
	r.await(one)
	r.rest()
	r.unplug("fe80::aa", "ge-0-0-2")
	r.unplug("fe80::bb", "ge-0-0-3")
	r.unplug("fe80::1", "ge-0-0-1")
	r.await()
	r.rest()
	r.commits(2)
	for _, c := range r.device.History() {
		if strings.Contains(c.Diff, "fe80::aa") || strings.Contains(c.Diff, "fe80::bb") {
			t.Errorf("an operator's neighbour was changed: %s", c.Diff)
		}
	}
	reply := send("<commit-configuration/>", `<get-configuration database="committed" format="set"/>`)
	for _, line := range []string{operatorsOwn, deactivated, "set system host-name unfinished\n"} {
		if !strings.Contains(reply, line) {
			t.Errorf("the operator's %q is not committed: %s", line, reply)
		}
	}
}

// TestAgentNeedsItsInstance: without one the leaf would load into the shared candidate, on some
// releases.
func TestAgentNeedsItsInstance(t *testing.T) {
	r := newRig(t, func(cfg *junos.Config) {
		cfg.Static = strings.ReplaceAll(cfg.Static, "ephemeral instance lastmile", "ephemeral instance other")
	})
	r.plug("fe80::1", "ge-0-0-1")
	r.eventually(func() bool { return r.device.Stats().Sessions >= 3 }, func() string { return "the agent has not dialled three times" })
	if s := r.device.Stats(); s.Loads != 0 || s.Ephemeral != 0 || s.Commits != 0 {
		t.Errorf("%d loads, %d and %d commits", s.Loads, s.Ephemeral, s.Commits)
	}
}
