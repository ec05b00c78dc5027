package junos

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStanzas(t *testing.T) {
	d := &device{t: t, replies: map[string][]string{"get-configuration": {"ephemeral.xml"}}}
	got, err := of(d.client(), Options{Kind: Ephemeral, Instance: "last-mile_1"}).Stanzas(t.Context())
	check(t, []Stanza{
		{Group: "servers", Peer: addr("fe80::5054:ff:fe00:101%ge-0/0/1.0"), Description: "lastmile: 52:54:00:00:01:01 on ge-0/0/1.0", Key: "fe80::5054:ff:fe00:101"},
		{Group: "servers", Peer: addr("fe80::2%ge-0/0/2.0"), Description: "", Key: "fe80::2%ge-0/0/2.0"},
		{Group: "servers", Peer: addr("fe80::3"), Description: "", Key: "fe80::3"},
		{Group: "other", Peer: addr("fe80::4%ge-0/0/4.0"), Description: "", Key: "FE80::4"},
	}, got, err)
	if want := `<command format="xml">show ephemeral-configuration instance last-mile_1</command>`; d.asked[0] != want {
		t.Errorf("asked %s, want %s", d.asked[0], want)
	}
	static, err := d.client().Static(t.Context())
	check(t, got, static.Stanzas, err)
	if !strings.Contains(d.asked[1], `database="committed"`) {
		t.Errorf("static ones: asked %s", d.asked[1])
	}
	const neither = `<neighbor><name>169.254.0.1</name></neighbor><neighbor><name>2001:db8::1</name></neighbor><neighbor><name>x</name></neighbor>`
	for _, empty := range []string{
		"", "<configuration/>", "<configuration><protocols/></configuration>",
		"<configuration><protocols><bgp><group><name>servers</name>" + neither + "</group></bgp></protocols></configuration>",
	} {
		got, err := in(one(t, map[string]string{"get-configuration": empty})).Stanzas(t.Context())
		check(t, []Stanza(nil), got, err)
	}
}

// TestCheckGroup: neighbours in a group that cannot have a session are not worth a commit.
func TestCheckGroup(t *testing.T) {
	const in, out = "<configuration><protocols><bgp>", "</bgp></protocols></configuration>"
	const whole = "<group><name>\nservers\n</name><type>external</type><peer-as>\n64512\n</peer-as></group>"
	for reply, want := range map[string]string{
		in + whole + out: "",
		in + "<group><name>servers</name><peer-as>64512</peer-as></group>" + out:                      "", // external is the default
		in + "<peer-as>64512</peer-as><group><name>servers</name><type>external</type></group>" + out: "",
		"":                 "set protocols bgp group servers type external, set protocols bgp group servers peer-as AS-",
		"<configuration/>": `bgp group "servers" is not configured`,
		in + `<group><name>Servers</name><type>external</type><peer-as>64512</peer-as></group>` + out:                                                                "is not configured",
		"<configuration><routing-instances><instance><name>red</name><protocols><bgp>" + whole + "</bgp></protocols></instance></routing-instances></configuration>": "is not configured",
		in + `<group inactive="inactive"><name>servers</name><peer-as>64512</peer-as></group>` + out:                                                                 "deactivated: activate protocols bgp group servers",
		`<configuration><protocols><bgp inactive="inactive">` + whole + out:                                                                                          "deactivated",
		`<configuration><protocols inactive="inactive"><bgp>` + whole + out:                                                                                          "deactivated",
		in + "<group><name>servers</name><type>\ninternal\n</type><peer-as>64512</peer-as></group>" + out:                                                            "type internal: set protocols bgp group servers type external",
		in + "<group><name>servers</name><type>external</type></group>" + out:                                                                                        "no peer-as: set protocols bgp group servers peer-as AS-",
		in + `<group><name>servers</name><peer-as inactive="inactive">64512</peer-as></group>` + out:                                                                 "no peer-as",
		in + "<group><name>servers</name><neighbor><name>fe80::1</name><peer-as>1</peer-as></neighbor></group>" + out:                                                "no peer-as",
	} {
		static, err := one(t, map[string]string{"get-configuration": reply}).Static(t.Context())
		if err != nil {
			t.Errorf("%s: %v", reply, err)
		}
		err = static.CheckGroup("servers", true)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q in it", reply, err, want)
		}
	}
	if _, err := one(t, map[string]string{"get-configuration": refusal}).Static(t.Context()); err == nil {
		t.Error("a refusal is taken for a configuration")
	}
}

func TestCheckInstance(t *testing.T) {
	for reply, want := range map[string]string{
		"committed.xml":    "",
		"":                 "set system configuration-database ephemeral instance lastmile",
		"<configuration/>": "is not configured",
		refusal:            "permission denied",
	} {
		err := one(t, map[string]string{"get-configuration": reply}).CheckInstance(t.Context(), "lastmile")
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q in it", reply, err, want)
		}
	}
}

var change = Change{
	Add: []Stanza{
		{Group: "servers", Peer: addr("fe80::1%ge-0/0/1.0"), Description: `<a & "b">`},
		{Group: "edge", Peer: addr("fe80::2%ge-0/0/2.0")},
	},
	Remove: []Stanza{
		{Group: "servers", Peer: addr("fe80::3%ge-0/0/3.0"), Key: "fe80::3%ge-0/0/3.0"},
		{Group: "servers", Peer: addr("fe80::4%ge-0/0/4.0")},
	},
}

const changeXML = `<load-configuration action="merge" format="xml"><configuration><protocols><bgp>` +
	`<group><name>servers</name>` +
	`<neighbor delete="delete"><name>fe80::3%ge-0/0/3.0</name></neighbor>` +
	`<neighbor delete="delete"><name>fe80::4</name></neighbor>` +
	`<neighbor><name>fe80::1</name><description>&lt;a &amp; &#34;b&#34;&gt;</description><local-interface>ge-0/0/1.0</local-interface></neighbor>` +
	`</group>` +
	`<group><name>edge</name><neighbor><name>fe80::2</name><local-interface>ge-0/0/2.0</local-interface></neighbor></group>` +
	`</bgp></protocols></configuration></load-configuration>`

// What a device answers to the steps of a commit.
const (
	ok       = "<ok/>"
	warning  = `<rpc-error><error-severity>warning</error-severity><error-message>uncommitted changes will be discarded on exit</error-message></rpc-error>`
	lockHeld = `<rpc-error><error-severity>error</error-severity><error-message>
configuration database locked by:
  admin terminal  (pid 32260) on since 2021-05-06 11:04:06 UTC, idle 00:04:48
      exclusive
</error-message></rpc-error>`
	loadError = `<load-configuration-results>` + `<rpc-error><error-severity>error</error-severity><error-message>syntax error</error-message>` +
		`<error-info><bad-element>local-interface</bad-element></error-info></rpc-error><load-error-count>1</load-error-count></load-configuration-results>`
	loadWarning = `<load-configuration-results>` + warning + `</load-configuration-results>`
	malformed   = `<routing-engine junos:style="show-name"><name>node1</name><commit-check-success/><ok/>`
	failed      = `<commit-results><rpc-error><error-severity>error</error-severity><source-daemon>dcd</source-daemon><error-message>boom</error-message></rpc-error> configuration check-out failed</commit-results>`
	remoteLock  = `<rpc-error><error-severity>error</error-severity><error-message>remote lock-configuration failed on re1</error-message></rpc-error>`
)

// commits is a change that is committed, by what the device answers to each step.
var commits = []struct {
	name                           string
	instance, open, load, commit   string
	outcome                        Outcome
	want                           string // in the error
	wantLocked, wantLost, unclosed bool
}{
	{name: "good", open: ok, load: ok, commit: ok, outcome: Applied},
	{name: "empty open", open: "", load: "<load-configuration-results><ok/></load-configuration-results>", commit: "<commit-results/><ok/>", outcome: Applied},
	{name: "warnings", open: warning, load: loadWarning, commit: warning + ok, outcome: Applied},
	{name: "malformed commit reply", open: ok, load: ok, commit: malformed, outcome: Applied},
	{name: "no such instance", instance: "<configuration/>", outcome: Refused, want: "not configured", unclosed: true},
	{name: "lock held", open: lockHeld, outcome: Refused, want: "admin terminal", wantLocked: true, unclosed: true},
	{name: "lock-denied", open: strings.Replace(refusal, "<error-severity>", "<error-tag>lock-denied</error-tag><error-severity>", 1), outcome: Refused, wantLocked: true, unclosed: true},
	{name: "session ends at the open", open: "lost", outcome: Refused, wantLost: true, unclosed: true},
	{name: "load refused", open: ok, load: loadError, outcome: Refused, want: "local-interface"},
	{name: "load confirms nothing", open: ok, load: "", outcome: Refused, want: "confirmed nothing"},
	{name: "session ends at the load", open: ok, load: "lost", outcome: Refused, wantLost: true, unclosed: true},
	{name: "commit refused", open: ok, load: ok, commit: failed, outcome: Refused, want: "boom (from dcd)"},
	{name: "second engine locked", open: ok, load: ok, commit: remoteLock, outcome: Refused, wantLocked: true},
	{name: "commit confirms nothing", open: ok, load: ok, commit: "", outcome: Unknown, want: "confirmed nothing"},
	{name: "commit reply lost", open: ok, load: ok, commit: "lost", outcome: Unknown, wantLost: true, unclosed: true},
	{name: "commit reply broken", open: ok, load: ok, commit: "<ok>", outcome: Unknown, wantLost: true, unclosed: true},
}

func TestCommit(t *testing.T) {
	for _, tt := range commits {
		t.Run(tt.name, func(t *testing.T) {
			if tt.instance == "" {
				tt.instance = "committed.xml"
			}
			d := &device{t: t, replies: map[string][]string{
				"get-configuration": {tt.instance}, "open-configuration": {tt.open}, "load-configuration": {tt.load},
				"commit-configuration": {tt.commit}, "close-configuration": {"lost"}, // which changes nothing
				"get-bgp-summary-information": {peerIs("fe80::3", "Active")},
			}}
			outcome, err := in(d.client()).Commit(t.Context(), change)
			if outcome != tt.outcome || (err == nil) != (outcome == Applied) {
				t.Errorf("got %s, %v, want %s", outcome, err, tt.outcome)
			}
			if errors.Is(err, ErrLocked) != tt.wantLocked || errors.Is(err, ErrLost) != tt.wantLost ||
				err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q in it, locked %v, lost %v", err, tt.want, tt.wantLocked, tt.wantLost)
			}
			if closed := d.asked[len(d.asked)-1] == "<close-configuration/>"; closed == tt.unclosed {
				t.Errorf("closed: %v; asked %q", closed, d.asked)
			}
		})
	}
}

func TestCommitSends(t *testing.T) {
	d := &device{t: t, replies: map[string][]string{
		"get-configuration": {"committed.xml"}, "open-configuration": {""}, "load-configuration": {"<ok/>"},
		"commit-configuration": {"<ok/>"}, "close-configuration": {""}, "get-bgp-summary-information": {peerIs("fe80::9", "Idle")},
	}}
	if _, err := in(d.client()).Commit(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`<get-configuration database="committed" inherit="inherit" format="xml"><configuration><protocols><bgp/><router-advertisement/></protocols>` +
			`<interfaces><interface-range/></interfaces></configuration></get-configuration>`,
		"<open-configuration><ephemeral-instance>lastmile</ephemeral-instance></open-configuration>",
		`<get-configuration format="xml"/>`,
		changeXML, "<get-bgp-summary-information/>", "<commit-configuration/>", "<close-configuration/>",
	}
	if diff := cmp.Diff(want, d.asked[1:]); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"commit-configuration"}, d.patient); diff != "" {
		t.Errorf("waited long for (-want +got):\n%s", diff)
	}
}

func peerIs(peer, state string) string {
	return "<bgp-information><bgp-peer><peer-address>" + peer + "</peer-address><peer-state>" + state + "</peer-state></bgp-peer></bgp-information>"
}

// TestSessionThatCameUpMeanwhile: between plan and commit an agent may have been stopped for any time. What
// the change would end is looked at under the lock, and nothing is committed.
func TestSessionThatCameUpMeanwhile(t *testing.T) {
	rekeyed := Change{Edit: []Edit{{
		From: Stanza{Group: "servers", Peer: addr("fe80::3%ge-0/0/3.0"), PeerAS: 64512},
		To:   Stanza{Group: "servers", Peer: addr("fe80::3%ge-0/0/3.0"), PeerAS: 64513},
	}}}
	described := Change{Edit: []Edit{{
		From: Stanza{Group: "servers", Peer: addr("fe80::3%ge-0/0/3.0"), Description: "a"},
		To:   Stanza{Group: "servers", Peer: addr("fe80::3%ge-0/0/3.0"), Description: "b"},
	}}}
	for _, tt := range []struct {
		name, sessions string
		change         Change
		want           Outcome
	}{
		{"up", peerIs("fe80::3", "Established"), change, Refused},
		{"up, with its interface", peerIs("fe80::4%ge-0/0/4.0", "Established"), change, Refused},
		{"nobody knows", peerIs("fe80::3", "Wandering"), change, Refused},
		{"cannot be read", refusal, change, Refused},
		{"another one's", peerIs("fe80::1", "Established"), change, Applied},
		{"another port's", peerIs("fe80::3%ge-0/0/7.0", "Established"), change, Applied},
		{"down", peerIs("fe80::3", "Idle"), change, Applied},
		{"no table", "<output>BGP is not running</output>", change, Refused},
		{"an empty table", "<bgp-information><peer-count>0</peer-count></bgp-information>", change, Refused},
		{"up, and would be reset", peerIs("fe80::3", "Established"), rekeyed, Refused},
		{"up, and does not notice", peerIs("fe80::3", "Established"), described, Applied},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := &device{t: t, replies: map[string][]string{
				"get-configuration": {"committed.xml"}, "open-configuration": {""}, "load-configuration": {"<ok/>"},
				"commit-configuration": {"<ok/>"}, "close-configuration": {""}, "get-bgp-summary-information": {tt.sessions},
			}}
			tt.change.From = nil
			for _, e := range tt.change.Edit {
				tt.change.From = append(tt.change.From, e.From)
			}
			held := func(context.Context) (bgpRead, error) { return bgpRead{stanzas: tt.change.From}, nil }
			one := commitment{read: held, change: tt.change, how: LoadMerge, commit: "<commit-configuration/>"}
			outcome, err := d.client().attempt(t.Context(), one)
			if outcome != tt.want || (err == nil) != (tt.want == Applied) {
				t.Errorf("%s, %v", outcome, err)
			}
			if sent := slices.Contains(d.asked, "<commit-configuration/>"); sent != (tt.want == Applied) {
				t.Errorf("committed: %v", sent)
			}
			if tt.want == Refused && tt.sessions != refusal && !errors.Is(err, ErrChanged) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestInstanceThatStaysOpen: what was loaded must not be in anybody's next commit.
func TestInstanceThatStaysOpen(t *testing.T) {
	for _, commit := range []string{"<ok/>", refusal} {
		d := &device{t: t, replies: map[string][]string{
			"get-configuration": {"committed.xml"}, "open-configuration": {""}, "load-configuration": {"<ok/>"},
			"commit-configuration": {commit}, "close-configuration": {refusal}, "get-bgp-summary-information": {peerIs("fe80::9", "Idle")},
		}}
		outcome, err := in(d.client()).Commit(t.Context(), change)
		if want := map[string]Outcome{"<ok/>": Applied, refusal: Refused}[commit]; outcome != want || (err == nil) != (want == Applied) {
			t.Errorf("commit answered %s: %s, %v, want %s", commit, outcome, err, want)
		}
		if d.dead == nil {
			t.Errorf("commit answered %s: the session goes on with the instance open", commit)
		}
	}
}

func TestCommitRefusesNonsense(t *testing.T) {
	good := Stanza{Group: "servers", Peer: addr("fe80::1%ge-0/0/1.0")}
	for name, spoil := range map[string]func(*Stanza){
		"no group":           func(s *Stanza) { s.Group = "" },
		"global":             func(s *Stanza) { s.Peer = addr("2001:db8::1") },
		"ipv4":               func(s *Stanza) { s.Peer = addr("169.254.0.1") },
		"no address":         func(s *Stanza) { s.Peer = addr("fe80::1").WithZone("") },
		"no local-interface": func(s *Stanza) { s.Peer = s.Peer.WithZone("") },
		"long description":   func(s *Stanza) { s.Description = strings.Repeat("x", 256) },
	} {
		bad := good
		spoil(&bad)
		d := &device{t: t} // which answers nothing
		if outcome, err := in(d.client()).Commit(t.Context(), Change{Add: []Stanza{good, bad}}); outcome != Refused || err == nil {
			t.Errorf("%s: %s, %v", name, outcome, err)
		}
	}
}
