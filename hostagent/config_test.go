package hostagent

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// configProblems is what Validate reports of a good configuration that was edited.
var configProblems = []struct {
	name string
	edit func(*Config)
	want string // a line a problem
}{
	{"good", func(*Config) {}, ""},
	{"the lowest", func(c *Config) { c.AS, c.AllowASIn, c.HoldTime = 1, 0, 3*time.Second }, ""},
	{"the highest", func(c *Config) { c.AS, c.AllowASIn, c.HoldTime = 4294967294, 10, 65535*time.Second }, ""},
	{"too low", func(c *Config) { c.AllowASIn, c.HoldTime = -1, 2*time.Second }, `allowas_in: -1 is not allowed: 0 to 10
hold_time: 2s is not allowed: whole seconds from 3s to 65535s`},
	{"too high", func(c *Config) { c.HoldTime = 65536 * time.Second }, "hold_time: 18h12m16s is not allowed: whole seconds from 3s to 65535s"},
	{"AS 0", func(c *Config) { c.AS = 0 }, "as: missing; 1 to 4294967294 without 23456 and 65535 is wanted"},
	{"AS_TRANS", func(c *Config) { c.AS = 23456 }, "as: 23456 is not allowed: 1 to 4294967294 without 23456 and 65535"},
	{"no uplinks", func(c *Config) { c.Uplinks = nil }, `uplinks: missing; interface names or patterns are wanted, such as ["eth*"]`},
	{"bad pattern", func(c *Config) { c.Uplinks = []string{"eth0", "eth["} }, `uplinks[1]: "eth[" is not allowed: an interface name other than lo, or a pattern with * ? [...], is wanted`},
	{"announce", func(c *Config) { c.Announce = []string{"loopback", "lo", "10.0.1.1/24", "fe80::/64"} }, `announce[1]: "lo" is not allowed: a prefix such as 10.0.1.1/32, or the word loopback, is wanted
announce[2]: "10.0.1.1/24" is not allowed: bits are set behind the prefix; 10.0.1.0/24?
announce[3]: "fe80::/64" is not allowed: a global unicast prefix is wanted`},
	{"router ID", func(c *Config) { c.RouterID = netip.MustParseAddr("c0d1::1") }, `router_id: "c0d1::1" is not allowed: an IPv4 address is wanted, not 0.0.0.0`},
	{"allowas_in", func(c *Config) { c.AllowASIn = 11 }, "allowas_in: 11 is not allowed: 0 to 10"},
	{"import, good", func(c *Config) {
		c.Import = []ImportRule{{Uplinks: []string{"eth*"}, MaxASPath: 3, Reject: true}, {MaxASPath: 4, LocalPref: new(uint32(0))}, {}}
	}, ""},
	{"import", func(c *Config) {
		c.Import = []ImportRule{{MaxASPath: 9}, {Uplinks: []string{"eth0", "lo"}, MaxASPath: -1, Reject: true, LocalPref: new(uint32(50))}}
	}, `import[1].uplinks[1]: "lo" is not allowed: an interface name other than lo, or a pattern with * ? [...], is wanted
import[1].max_as_path: -1 is not allowed: 1 or more, or 0 for any length
import[1].local_pref: not allowed beside reject: what is rejected has no local preference`},
	{"sessions, good", func(c *Config) {
		c.Sessions = []SessionRule{{Uplinks: []string{"eth*"}, RemoteAS: []string{"external"}, MaxPrefixes: new(0), DSCP: new(63)}, {}}
	}, ""},
	{"sessions", func(c *Config) {
		c.Sessions = []SessionRule{{Uplinks: []string{"lo"}, RemoteAS: []string{"65001", "internal", "0", "64512"}}, {MaxPrefixes: new(-1), DSCP: new(64), UserTimeout: new(time.Millisecond)}}
	}, `sessions[0].uplinks[0]: "lo" is not allowed: an interface name other than lo, or a pattern with * ? [...], is wanted
sessions[0].remote_as[1]: "internal" is not allowed: an AS number from 1 to 4294967295 other than our own, or the word external for any but our own, is wanted
sessions[0].remote_as[2]: "0" is not allowed: an AS number from 1 to 4294967295 other than our own, or the word external for any but our own, is wanted
sessions[0].remote_as[3]: "64512" is not allowed: an AS number from 1 to 4294967295 other than our own, or the word external for any but our own, is wanted
sessions[1].max_prefixes: -1 is not allowed: 1 to 2147483647, or 0 for any number
sessions[1].dscp: 64 is not allowed: 0 to 63
sessions[1].user_timeout: 1ms is not allowed: 1s to 596h31m23.647s; leave the key out for the hold time`},
	{"sessions, given but nothing", func(c *Config) {
		c.Sessions = []SessionRule{{PasswordFile: new(""), UserTimeout: new(time.Duration(0))}}
	}, `sessions[0].password_file: "" is not allowed: the path of a file is wanted; leave the key out for no TCP MD5
sessions[0].user_timeout: 0s is not allowed: 1s to 596h31m23.647s; leave the key out for the hold time`},
	{"sessions, too much", func(c *Config) {
		c.Sessions = []SessionRule{{MaxPrefixes: new(1 << 31), UserTimeout: new(600 * time.Hour)}}
	}, `sessions[0].max_prefixes: 2147483648 is not allowed: 1 to 2147483647, or 0 for any number
sessions[0].user_timeout: 600h0m0s is not allowed: 1s to 596h31m23.647s; leave the key out for the hold time`},
	{"sessions, the most", func(c *Config) {
		c.Sessions = []SessionRule{{MaxPrefixes: new(1<<31 - 1), UserTimeout: new(maxUserTimeout)}}
	}, ""},
	{"rules that are never used", func(c *Config) {
		c.Import = []ImportRule{{MaxASPath: 3}, {}, {Reject: true}}
		c.Sessions = []SessionRule{{}, {Uplinks: []string{"eth1"}}}
		c.BFD = []BFDRule{{Uplinks: []string{"eth1"}}, {}, {Uplinks: []string{"eth2"}}}
	}, `import[2]: never used: import[1] is for all, and the first that matches counts; put it last
sessions[1]: never used: sessions[0] is for all, and the first that matches counts; put it last
bfd[2]: never used: bfd[1] is for all, and the first that matches counts; put it last`},
	{"listen, nowhere", func(c *Config) { c.Listen = "" }, ""},
	{"listen, everywhere", func(c *Config) { c.Listen = ":9474" }, ""},
	{"listen, a word", func(c *Config) { c.Listen = "foo" }, `listen: "foo" is not allowed: host:port with a port from 1 to 65535, such as 127.0.0.1:9474, or nothing for nowhere`},
	{"listen, no such port", func(c *Config) { c.Listen = "[::1]:65536" }, `listen: "[::1]:65536" is not allowed: host:port with a port from 1 to 65535, such as 127.0.0.1:9474, or nothing for nowhere`},
	{"hold time", func(c *Config) { c.HoldTime = 1500 * time.Millisecond }, "hold_time: 1.5s is not allowed: whole seconds from 3s to 65535s"},
	{"kernel, the highest", func(c *Config) {
		c.RestartWait, c.ResilientECMP = time.Hour, ResilientECMP{65535, 24 * time.Hour, 24 * time.Hour}
	}, ""},
	{"kernel", func(c *Config) {
		c.RestartWait, c.NextHopObjects, c.ResilientECMP = -1, "on", ResilientECMP{65536, -1, 25 * time.Hour}
	}, `restart_wait: -1ns is not allowed: 0s to 1h0m0s
next_hop_objects: "on" is not allowed: auto or off
resilient_ecmp.buckets: 65536 is not allowed: 1 to 65535, or 0 for hashing without buckets
resilient_ecmp.idle_timer: -1ns is not allowed: 0s to 24h0m0s
resilient_ecmp.unbalanced_timer: 25h0m0s is not allowed: 0s to 24h0m0s`},
	{"buckets without objects", func(c *Config) { c.NextHopObjects, c.ResilientECMP.Buckets = "off", 128 },
		"resilient_ecmp.buckets: not allowed beside next_hop_objects: off, which it needs"},
	{"restart time", func(c *Config) { c.RestartTime = 4096 * time.Second }, "restart_time: 1h8m16s is not allowed: whole seconds up to 1h8m15s, or 0s for not at all"},
	{"socket", func(c *Config) { c.Socket = "" }, "socket: missing; the path of a unix socket is wanted"},
}

func TestValidate(t *testing.T) {
	good := DefaultConfig()
	good.AS, good.Uplinks = 64512, []string{"eth*"}
	for _, tt := range configProblems {
		t.Run(tt.name, func(t *testing.T) {
			c := good
			tt.edit(&c)
			var got []string
			c.Validate(func(key, problem string) { got = append(got, key+": "+problem) })
			if diff := cmp.Diff(tt.want, strings.Join(got, "\n")); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestIsUplink(t *testing.T) {
	c := Config{Uplinks: []string{"eth*", "ens1"}}
	for name, want := range map[string]bool{"eth0": true, "eth": true, "ens1": true, "ens10": false, "lo": false, "veth0": false} {
		if got := c.isUplink(name); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}
