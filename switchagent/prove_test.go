package switchagent

import (
	"net/netip"
	"strings"
	"testing"

	"lastmile/switchagent/junos"
)

// TestProve: the proof finds what a broken planner would do.
func TestProve(t *testing.T) {
	held := stanza(peer(1, 1))
	described, moved := held, held
	described.Description = "lastmile: other"
	moved.Peer = peer(1, 2)
	up := func(p netip.Addr) junos.Session { return junos.Session{Peer: p, State: "Established"} }
	down := junos.Session{Peer: peer(1, 1), State: "Idle"}
	bad := held
	bad.Group = "servers neighbor fe80::2" // as if a name could smuggle words in
	tests := []struct {
		name   string
		change junos.Change
		guards guards
		want   string // in the error
	}{
		{"add", junos.Change{Add: []junos.Stanza{held}}, free(), ""},
		{"add beside somebody", junos.Change{Add: []junos.Stanza{held}}, free(up(peer(2, 1))), ""},
		{"add over a session", junos.Change{Add: []junos.Stanza{held}}, free(up(peer(1, 1))), "is not down"},
		{"add over a session of unknown port", junos.Change{Add: []junos.Stanza{held}}, free(up(peer(1, 1).WithZone(""))), "is not down"},
		{"remove", junos.Change{Remove: []junos.Stanza{held}, From: []junos.Stanza{held}}, free(down), ""},
		{"remove a session", junos.Change{Remove: []junos.Stanza{held}, From: []junos.Stanza{held}}, free(up(peer(1, 1))), "is not down"},
		{"remove, nothing listed", junos.Change{Remove: []junos.Stanza{held}, From: []junos.Stanza{held}}, guards{}, "lists no sessions"},
		{"remove, in words nobody knows", junos.Change{Remove: []junos.Stanza{held}, From: []junos.Stanza{held}}, free(junos.Session{Peer: peer(1, 1), State: "1/2"}), "is not down"},
		{"describe a session", junos.Change{Edit: []junos.Edit{{From: held, To: described}}, From: []junos.Stanza{held}}, free(up(peer(1, 1))), ""},
		{"move a session", junos.Change{Edit: []junos.Edit{{From: held, To: moved}}, From: []junos.Stanza{held}}, free(up(peer(1, 1))), "is not down"},
		{"move onto a session", junos.Change{Edit: []junos.Edit{{From: held, To: moved}}, From: []junos.Stanza{held}}, free(up(peer(1, 2))), "is not down"},
		{"two neighbours in one", junos.Change{Add: []junos.Stanza{bad}}, free(), "not about one"},
		{"global neighbour", junos.Change{Add: []junos.Stanza{{Group: "servers", Peer: netip.MustParseAddr("2001:db8::1%ge-0/0/1.0")}}}, free(), "not about one"},
	}
	for _, tt := range tests {
		err := tt.guards.prove(tt.change)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q in it", tt.name, err, tt.want)
		}
	}
}
