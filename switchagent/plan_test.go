package switchagent

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lastmile/switchagent/junos"
)

var epoch = time.Date(2026, 11, 5, 12, 0, 0, 0, time.UTC)

func testConfig() Config {
	c := DefaultConfig()
	c.Target, c.User, c.Key, c.KnownHosts = "leaf1", "switchagent", "key", "known_hosts"
	c.Group, c.Interfaces = "servers", []string{"ge-0/0/*.0"}
	c.Unknown, c.SessionsPerPort = unknownAccept, 1000
	return c
}

func testPolicy() policy {
	c := testConfig()
	return c.policy()
}

// peer is fe80::N on port P.
func peer(n, port int) netip.Addr {
	return netip.MustParseAddr(fmt.Sprintf("fe80::%x%%ge-0/0/%d.0", n, port))
}

func router(addr netip.Addr) junos.Neighbor {
	return junos.Neighbor{Addr: addr.WithZone(""), Interface: addr.Zone(), MAC: "52:54:00:00:00:01", State: "reachable", Router: true}
}

// spine is a neighbour on a port that is not ours: a leaf that works has one.
var spine = router(netip.MustParseAddr("fe80::99%et-0/0/48.0"))

func with(n junos.Neighbor, change func(*junos.Neighbor)) junos.Neighbor {
	change(&n)
	return n
}

func stanza(addr netip.Addr) junos.Stanza {
	return junos.Stanza{Group: "servers", Peer: addr, Description: describe(router(addr)), Key: addr.WithZone("").String()}
}

// free is guards of a leaf with four server ports and one session to a spine.
func free(sessions ...junos.Session) guards {
	g := guards{
		sessions:   append(sessions, junos.Session{Peer: netip.MustParseAddr("fc00:1::1"), State: "Established"}),
		interfaces: map[string]junos.Interface{},
	}
	for port := range 4 {
		g.interfaces[fmt.Sprintf("ge-0/0/%d.0", port)] = addrs(netip.MustParsePrefix("fe80::ff/64"))
	}
	return g
}

func addrs(prefixes ...netip.Prefix) junos.Interface { return junos.Interface{Addrs: prefixes} }

// planned is a plan that adds stanzas.
func planned(add ...junos.Stanza) plan {
	return plan{change: junos.Change{Add: add}, report: report{refused: map[netip.Addr]refusal{}}}
}

// String shows a plan as a table test writes it: +peer -peer, =peer edited, absent as ~peer, refused as ?peer=why.
func (p plan) String() string {
	var words []string
	for _, s := range p.change.Add {
		words = append(words, "+"+s.Peer.String())
	}
	for _, s := range p.change.Remove {
		words = append(words, "-"+s.Peer.String())
	}
	for _, e := range p.change.Edit {
		words = append(words, "="+e.To.Peer.String())
	}
	for s := range p.absent {
		words = append(words, "~"+s.Peer.String())
	}
	for peer, reason := range p.refused {
		words = append(words, fmt.Sprintf("?%s=%s", peer, reason))
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

// global is an address that makes a port somebody else's.
var global = netip.MustParsePrefix("2001:db8::1/64")

// additions is what is seen on a leaf, and what plan makes of it in words: + a stanza, ? a refusal, ~ one that is kept for now.
var additions = []struct {
	name   string
	seen   tables
	guards func(*guards)
	want   string
}{
	{"nothing seen", tables{}, nil, ""},
	{"router", tables{neighbors: []junos.Neighbor{router(peer(1, 1))}}, nil, "+fe80::1%ge-0/0/1.0"},
	{"two at once", tables{neighbors: []junos.Neighbor{router(peer(2, 2)), router(peer(1, 1))}}, nil, "+fe80::1%ge-0/0/1.0 +fe80::2%ge-0/0/2.0"},
	{"two on one port", tables{neighbors: []junos.Neighbor{router(peer(2, 1)), router(peer(1, 1))}}, nil, "+fe80::1%ge-0/0/1.0 +fe80::2%ge-0/0/1.0"},
	{"already there", tables{neighbors: []junos.Neighbor{router(peer(1, 1))}, stanzas: []junos.Stanza{stanza(peer(1, 1))}}, nil, ""},
	{"port that is not ours", tables{neighbors: []junos.Neighbor{router(netip.MustParseAddr("fe80::1%xe-0/0/1.0"))}}, nil, ""},
	{"ordinary host", tables{neighbors: []junos.Neighbor{with(router(peer(1, 1)), func(n *junos.Neighbor) { n.Router = false })}}, nil, "?fe80::1%ge-0/0/1.0=not_router"},
	{"server that does not forward, but advertises", tables{
		neighbors:   []junos.Neighbor{with(router(peer(1, 1)), func(n *junos.Neighbor) { n.Router = false })},
		advertisers: []netip.Addr{peer(1, 1)},
	}, nil, "+fe80::1%ge-0/0/1.0"},
	{"advertises on another port", tables{
		neighbors:   []junos.Neighbor{with(router(peer(1, 1)), func(n *junos.Neighbor) { n.Router = false })},
		advertisers: []netip.Addr{peer(1, 2)},
	}, nil, "?fe80::1%ge-0/0/1.0=not_router"},
	{"advertises, but is no neighbour", tables{advertisers: []netip.Addr{peer(1, 1)}}, nil, ""},
	{"no mac", tables{neighbors: []junos.Neighbor{with(router(peer(1, 1)), func(n *junos.Neighbor) { n.MAC = "" })}}, nil, "?fe80::1%ge-0/0/1.0=unresolved"},
	{"stale is there", tables{neighbors: []junos.Neighbor{with(router(peer(1, 1)), func(n *junos.Neighbor) { n.State = "stale" })}}, nil, "+fe80::1%ge-0/0/1.0"},
	{"unreachable is not", tables{neighbors: []junos.Neighbor{with(router(peer(1, 1)), func(n *junos.Neighbor) { n.State = "unreachable" })}}, nil, "?fe80::1%ge-0/0/1.0=unresolved"},
	{"incomplete is not", tables{neighbors: []junos.Neighbor{with(router(peer(1, 1)), func(n *junos.Neighbor) { n.State = "incomplete" })}}, nil, "?fe80::1%ge-0/0/1.0=unresolved"},
	{"same address on two ports", tables{neighbors: []junos.Neighbor{router(peer(1, 2)), router(peer(1, 1))}}, nil, "+fe80::1%ge-0/0/1.0 ?fe80::1%ge-0/0/2.0=duplicate"},
	{"the incumbent stays", tables{
		neighbors: []junos.Neighbor{router(peer(1, 2)), router(peer(1, 1))}, stanzas: []junos.Stanza{stanza(peer(1, 2))},
	}, nil, "?fe80::1%ge-0/0/1.0=duplicate"},
	{"moved to another port", tables{
		neighbors: []junos.Neighbor{router(peer(1, 1))}, stanzas: []junos.Stanza{stanza(peer(1, 2))},
	}, nil, "?fe80::1%ge-0/0/1.0=duplicate ~fe80::1%ge-0/0/2.0"},
	{"both committed, as from 20.4R1 on", tables{
		neighbors: []junos.Neighbor{router(peer(1, 1)), router(peer(1, 2))}, stanzas: []junos.Stanza{stanza(peer(1, 1)), stanza(peer(1, 2))},
	}, nil, ""},
	{"addressed port", tables{neighbors: []junos.Neighbor{router(peer(1, 1))}}, func(g *guards) {
		g.interfaces["ge-0/0/1.0"] = addrs(netip.MustParsePrefix("fe80::ff/64"), global)
	}, "?fe80::1%ge-0/0/1.0=interface_addressed"},
	{"port with an IPv4 address", tables{neighbors: []junos.Neighbor{router(peer(1, 1))}}, func(g *guards) {
		g.interfaces["ge-0/0/1.0"] = addrs(netip.MustParsePrefix("169.254.1.1/16"))
	}, "?fe80::1%ge-0/0/1.0=interface_addressed"},
	{"port with an address nobody understands", tables{neighbors: []junos.Neighbor{router(peer(1, 1))}}, func(g *guards) {
		g.interfaces["ge-0/0/1.0"] = addrs(netip.Prefix{})
	}, "?fe80::1%ge-0/0/1.0=interface_addressed"},
	{"port without any address", tables{neighbors: []junos.Neighbor{router(peer(1, 1))}}, func(g *guards) {
		g.interfaces["ge-0/0/1.0"] = junos.Interface{}
	}, "+fe80::1%ge-0/0/1.0"},
	{"port that is not listed", tables{neighbors: []junos.Neighbor{router(peer(1, 1))}}, func(g *guards) {
		delete(g.interfaces, "ge-0/0/1.0")
	}, "?fe80::1%ge-0/0/1.0=interface_unknown"},
	{"peer of somebody else", tables{neighbors: []junos.Neighbor{router(peer(1, 1)), router(peer(2, 1))}}, func(g *guards) {
		g.sessions = append(g.sessions, junos.Session{Peer: netip.MustParseAddr("fe80::1"), State: "Idle"})
	}, "+fe80::2%ge-0/0/1.0 ?fe80::1%ge-0/0/1.0=foreign_session"},
	{"peer of somebody else on another port", tables{neighbors: []junos.Neighbor{router(peer(1, 1))}}, func(g *guards) {
		g.sessions = append(g.sessions, junos.Session{Peer: peer(1, 2), State: "Idle"})
	}, "+fe80::1%ge-0/0/1.0"},
	{"peer of somebody else, bgp does not run yet", tables{neighbors: []junos.Neighbor{router(peer(1, 1)), router(peer(2, 1))}}, func(g *guards) {
		g.sessions, g.static = nil, []junos.Stanza{{Group: "other", Peer: netip.MustParseAddr("fe80::1")}}
	}, "+fe80::2%ge-0/0/1.0 ?fe80::1%ge-0/0/1.0=foreign_session"},
	{"no group", tables{neighbors: []junos.Neighbor{router(peer(1, 1)), router(peer(2, 2))}}, func(g *guards) {
		g.group = errors.New("bgp group is not configured")
		g.interfaces["ge-0/0/2.0"] = addrs(global)
	}, "?fe80::1%ge-0/0/1.0=group_unusable ?fe80::2%ge-0/0/2.0=interface_addressed"},
	{"bgp does not run yet", tables{neighbors: []junos.Neighbor{router(peer(1, 1))}}, func(g *guards) { g.sessions = nil }, "+fe80::1%ge-0/0/1.0"},
}

func TestPlanAdds(t *testing.T) {
	for _, tt := range additions {
		t.Run(tt.name, func(t *testing.T) {
			g := free()
			if tt.guards != nil {
				tt.guards(&g)
			}
			got := testPolicy().plan(epoch, tt.seen, nil).guarded(g)
			if diff := cmp.Diff(tt.want, got.String()); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
			for _, s := range got.change.Add {
				if err := s.Validate(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestPlanStanza(t *testing.T) {
	p := testPolicy().plan(epoch, tables{neighbors: []junos.Neighbor{router(peer(1, 1))}}, nil)
	want := junos.Stanza{Group: "servers", Peer: peer(1, 1), Description: "lastmile: 52:54:00:00:00:01 on ge-0/0/1.0"}
	if p.change.Add[0] != want {
		t.Errorf("got %+v, want %+v", p.change.Add[0], want)
	}
}

func TestPlanRemoves(t *testing.T) {
	gone := tables{stanzas: []junos.Stanza{stanza(peer(1, 1))}, neighbors: []junos.Neighbor{spine}}
	lately := epoch.Add(-2 * time.Second)
	long := map[junos.Stanza]absence{stanza(peer(1, 1)): {epoch.Add(-time.Hour), 100, lately}}
	elsewhere := stanza(peer(1, 1))
	elsewhere.Group = "old"
	bare := stanza(netip.MustParseAddr("fe80::1"))
	down := junos.Session{Peer: netip.MustParseAddr("fe80::1"), State: "Active"}
	up := junos.Session{Peer: netip.MustParseAddr("fe80::1"), State: "Established"}
	tests := []struct {
		name   string
		seen   tables
		before map[junos.Stanza]absence
		guards guards
		want   string
	}{
		{"first miss", gone, nil, free(down), "~fe80::1%ge-0/0/1.0"},
		{"within the hold-down", gone, map[junos.Stanza]absence{stanza(peer(1, 1)): {epoch.Add(-59 * time.Second), 29, lately}}, free(down), "~fe80::1%ge-0/0/1.0"},
		{"after the hold-down", gone, map[junos.Stanza]absence{stanza(peer(1, 1)): {epoch.Add(-60 * time.Second), 30, lately}}, free(down), "-fe80::1%ge-0/0/1.0 ~fe80::1%ge-0/0/1.0"},
		{"long ago, but one poll only", gone, map[junos.Stanza]absence{stanza(peer(1, 1)): {epoch.Add(-time.Hour), 1, lately}}, free(down), "~fe80::1%ge-0/0/1.0"},
		{"nobody looked for a minute", gone, map[junos.Stanza]absence{stanza(peer(1, 1)): {epoch.Add(-66 * time.Second), 3, epoch.Add(-time.Minute)}}, free(down), "~fe80::1%ge-0/0/1.0"},
		{"polls as rare as the hold-down", gone, map[junos.Stanza]absence{stanza(peer(1, 1)): {epoch.Add(-90 * time.Second), 2, epoch.Add(-time.Minute)}}, free(down), "-fe80::1%ge-0/0/1.0 ~fe80::1%ge-0/0/1.0"},
		{"established", gone, long, free(up), "~fe80::1%ge-0/0/1.0"},
		{"established, listed with its interface", gone, long, free(junos.Session{Peer: peer(1, 1), State: "Establ"}), "~fe80::1%ge-0/0/1.0"},
		{"in a state that nobody knows", gone, long, free(junos.Session{Peer: peer(1, 1), State: "0/0/0/0"}), "~fe80::1%ge-0/0/1.0"},
		{"another is established", gone, long, free(junos.Session{Peer: peer(1, 2), State: "Established"}), "-fe80::1%ge-0/0/1.0 ~fe80::1%ge-0/0/1.0"},
		{"not listed", gone, long, free(), "-fe80::1%ge-0/0/1.0 ~fe80::1%ge-0/0/1.0"},
		{"nothing listed", gone, long, guards{interfaces: free().interfaces}, "~fe80::1%ge-0/0/1.0"},
		{"a table without anybody", tables{stanzas: gone.stanzas}, long, free(down), ""},
		{"back again", tables{stanzas: gone.stanzas, neighbors: []junos.Neighbor{router(peer(1, 1))}}, long, free(down), ""},
		{"back, not resolved", tables{stanzas: gone.stanzas, neighbors: []junos.Neighbor{with(router(peer(1, 1)), func(n *junos.Neighbor) { n.MAC, n.State, n.Router = "", "incomplete", false })}}, long, free(down),
			"-fe80::1%ge-0/0/1.0 ?fe80::1%ge-0/0/1.0=unresolved ~fe80::1%ge-0/0/1.0"},
		{"of another group", tables{stanzas: []junos.Stanza{elsewhere}, neighbors: []junos.Neighbor{router(peer(1, 1))}},
			map[junos.Stanza]absence{elsewhere: long[stanza(peer(1, 1))]}, free(down), "-fe80::1%ge-0/0/1.0 ~fe80::1%ge-0/0/1.0"},
		{"of another group, established", tables{stanzas: []junos.Stanza{elsewhere}, neighbors: []junos.Neighbor{router(peer(1, 1))}},
			map[junos.Stanza]absence{elsewhere: long[stanza(peer(1, 1))]}, free(up), "~fe80::1%ge-0/0/1.0"},
		{"without local-interface", tables{stanzas: []junos.Stanza{bare}, neighbors: []junos.Neighbor{router(peer(1, 1))}},
			map[junos.Stanza]absence{bare: long[stanza(peer(1, 1))]}, free(down), "-fe80::1 ?fe80::1%ge-0/0/1.0=duplicate ~fe80::1"},
		{"no group", gone, long, guards{sessions: free(down).sessions, group: errors.New("bgp group is not configured")}, "~fe80::1%ge-0/0/1.0"},
		{"addressed since", tables{stanzas: gone.stanzas, neighbors: []junos.Neighbor{router(peer(1, 1))}}, long, guards{sessions: free(down).sessions}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := testPolicy().plan(epoch, tt.seen, tt.before).guarded(tt.guards)
			if diff := cmp.Diff(tt.want, got.String()); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPlanMissing(t *testing.T) {
	c := junos.Change{Add: []junos.Stanza{stanza(peer(2, 1)), stanza(peer(1, 1))}, Remove: []junos.Stanza{stanza(peer(3, 1))}}
	if got := missing(c, []junos.Stanza{stanza(peer(1, 1)), stanza(peer(2, 1))}); len(got) != 0 {
		t.Errorf("all was done, but %v is missing", got)
	}
	got := missing(c, []junos.Stanza{stanza(peer(1, 1)), stanza(peer(3, 1))})
	if want := []netip.Addr{peer(2, 1), peer(3, 1)}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	elsewhere := stanza(peer(1, 1))
	elsewhere.Group = "old"
	moved := junos.Change{Add: []junos.Stanza{stanza(peer(1, 1))}, Remove: []junos.Stanza{elsewhere}}
	if got := missing(moved, []junos.Stanza{stanza(peer(1, 1))}); len(got) != 0 {
		t.Errorf("it is in the new group only, but %v is missing", got)
	}
	if got := missing(moved, []junos.Stanza{elsewhere}); len(got) != 2 {
		t.Errorf("it is in the old group only, and missing is %v", got)
	}
}
