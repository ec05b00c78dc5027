package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lastmile/cmd/internal/daemon"
	"lastmile/switchagent"
)

// TestReferenceConfiguration: docs/switchagent.yaml is good, names every key, and shows the
// defaults.
func TestReferenceConfiguration(t *testing.T) {
	const path = "../../docs/switchagent.yaml"
	cfg := switchagent.DefaultConfig()
	if err := daemon.Load(path, &cfg); err != nil {
		t.Fatal(err)
	}
	want := switchagent.DefaultConfig()
	want.Target, want.User, want.Group = "leaf1.example.net:830", "switchagent", "servers"
	want.Key, want.KnownHosts = "/etc/switchagent/id_ed25519", "/etc/switchagent/known_hosts"
	want.Interfaces = []string{"ge-0/0/*.0"}
	if diff := cmp.Diff(want, cfg); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range reflect.TypeFor[switchagent.Config]().NumField() {
		key := reflect.TypeFor[switchagent.Config]().Field(i).Tag.Get("yaml")
		if !strings.Contains(string(text), "\n"+key+":") {
			t.Errorf("%s does not explain %s", path, key)
		}
	}
}

func TestCheckCommand(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"unknown key", "targets: leaf1\n", "targets"},
		{"value", "target: leaf1\nuser: u\nkey: k\nknown_hosts: h\ngroup: g\ninterfaces: [\"ge-[\"]\n", "switchagent.yaml:6:"},
		{"files", "target: leaf1\nuser: u\nkey: /nonexistent/id\nknown_hosts: h\ngroup: g\ninterfaces: [ge-0/0/1.0]\n", "/nonexistent/id: no such file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "switchagent.yaml")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			cmd := rootCommand()
			cmd.SetOut(&out)
			cmd.SetArgs([]string{"check", "--config", path})
			if err := cmd.Execute(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
}
