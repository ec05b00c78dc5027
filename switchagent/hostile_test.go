package switchagent

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lastmile/switchagent/junos"
)

// TestHostileInventory: what people paste into tables. Each is refused with the line and column, the value as
// it can be read at a terminal, and what is allowed; all of a file at once.
func TestHostileInventory(t *testing.T) {
	long := strings.Repeat("x", 300)
	for _, tt := range []struct{ name, row, want string }{
		{"quotation mark in a name", `ge-0/0/1.0,"b""ms",64512,10.0.0.1/32,,`, `:2:12: server: "b\"ms" is not allowed`},
		{"line feed in a name", "ge-0/0/1.0,\"bms1\nset system\",64512,10.0.0.1/32,,", `:2:12: server: "bms1\nset system" is not allowed`},
		{"escape sequence in a name", "ge-0/0/1.0,bms\x1b[2J,64512,10.0.0.1/32,,", `:2:12: server: "bms\x1b[2J" is not allowed`},
		{"zero byte in a name", "ge-0/0/1.0,bms\x00,64512,10.0.0.1/32,,", `:2:12: server: "bms\x00" is not allowed`},
		{"semicolon in a name", "ge-0/0/1.0,bms;reboot,64512,10.0.0.1/32,,", `:2:12: server: "bms;reboot" is not allowed`},
		{"letters of other scripts", "ge-0/0/1.0,b\u043cs,64512,10.0.0.1/32,,", "1 to 64 letters, digits, - _ and . are wanted"},
		{"characters that change the direction", "ge-0/0/1.0,bms\u202e1,64512,10.0.0.1/32,,", `"bms\u202e1" is not allowed`},
		{"300 characters", "ge-0/0/1.0," + long + ",64512,10.0.0.1/32,,", `:2:12: server: "x`},
		{"300 characters of a port", long + ".0,bms1,64512,10.0.0.1/32,,", "is no logical interface"},
		{"statements in a port", `"ge-0/0/1.0 disable",bms1,64512,10.0.0.1/32,,`, `:2:1: port: "ge-0/0/1.0 disable" is no logical interface`},
		{"path of a port", "../ge-0/0/1.0,bms1,64512,10.0.0.1/32,,", "is no logical interface"},
		{"port twice", "ge-0/0/1.0,bms1,64512,10.0.0.1/32,,\nge-0/0/1.0,bms2,64513,10.0.0.2/32,,", `:3:1: port: "ge-0/0/1.0" is on line 2 already`},
		{"prefix of two servers", "ge-0/0/1.0,bms1,64512,10.0.0.1/32,,\nge-0/0/2.0,bms2,64513,10.0.0.1/32,,", "10.0.0.1/32 of bms2 is that, which bms1 has on line 2"},
		{"prefix within another's", "ge-0/0/1.0,bms1,64512,10.0.0.0/24,,\nge-0/0/2.0,bms2,64513,10.0.0.1/32,,", "10.0.0.1/32 of bms2 is within 10.0.0.0/24, which bms1 has on line 2"},
		{"default route", "ge-0/0/1.0,bms1,64512,0.0.0.0/0,,", ":2:23: prefixes: 0.0.0.0/0 is the default route"},
		{"default route of IPv6", "ge-0/0/1.0,bms1,64512,::/0,,", "::/0 is the default route"},
		{"host bits", "ge-0/0/1.0,bms1,64512,10.0.0.1/24,,", ":2:23: prefixes: 10.0.0.1/24 has bits behind its length; 10.0.0.0/24 is meant"},
		{"IPv4 in IPv6", "ge-0/0/1.0,bms1,64512,::ffff:10.0.0.1/128,,", "::ffff:10.0.0.1/128 is no unicast prefix that can be routed"},
		{"link-local", "ge-0/0/1.0,bms1,64512,fe80::/64,,", "fe80::/64 is no unicast prefix that can be routed"},
		{"zone", "ge-0/0/1.0,bms1,64512,fe80::1%eth0/128,,", "is no prefix"},
		{"multicast", "ge-0/0/1.0,bms1,64512,224.0.0.5/32,,", "224.0.0.5/32 is no unicast prefix that can be routed"},
		{"leading zero", "ge-0/0/1.0,bms1,64512,10.0.0.01/32,,", `"10.0.0.01/32" is no prefix`},
		{"address", "ge-0/0/1.0,bms1,64512,10.0.0.1,,", `"10.0.0.1" is no prefix; one such as 10.0.0.1/32`},
		{"range of AS numbers", "ge-0/0/1.0,bms1,64512-64520,10.0.0.1/32,,", `as: "64512-64520" is not allowed; 1 to 4294967294 is wanted`},
		{"AS with a dot", "ge-0/0/1.0,bms1,1.10,10.0.0.1/32,,", `as: "1.10" is not allowed`},
		{"no AS", "ge-0/0/1.0,bms1,,10.0.0.1/32,,", "as: it is missing"},
		{"MAC of a group", "ge-0/0/1.0,bms1,64512,10.0.0.1/32,01:00:5e:00:00:01,", "is no MAC address of a machine"},
		{"key file with a line feed", "ge-0/0/1.0,bms1,64512,10.0.0.1/32,,\"/nowhere\nelse\"", `:2:36: key_file: "/nowhere\nelse" is not allowed`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := DefaultConfig()
			cfg.Inventory = filepath.Join(t.TempDir(), "inventory.csv")
			if err := os.WriteFile(cfg.Inventory, []byte("port,server,as,prefixes,mac,key_file\n"+tt.row+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := cfg.readInventory()
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "inventory.csv:") {
				t.Fatalf("got %v, want %s", err, tt.want)
			}
			if strings.ContainsAny(err.Error(), "\x1b\x00\u202e") || strings.Count(err.Error(), "\n") > 0 || len(err.Error()) > 1000 {
				t.Errorf("not for a terminal: %q", err)
			}
		})
	}
}

// TestGeneratedStanzasAreChecked: whatever a table or a leaf says, a stanza that no daemon of the leaf should
// read is not loaded.
func TestGeneratedStanzasAreChecked(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(*junos.Stanza)
	}{
		{"no interface", func(s *junos.Stanza) { s.Peer = s.Peer.WithZone("") }},
		{"an interface with statements", func(s *junos.Stanza) { s.Peer = s.Peer.WithZone("ge-0/0/1.0; disable") }},
		{"a group with statements", func(s *junos.Stanza) { s.Group = "servers neighbor ::1" }},
		{"a description of 256 characters", func(s *junos.Stanza) { s.Description = strings.Repeat("x", 256) }},
		{"a description with a line feed", func(s *junos.Stanza) { s.Description = "lastmile: a\nb" }},
		{"AS 23456", func(s *junos.Stanza) { s.PeerAS = 23456 }},
	} {
		s := junos.Stanza{Group: "servers", Peer: peer(1, 1), Description: "lastmile: bms1", PeerAS: 64512, Import: junos.RejectAll}
		if err := s.Validate(); err != nil {
			t.Fatalf("before: %v", err)
		}
		tt.spoil(&s)
		if err := (junos.Change{Add: []junos.Stanza{s}}).Validate(); err == nil {
			t.Errorf("%s is loaded: %s", tt.name, fmt.Sprint(s.Description))
		}
	}
}
