package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

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
	want.Interfaces, want.Syslog.Allow = []string{"ge-0/0/*.0"}, cfg.Syslog.Allow[:0]
	want.Inventory = "/etc/switchagent/inventory.csv"
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

// files writes a key, a known_hosts file that pins it for leaf1, and a configuration that names
// both.
func files(t *testing.T, key []byte, mode os.FileMode) (config string) {
	t.Helper()
	dir := t.TempDir()
	blob := []byte("\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20" + strings.Repeat("x", ed25519.PublicKeySize)) // RFC 8709 section 4
	config = filepath.Join(dir, "switchagent.yaml")
	err := errors.Join(
		os.WriteFile(filepath.Join(dir, "id"), key, mode), os.Chmod(filepath.Join(dir, "id"), mode),
		os.WriteFile(filepath.Join(dir, "hosts"), []byte("[leaf1.invalid]:830 ssh-ed25519 "+base64.StdEncoding.EncodeToString(blob)+"\n"), 0o600),
		os.WriteFile(config, fmt.Appendf(nil, "target: leaf1.invalid\nuser: u\nkey: %s/id\nknown_hosts: %s/hosts\ngroup: g\ninterfaces: [ge-0/0/1.0]\nunknown: accept\nlisten: ''\n", dir, dir), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func goodKey(t *testing.T) []byte {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// TestRunEndsWithoutUsableFiles: a daemon that can never log in is not ready.
func TestRunEndsWithoutUsableFiles(t *testing.T) {
	encrypted := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: []byte("x"), Headers: map[string]string{
		"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00",
	}})
	tests := []struct {
		name  string
		key   []byte
		spoil func(dir string) error
		want  string
	}{
		{"garbage", []byte("hello"), nil, "id: ssh: no key found"},
		{"passphrase", encrypted, nil, "id: it has a passphrase"},
		{"no key", goodKey(t), func(dir string) error { return os.Remove(filepath.Join(dir, "id")) }, "id: no such file"},
		{"no known_hosts", goodKey(t), func(dir string) error { return os.Remove(filepath.Join(dir, "hosts")) }, "hosts: no such file"},
		{"not pinned", goodKey(t), func(dir string) error { return os.Truncate(filepath.Join(dir, "hosts"), 0) }, "holds no key for [leaf1.invalid]:830"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			config := files(t, tt.key, 0o600)
			if tt.spoil != nil {
				if err := tt.spoil(filepath.Dir(config)); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			var log bytes.Buffer
			cmd := rootCommand()
			cmd.SetErr(&log)
			cmd.SetArgs([]string{"run", "--config", config})
			if err := cmd.ExecuteContext(ctx); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
			if log.Len() > 0 {
				t.Errorf("logged:\n%s", log.String())
			}
		})
	}
}

// TestKeyForAllToRead: it is used, and both commands warn.
func TestKeyForAllToRead(t *testing.T) {
	config := files(t, goodKey(t), 0o644)
	for _, command := range []string{"check", "run"} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // run has done all that is of interest before it looks
		var log bytes.Buffer
		cmd := rootCommand()
		cmd.SetOut(io.Discard)
		cmd.SetErr(&log)
		cmd.SetArgs([]string{command, "--config", config})
		if err := cmd.ExecuteContext(ctx); err != nil {
			t.Errorf("%s: %v", command, err)
		}
		if !strings.Contains(log.String(), "id has mode 0644") || !strings.Contains(log.String(), "chmod 600") {
			t.Errorf("%s warned: %q", command, log.String())
		}
	}
}

func TestCheckCommand(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"unknown key", "targets: leaf1\n", "targets"},
		{"value", "target: leaf1\nuser: u\nkey: k\nknown_hosts: h\ngroup: g\ninterfaces: [\"ge-[\"]\nunknown: accept\n", "switchagent.yaml:6:"},
		{"files", "target: leaf1\nuser: u\nkey: /nonexistent/id\nknown_hosts: h\ngroup: g\ninterfaces: [ge-0/0/1.0]\nunknown: accept\n", "/nonexistent/id: no such file"},
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

// TestUnknownCommands: a script with a spelling mistake must not go on.
func TestUnknownCommands(t *testing.T) {
	for _, args := range [][]string{{"bogus"}, {"show", "bogus"}, {"run", "bogus"}, {"check", "bogus"}, {"completion", "bogus"}} {
		cmd := rootCommand()
		cmd.SetOut(io.Discard)
		cmd.SetErr(io.Discard)
		cmd.SetArgs(args)
		if err := cmd.Execute(); err == nil {
			t.Errorf("%q is no error", args)
		}
	}
}

// TestDefaultConfiguration: the file is where docs/switchagent.md says, beside the key.
func TestDefaultConfiguration(t *testing.T) {
	text, err := os.ReadFile("../../docs/switchagent.md")
	if err != nil {
		t.Fatal(err)
	}
	path := rootCommand().PersistentFlags().Lookup("config").DefValue
	if want := "/etc/switchagent/switchagent.yaml"; path != want || !strings.Contains(string(text), "--config "+path) {
		t.Errorf("the default is %s, want %s, as documented", path, want)
	}
}

func TestVersionCommand(t *testing.T) {
	var out bytes.Buffer
	cmd := rootCommand()
	cmd.SetOut(&out)
	cmd.SetArgs([]string{"version"})
	if err := cmd.Execute(); err != nil || !strings.HasPrefix(out.String(), "switchagent ") {
		t.Errorf("%q %v", out.String(), err)
	}
}
