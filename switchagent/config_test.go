package switchagent

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// configProblems is what Validate reports of a good configuration that was changed.
var configProblems = []struct {
	name   string
	change func(*Config)
	want   map[string]string // part of the problem, by key
}{
	{"good", func(*Config) {}, nil},
	{"nothing", func(c *Config) { *c = DefaultConfig() }, map[string]string{
		"target": "missing", "user": "missing", "key": "missing", "known_hosts": "missing", "group": "missing", "interfaces": "missing",
		"inventory": "or else unknown: accept",
	}},
	{"admission", func(c *Config) { c.Unknown, c.SessionsPerPort, c.MaxSessions, c.PrefixLimit = "reject", 0, 0, -1 }, map[string]string{
		"unknown": "refuse, quarantine or accept", "sessions_per_port": `"0" is not allowed: 1 to 1000`, "max_sessions": "1 to 100000",
		"prefix_limit": "0 to 10000000", "inventory": "missing",
	}},
	{"target", func(c *Config) { c.Target = "leaf1:99999" }, map[string]string{"target": `"leaf1:99999" is not allowed`}},
	{"durations", func(c *Config) { c.PollInterval, c.HoldDown = 0, 25*time.Hour }, map[string]string{
		"poll_interval": `"0s" is not allowed: 100ms to 1h0m0s`, "hold_down": "1s to 24h0m0s",
	}},
	{"commits", func(c *Config) {
		c.Database, c.Drift, c.Load, c.Confirm, c.ConfirmAfter = "candidate", "fight", "patch", 90*time.Second, time.Hour
		c.Restores, c.CommitRate, c.CommitBurst, c.MaxRemovals, c.MaxRemovalShare = -1, 0, 0, -1, 101
		c.BatchWindow, c.Takeover = time.Hour, -1
	}, map[string]string{
		"database": `"candidate" is not allowed: ephemeral, private or shared`, "drift": "restore, adopt or ignore", "load": "merge, replace or update",
		"confirm": `"1m30s" is not allowed: 1 to 65535 whole minutes`, "confirm_after": "half of confirm",
		"restores": `"-1"`, "commit_rate": "1 to 600", "commit_burst": "1 to 1000", "max_removals": "0 to", "max_removal_share": "0 to 100",
		"batch_window": "0s to 1m0s", "takeover": "0s to 1h0m0s",
	}},
	{"update where others write", func(c *Config) { c.Database, c.Load = "private", "update" }, map[string]string{"load": "holds others' statements"}},
	{"instance", func(c *Config) { c.Instance = "default" }, map[string]string{"instance": "other than the word default"}},
	{"instance with markup", func(c *Config) { c.Instance = `x"/>` }, map[string]string{"instance": "letters, digits"}},
	{"listen", func(c *Config) { c.Listen = "nonsense" }, map[string]string{"listen": `"nonsense" is not allowed: host:port`}},
	{"listen, no such port", func(c *Config) { c.Listen = "0.0.0.0:99999" }, map[string]string{"listen": "a port from 1 to 65535"}},
	{"listen, everywhere", func(c *Config) { c.Listen = ":9473" }, map[string]string{}},
	{"group", func(c *Config) { c.Group = "a b" }, map[string]string{"group": `"a b" is not allowed`}},
	{"interfaces", func(c *Config) { c.Interfaces = []string{"ge-0/0/1.0", "ge-[0", ""} }, map[string]string{
		"interfaces[1]": `"ge-[0" is not allowed`, "interfaces[2]": "missing",
	}},
}

func TestValidate(t *testing.T) {
	for _, tt := range configProblems {
		t.Run(tt.name, func(t *testing.T) {
			c := testConfig()
			tt.change(&c)
			got := map[string]string{}
			c.Validate(func(key, problem string) { got[key] = problem })
			if diff := cmp.Diff(slices.Sorted(maps.Keys(tt.want)), slices.Sorted(maps.Keys(got))); diff != "" {
				t.Errorf("keys (-want +got):\n%s", diff)
			}
			for key, want := range tt.want {
				if !strings.Contains(got[key], want) {
					t.Errorf("%s: %q, want %q in it", key, got[key], want)
				}
			}
		})
	}
}

func TestAddress(t *testing.T) {
	for target, want := range map[string]string{
		"leaf1":                "leaf1:830",
		"leaf1:22":             "leaf1:22",
		"172.31.0.1":           "172.31.0.1:830",
		"172.31.0.1:8830":      "172.31.0.1:8830",
		"2001:db8::1":          "[2001:db8::1]:830",
		"[2001:db8::1]":        "[2001:db8::1]:830",
		"[2001:db8::1]:22":     "[2001:db8::1]:22",
		"fe80::1%eth0":         "[fe80::1%eth0]:830",
		"":                     "",
		":830":                 "",
		"leaf1:0":              "",
		"leaf1:ssh":            "",
		"leaf 1":               "",
		"ssh://leaf1":          "",
		"2001:db8::1:830:1::1": "",
	} {
		c := Config{Target: target}
		if got, err := c.address(); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v, want %q", target, got, err, want)
		}
	}
}

func TestMayTouch(t *testing.T) {
	c := Config{Interfaces: []string{"ge-0/0/*.0", "xe-0/0/[0-3].7", "irb.100"}}
	for ifl, want := range map[string]bool{
		"ge-0/0/1.0": true, "ge-0/0/47.0": true, "ge-0/0/1.1": false, "ge-0/1/1.0": false, "ge-0/0/1/2.0": false,
		"xe-0/0/3.7": true, "xe-0/0/4.7": false, "irb.100": true, "irb.1000": false, "": false,
	} {
		if c.mayTouch(ifl) != want {
			t.Errorf("%q: %v", ifl, !want)
		}
	}
}
