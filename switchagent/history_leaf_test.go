package switchagent

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	sim "lastmile/lab/junos"
	"lastmile/switchagent/junos"
)

// historyLeaf is a simulated Junos without a wire, as random histories need it: what a change does is what
// the simulator makes of the XML that is sent, and what it does to sessions is what the simulator finds
// in the effective configuration. Nothing of it is the planner's idea.
type historyLeaf struct {
	t        *testing.T
	world    *sim.World
	device   *sim.Device
	operator *sim.Operator
	client   *junos.Client
	db       junos.Database
	cfg      Config
	speaks   map[netip.Addr]bool // who answers, if there is a statement for him
	known    []junos.Stanza      // as long as nothing was committed, and so are the guards but for
	guarding guards              // the sessions, which are good until somebody speaks or falls silent
	fresh    struct{ stanzas, guards, sessions bool }
}

const historyStatic = `
set system configuration-database ephemeral instance lastmile
set routing-options router-id 10.255.255.1
set routing-options autonomous-system 65001
set protocols bgp group fabric type external
set protocols bgp group fabric neighbor fc00:1::201 peer-as 65201
set protocols bgp group servers type external
set protocols bgp group servers peer-as 64512
set protocols bgp group servers family inet unicast extended-nexthop
set protocols bgp group servers neighbor odd.example peer-as 64999
deactivate protocols bgp group servers neighbor odd.example
set policy-options policy-statement theirs then reject
`

func newHistoryLeaf(t *testing.T, profile string, kind junos.Kind, load junos.Load) *historyLeaf {
	t.Helper()
	l := &historyLeaf{t: t, speaks: map[netip.Addr]bool{}, cfg: testConfig()}
	ports := map[string]string{}
	var logical []string
	for i := range 10 {
		logical = append(logical, fmt.Sprintf("ge-0/0/%d.0", i))
		ports[fmt.Sprintf("ge-0/0/%d", i)] = fmt.Sprintf("port%d", i)
	}
	l.world = sim.NewWorld(logical...)
	cfg := sim.Config{World: l.world, HostName: "leaf1", Model: "qfx5120", Static: historyStatic, Interfaces: ports}
	var err error
	if cfg.Profile, err = sim.ProfileNamed(profile); err != nil {
		t.Fatal(err)
	}
	cfg.Profile.Licence = false
	if l.device, err = sim.New(cfg); err != nil {
		t.Fatal(err)
	}
	l.serve()
	release, err := junos.ParseRelease(cfg.Profile.Version)
	if err != nil {
		t.Fatal(err)
	}
	l.operator = l.device.Operator("admin")
	l.client = junos.Direct(l.device.Operator("switchagent").Answer)
	l.cfg.Database, l.cfg.Load = kind, load
	if l.db, err = l.client.Database(l.cfg.database(), release); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *historyLeaf) serve() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		l.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.device.Serve(ctx, listener) }()
	l.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			l.t.Errorf("device: %v", err)
		}
	})
	for deadline := time.Now().Add(time.Minute); len(l.device.History()) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			l.t.Fatal("the device does not boot")
		}
	}
}

// speak lets a server speak BGP, or be silent.
func (l *historyLeaf) speak(p netip.Addr, speaks bool) {
	if l.speaks[p] == speaks {
		return
	}
	if l.speaks[p] = speaks; !speaks {
		delete(l.speaks, p)
	}
	l.fresh.sessions = false
	var table []sim.Neighbor
	for p := range l.speaks {
		table = append(table, sim.Neighbor{Address: p.WithZone("").String(), MAC: "52:54:00:00:00:01", State: "reachable", Interface: p.Zone()})
	}
	l.world.SetNeighbors(table)
}

func (l *historyLeaf) up(p netip.Addr) bool {
	return l.world.Established(p.Zone(), p.WithZone("").String())
}

// stanzas is what the database holds of ours.
func (l *historyLeaf) stanzas() []junos.Stanza {
	if !l.fresh.stanzas {
		var err error
		if l.known, err = l.db.Stanzas(l.t.Context()); err != nil {
			l.t.Fatal(err)
		}
		l.fresh.stanzas = true
	}
	return l.known
}

func (l *historyLeaf) guards() guards {
	var err error
	if !l.fresh.guards {
		l.guarding, err = device{Client: l.client, db: l.db, cfg: l.cfg}.guards(l.t.Context())
	} else if !l.fresh.sessions {
		l.guarding.sessions, err = l.client.Sessions(l.t.Context())
	}
	if err != nil {
		l.t.Fatal(err)
	}
	l.fresh.guards, l.fresh.sessions = true, true
	return l.guarding
}

// changed forgets what was read: something was committed.
func (l *historyLeaf) changed() {
	l.fresh.stanzas, l.fresh.guards, l.fresh.sessions = false, false, false
}

// text is the database that we commit in, as set lines.
func (l *historyLeaf) text() string {
	if l.cfg.Database != junos.Ephemeral {
		return l.device.Committed()
	}
	text, err := l.device.Ephemeral("lastmile")
	if err != nil {
		l.t.Fatal(err)
	}
	return text
}

func (l *historyLeaf) instance() string {
	if l.cfg.Database == junos.Ephemeral {
		return "lastmile"
	}
	return ""
}

// edit is set lines of an operator, in the database where ours are. What the leaf refuses is not done.
func (l *historyLeaf) edit(lines string) bool {
	return l.meddle(l.instance(), lines)
}

func (l *historyLeaf) meddle(instance, lines string) bool {
	l.changed()
	if instance != "" {
		return l.operator.CommitEphemeral(l.t.Context(), instance, lines) == nil
	}
	return l.operator.CommitPrivate(l.t.Context(), lines) == nil
}

// typed is what the database would hold if somebody typed the commands of a change.
func (l *historyLeaf) typed(change junos.Change) string {
	o, ctx := l.operator, l.t.Context()
	var lines strings.Builder
	for _, c := range change.Commands() {
		lines.WriteString(c.String() + "\n")
	}
	reply := ""
	err := o.Open(ctx, l.instance())
	if err == nil {
		err = o.Edit(ctx, lines.String())
	}
	if err == nil {
		reply, err = o.RPC(ctx, `<get-configuration format="set"/>`)
	}
	if closed := o.CloseConfiguration(ctx); err != nil || closed != nil {
		l.t.Fatalf("typing\n%s: %v, %v", lines.String(), err, closed)
	}
	_, text, _ := strings.Cut(reply, ">\nset ")
	text, _, _ = strings.Cut(text, "</configuration-set>")
	return unescape.Replace(text)
}

var unescape = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&#34;", `"`, "&quot;", `"`, "&amp;", "&")

// sortedLines is set lines in an order that two trees with the same statements share.
func sortedLines(text string) (all []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimPrefix(strings.TrimSpace(line), "set "); line != "" {
			all = append(all, line)
		}
	}
	slices.Sort(all)
	return all
}

// commit makes the change and holds the leaf against its commands: the database is what somebody gets who
// types them, and no session that was up has noticed.
func (l *historyLeaf) commit(change junos.Change, number int) {
	ctx := l.t.Context()
	change.Label = fmt.Sprint(number)
	want, disturbed := sortedLines(l.typed(change)), len(l.world.Disturbed())
	outcome, err := l.db.Commit(ctx, change)
	if outcome == junos.Pending {
		outcome, err = l.db.(junos.Confirmer).Confirm(ctx, change, true)
	}
	l.changed()
	if outcome != junos.Applied || err != nil {
		l.t.Fatalf("%v: %s, %v", change.Commands(), outcome, err)
	}
	if got := sortedLines(l.text()); !slices.Equal(got, want) {
		l.t.Fatalf("%s was proved and shown, and what it made differs (-want +got):\n%s", change.Commands(), cmp.Diff(want, got))
	}
	if now := l.world.Disturbed(); len(now) != disturbed {
		l.t.Fatalf("%s: %v", change.Commands(), now[disturbed:])
	}
}
