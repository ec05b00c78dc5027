package switchagent

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"os"
	"path/filepath"

	"bytes"
	"context"
	"log/slog"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"lastmile/switchagent/inventory"
	"lastmile/switchagent/junos"
)

const testInventory = `port,server,as,prefixes,shared,mac
ge-0/0/1.0,bms1,4200000101,10.0.0.1/32,10.9.9.9/32,52:54:00:00:00:01
ge-0/0/2.0,bms2,4200000102,10.0.0.2/32,10.9.9.9/32,52:54:00:00:00:99
ge-0/0/3.0,bms3,4200000103,10.0.0.3/32,,
`

func listed(t testing.TB, change func(*policy)) policy {
	t.Helper()
	inv, err := inventory.Parse("f", []byte(testInventory), junos.CheckPrefix)
	if err != nil {
		t.Fatal(err)
	}
	p := testPolicy()
	p.inventory, p.unknown, p.perPort, p.limit = inv, unknownRefuse, 1, 100
	if change != nil {
		change(&p)
	}
	return p
}

// committed is the stanza that a policy wants for a neighbour, as it is read back.
func committed(p policy, n junos.Neighbor) junos.Stanza {
	return p.stanza(n, n.Addr.String())
}

func TestAdmission(t *testing.T) {
	quiet := func(n junos.Neighbor) junos.Neighbor { n.State = "stale"; return n }
	quarantine := func(p *policy) { p.unknown = unknownQuarantine }
	one := committed(listed(t, nil), router(peer(1, 1)))
	tests := []struct {
		name   string
		policy func(*policy)
		seen   tables
		want   string
	}{
		{"in the inventory", nil, tables{neighbors: []junos.Neighbor{router(peer(1, 1))}}, "+fe80::1%ge-0/0/1.0"},
		{"not in it", nil, tables{neighbors: []junos.Neighbor{router(peer(1, 0))}}, "?fe80::1%ge-0/0/0.0=port_unknown"},
		{"quarantined", quarantine, tables{neighbors: []junos.Neighbor{router(peer(1, 0))}}, "+fe80::1%ge-0/0/0.0"},
		{"another machine", nil, tables{neighbors: []junos.Neighbor{router(peer(2, 2))}}, "?fe80::2%ge-0/0/2.0=mac_mismatch"},
		{"no two", nil, tables{neighbors: []junos.Neighbor{router(peer(2, 1)), router(peer(1, 1))}}, "+fe80::1%ge-0/0/1.0 full:ge-0/0/1.0=1"},
		{"the incumbent stays", nil, tables{neighbors: []junos.Neighbor{router(peer(0, 1)), router(peer(1, 1))}, stanzas: []junos.Stanza{one}}, "full:ge-0/0/1.0=1"},
		{"until nothing is heard of it", nil, tables{neighbors: []junos.Neighbor{router(peer(0, 1)), quiet(router(peer(1, 1)))}, stanzas: []junos.Stanza{one}},
			"full:ge-0/0/1.0=1 ~fe80::1%ge-0/0/1.0"},
		{"a quiet one does not displace", nil, tables{neighbors: []junos.Neighbor{quiet(router(peer(0, 1))), quiet(router(peer(1, 1)))}, stanzas: []junos.Stanza{one}},
			"full:ge-0/0/1.0=1"},
		{"leaf full", func(p *policy) { p.total = 1 }, tables{neighbors: []junos.Neighbor{router(peer(1, 1)), router(peer(3, 3))}},
			"+fe80::1%ge-0/0/1.0 ?fe80::3%ge-0/0/3.0=leaf_full"},
		{"no key", func(p *policy) { p.inventory = withKey(t) }, tables{neighbors: []junos.Neighbor{router(peer(1, 1))}}, "?fe80::1%ge-0/0/1.0=key_unreadable"},
		{"one address on two ports", nil, tables{neighbors: []junos.Neighbor{router(peer(1, 3)), router(peer(1, 1))}},
			"+fe80::1%ge-0/0/1.0 ?fe80::1%ge-0/0/3.0=duplicate"},
		{"one address on two ports, from 20.4R1 on", func(p *policy) { p.scoped = true },
			tables{neighbors: []junos.Neighbor{router(peer(1, 3)), router(peer(1, 1))}}, "+fe80::1%ge-0/0/1.0 +fe80::1%ge-0/0/3.0"},
		{"as it was before the inventory", nil, tables{neighbors: []junos.Neighbor{router(peer(1, 1))}, stanzas: []junos.Stanza{stanza(peer(1, 1))}}, "=fe80::1%ge-0/0/1.0"},
		{"taken out of the inventory", nil, tables{neighbors: []junos.Neighbor{router(peer(1, 0))}, stanzas: []junos.Stanza{stanza(peer(1, 0))}},
			"=fe80::1%ge-0/0/0.0 ?fe80::1%ge-0/0/0.0=port_unknown ~fe80::1%ge-0/0/0.0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := listed(t, tt.policy).plan(epoch, tt.seen, nil).guarded(free())
			got := p.String()
			for link, n := range p.crowd {
				got = strings.TrimSpace(strings.Join(sortedWords(got, fmt.Sprintf("full:%s=%d", link, n)), " "))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
			if err := p.change.Validate(); err != nil {
				t.Error(err)
			}
		})
	}
}

func sortedWords(text, more string) []string {
	words := append(strings.Fields(text), more)
	for i := len(words) - 1; i > 0 && words[i] < words[i-1]; i-- {
		words[i], words[i-1] = words[i-1], words[i]
	}
	return words
}

func withKey(t testing.TB) *inventory.Inventory {
	inv, err := inventory.Parse("f", []byte("port,server,as,key_file\nge-0/0/1.0,bms1,64512,/nowhere\n"), junos.CheckPrefix)
	if err != nil {
		t.Fatal(err)
	}
	return inv
}

func TestWhatAStanzaAccepts(t *testing.T) {
	p := listed(t, nil)
	s := p.stanza(router(peer(1, 1)), "")
	want := junos.Accept([]uint32{4200000101}, []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32"), netip.MustParsePrefix("10.9.9.9/32")}, false)
	if s.Import != want || s.PeerAS != 4200000101 || s.Limit != 100 || s.Description != "lastmile: bms1, 52:54:00:00:00:01 on ge-0/0/1.0" {
		t.Errorf("got %+v", s)
	}
	p.unknown = unknownQuarantine
	if s := p.stanza(router(peer(1, 0)), ""); s.Import != junos.RejectAll {
		t.Errorf("in quarantine: %+v", s)
	}
}

// TestSessionsLiveThroughTheInventory: with sessions up, what may be announced changes at once, and the rest
// waits.
func TestSessionsLiveThroughTheInventory(t *testing.T) {
	p := listed(t, nil)
	up := junos.Session{Peer: peer(1, 1), State: "Established"}
	seen := tables{neighbors: []junos.Neighbor{router(peer(1, 1))}, stanzas: []junos.Stanza{stanza(peer(1, 1))}}
	got := p.plan(epoch, seen, nil).guarded(free(up))
	wanted := p.stanza(router(peer(1, 1)), "")
	if len(got.change.Edit) != 1 || got.change.Edit[0].To.Import != wanted.Import || got.change.Edit[0].To.PeerAS != 0 || got.change.Edit[0].To.Limit != 0 ||
		got.refused[peer(1, 1)] != established || got.blocked != nil {
		t.Fatalf("%s: %+v, blocked: %v", got, got.change.Edit, got.blocked)
	}
	for _, c := range got.change.Commands() {
		if !c.KeepsSession() {
			t.Errorf("%q ends a session", c)
		}
	}
	seen.stanzas = []junos.Stanza{got.change.Edit[0].To}
	if again := p.plan(epoch, seen, nil).guarded(free(up)); !again.empty() {
		t.Errorf("and again: %s", again)
	}
	up.State = "Active"
	if then := p.plan(epoch, seen, nil).guarded(free(up)); len(then.change.Edit) != 1 || !then.change.Edit[0].To.Same(committed(p, router(peer(1, 1)))) {
		t.Errorf("with the session down: %s", then)
	}
}

// TestManyPortsGone: an inventory that has lost most of its ports is not believed.
func TestManyPortsGone(t *testing.T) {
	p := listed(t, nil)
	var seen tables
	for i := range 4 {
		seen.neighbors = append(seen.neighbors, router(peer(1+i, 0)))
		seen.stanzas = append(seen.stanzas, stanza(peer(1+i, 0)))
	}
	got := p.plan(epoch, seen, nil).guarded(free()).bounded(bound{most: 20, share: 50})
	if !got.empty() || got.withheld != 4 {
		t.Errorf("%s, %d withheld", got, got.withheld)
	}
	if got := p.plan(epoch, seen, nil).guarded(free()).bounded(bound{most: 20, share: 0}); len(got.change.Edit) != 4 {
		t.Errorf("without a bound: %s", got)
	}
}

// TestFloodOnAPort: a thousand on one port cost the others nothing, and no memory for each.
func TestFloodOnAPort(t *testing.T) {
	p := listed(t, nil)
	seen := tables{neighbors: []junos.Neighbor{router(peer(0xffff, 3))}}
	for i := range 1000 {
		seen.neighbors = append(seen.neighbors, router(peer(1+i, 1)))
	}
	got := p.plan(epoch, seen, nil).guarded(free())
	if len(got.change.Add) != 2 || got.crowd["ge-0/0/1.0"] != 999 || len(got.refused) != 0 {
		t.Errorf("%d added, %d refused, crowd %v", len(got.change.Add), len(got.refused), got.crowd)
	}
}

// TestInventoryIsReread: a new one takes effect, a bad one does not.
func TestInventoryIsReread(t *testing.T) {
	path := filepath.Join(t.TempDir(), "inventory.csv")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(testInventory)
	synctest.Test(t, func(t *testing.T) {
		f := newFakeLeaf()
		f.plug(peer(1, 1), peer(3, 0))
		cfg := testConfig()
		cfg.Inventory, cfg.Unknown = path, unknownRefuse
		var log bytes.Buffer
		a := New(cfg, slog.New(slog.NewTextHandler(&log, nil)), prometheus.NewRegistry())
		a.dial = f.dial
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- a.Run(ctx, func() {}) }()
		r := running{a, f, &log}
		r.after(5 * time.Second)
		r.want(t, 1, peer(1, 1))
		write("nonsense")
		r.after(5 * time.Second)
		r.want(t, 1, peer(1, 1))
		if err := a.Health(); err == nil || !strings.Contains(err.Error(), "the last good inventory is used") {
			t.Errorf("health: %v", err)
		}
		if n := strings.Count(log.String(), "inventory is bad"); n != 1 {
			t.Errorf("logged %d times:\n%s", n, &log)
		}
		write(testInventory + "ge-0/0/0.0,new,4200000100,10.0.0.100/32,,\n")
		r.after(5 * time.Second)
		r.want(t, 2, peer(1, 1), peer(3, 0))
		if err := a.Health(); err != nil {
			t.Errorf("health: %v", err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
