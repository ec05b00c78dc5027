package switchagent

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"lastmile/switchagent/junos"
)

// TestTwins: two stanzas of one peer, by the two keys that it can have. Nothing waits for somebody to clean up: one is
// gone on with, the other goes when the session is down, and the policy of both stays.
func TestTwins(t *testing.T) {
	bare, scoped := stanza(peer(1, 1)), stanza(peer(1, 1))
	bare.Import, scoped.Import = junos.RejectAll, junos.RejectAll
	scoped.Key = peer(1, 1).String()
	seen := tables{neighbors: []junos.Neighbor{router(peer(1, 1))}, stanzas: []junos.Stanza{scoped, bare}}
	p := testPolicy().plan(time.Now(), seen, nil)
	if len(p.change.Remove) != 1 || p.change.Remove[0].Place() != scoped.Place() || p.change.Remove[0].Import.Own() || p.refused[peer(1, 1)] != drifted {
		t.Errorf("removed: %+v, refused %v", p.change.Remove, p.refused)
	}
	if err := p.change.Validate(); err != nil {
		t.Error(err)
	}
	alone := junos.Change{Remove: p.change.Remove, From: seen.stanzas}
	for _, c := range alone.Commands() {
		if strings.Contains(c.String(), "policy-options") {
			t.Errorf("%q, which the other has too", c)
		}
	}
	up := p.guarded(free(junos.Session{Peer: peer(1, 1), State: "Established"}))
	if len(up.change.Remove) > 0 {
		t.Error("a stanza goes although the session is up")
	}
}

// TestUnprovenAlone: what cannot be proved harmless holds up none of the others.
func TestUnprovenAlone(t *testing.T) {
	bad, good := stanza(peer(1, 1)), stanza(peer(2, 2))
	bad.Group = "servers neighbor fe80::2" // as if a name could smuggle words in
	p := planned(bad, good).proved(free())
	if len(p.change.Add) != 1 || p.change.Add[0] != good || p.blocked == nil || p.refused[peer(1, 1)] != unproven || len(p.refused) != 1 {
		t.Errorf("%+v", p)
	}
	if text := fmt.Sprint(p.blocked); !strings.Contains(text, "not proved harmless") || strings.Contains(text, "ge-0/0/2.0") {
		t.Errorf("it says %s", text)
	}
}

// TestTwinOnTheLeaf: somebody adds the second key to the instance, while the session is up and while it is down.
func TestTwinOnTheLeaf(t *testing.T) {
	const twin = "protocols bgp group servers neighbor fe80::1%ge-0/0/1.0 "
	s := newSite(t, "24.4R1", func(c *Config) { c.SessionsPerPort = 4 })
	s.plug(1)
	s.start()
	s.await("1")
	s.edit("set " + twin + `description "lastmile: twin"` + "\nset " + twin + "local-interface ge-0/0/1.0")
	s.plug(2)
	s.eventually("others are served", func() bool { return strings.Contains(s.device.Merged(), "neighbor fe80::2 ") })
	s.rest()
	s.disturbs = true // it is the leaf's session that goes
	s.unplug(1)
	s.eventually("both go", func() bool {
		return !strings.Contains(s.device.Merged(), "fe80::1 ") && !strings.Contains(s.device.Merged(), "fe80::1%")
	})
	s.await("2")
}
