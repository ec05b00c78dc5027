package switchagent

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/switchagent/junos"
)

// TestUnprovenIsSaid: what cannot be proved harmless is in the log once, with the command, and in the health, while the
// others are served.
func TestUnprovenIsSaid(t *testing.T) {
	f := newFakeLeaf()
	odd := stanza(peer(9, 3))
	odd.Group = "of a b" // which is gone with its server, and no command about it can be read
	f.stanzas[odd.Peer] = odd
	f.plug(peer(1, 1))
	run(t, f, func(t *testing.T, a running) {
		a.after(2 * time.Minute)
		f.plug(peer(2, 2))
		a.after(time.Hour)
		if len(f.commits) != 2 || len(f.stanzas) != 3 {
			t.Errorf("%d commits, %d stanzas", len(f.commits), len(f.stanzas))
		}
		if n := strings.Count(a.log.String(), "not proved harmless"); n != 1 || !strings.Contains(a.log.String(), "group of a b") {
			t.Errorf("logged %d times:\n%s", n, a.log)
		}
		if err := a.Health(); err == nil || !strings.Contains(err.Error(), "not proved harmless") {
			t.Errorf("health: %v", err)
		}
		delete(f.stanzas, odd.Peer)
		a.after(time.Minute)
		if err := a.Health(); err != nil {
			t.Errorf("mended, health: %v", err)
		}
	})
}

// TestApplyWithoutAS: it says why nothing is done, and does not end as if all were there.
func TestApplyWithoutAS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeLeaf()
		f.plug(one)
		o, h := atFake(f, nil)
		f.noAS = errors.New(`bgp group "servers" has no peer-as`)
		err := o.Apply(t.Context())
		if err == nil || errors.Is(err, ErrRemains) || !strings.Contains(err.Error(), "no peer-as") {
			t.Errorf("got %v, told %q", err, h.said)
		}
		h.want(t, "plan ")
	})
}

const siteWithoutAS = `
delete protocols bgp group servers peer-as
set protocols bgp group servers neighbor fe80::ff peer-as 64999
`

// TestGroupWithoutAS: who is not listed has no AS and waits for that of the group. Who is listed has one, and does not wait
// for anybody.
func TestGroupWithoutAS(t *testing.T) {
	inEveryDatabase(t, func(t *testing.T, s *site) {
		s.disturbs = true // the operator's neighbour
		s.inventory("ge-0/0/1.0,bms1,4200000101,10.0.0.1/32,,\n")
		s.cfg.Unknown = unknownQuarantine
		s.must(s.operator().CommitPrivate(t.Context(), siteWithoutAS))
		s.plug(1)
		s.plug(3)
		a := s.start()
		s.await("1")
		s.eventually("it says why", func() bool { return a.Health() != nil && strings.Contains(a.Health().Error(), "has no peer-as") })
		s.rest()
		if n := strings.Count(a.log.String(), "has no peer-as"); n != 1 || strings.Contains(a.log.String(), "nothing is committed") {
			t.Errorf("logged %d times:\n%s", n, a.log)
		}
		v := s.plan()
		if !strings.Contains(v.Blocked, "has no peer-as") {
			t.Errorf("plan: %+v", v)
		}
		s.must(s.operator().CommitPrivate(t.Context(), "set protocols bgp group servers peer-as 64512"))
		s.await("1 3")
		s.eventually("it is well", func() bool { return a.Health() == nil })
	})
}

// TestEditsWithoutAS: an edit that would leave a neighbour without an AS waits; what it accepts does not.
func TestEditsWithoutAS(t *testing.T) {
	g := free()
	g.noAS = errors.New("no peer-as")
	from := stanza(peer(1, 1))
	from.PeerAS, from.Import = 64513, junos.Accept([]uint32{64513}, []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32")}, false)
	to := from
	to.PeerAS, to.Import = 0, junos.RejectAll
	wanted := planned()
	wanted.change = junos.Change{From: []junos.Stanza{from}, Edit: []junos.Edit{{From: from, To: to}}}
	p := wanted.guarded(g)
	if len(p.change.Edit) != 1 || p.change.Edit[0].To.PeerAS != 64513 || p.change.Edit[0].To.Import != junos.RejectAll {
		t.Errorf("%+v", p.change.Edit)
	}
	if p.refused[peer(1, 1)] != unusableGroup || p.blocked != g.noAS {
		t.Errorf("%v, %v", p.refused, p.blocked)
	}
}
