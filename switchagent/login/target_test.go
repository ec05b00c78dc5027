package login

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	s, good := newServer(t, newSigner(t, "ed25519"))
	tests := []struct {
		name   string
		change func(*Target)
		want   string
	}{
		{"good", func(*Target) {}, ""},
		{"no key", func(c *Target) { c.Key = "/nonexistent/id" }, "/nonexistent/id: no such file"},
		{"not a key", func(c *Target) { c.Key = s.write("hello", "hello") }, "ssh: no key found"},
		{"no known_hosts", func(c *Target) { c.KnownHosts = "/nonexistent/kh" }, "/nonexistent/kh: no such file"},
		{"broken known_hosts", func(c *Target) { c.KnownHosts = s.write("kh", "leaf1 nonsense\n") }, "kh:1"},
		{"not pinned", func(c *Target) { c.Addr = "192.0.2.1:830" }, "no key for [192.0.2.1]:830: compare what `ssh-keyscan -p 830 192.0.2.1`"},
		{"no port", func(c *Target) { c.Addr = "192.0.2.1" }, "missing port"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			target := good
			tt.change(&target)
			err := target.Check()
			if tt.want == "" && err == nil {
				return
			}
			if err == nil || tt.want == "" || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
}

// TestKeyWarning: what OpenSSH refuses to use is not used without a word.
func TestKeyWarning(t *testing.T) {
	dir := t.TempDir()
	key := filepath.Join(dir, "id")
	for mode, want := range map[os.FileMode]string{
		0o600: "", 0o400: "", 0o700: "",
		0o644: "mode 0644", 0o640: "mode 0640", 0o602: "mode 0602", 0o401: "mode 0401",
	} {
		if err := errors.Join(os.WriteFile(key, nil, 0o600), os.Chmod(key, mode)); err != nil {
			t.Fatal(err)
		}
		warning := Target{Credentials: Credentials{Key: key}}.KeyWarning()
		if (warning == "") != (want == "") || !strings.Contains(warning, want) || want != "" && !strings.Contains(warning, "chmod 600 "+key) {
			t.Errorf("%04o: %q, want %q in it", mode, warning, want)
		}
		if err := os.Remove(key); err != nil {
			t.Fatal(err)
		}
	}
	if warning := (Target{Credentials: Credentials{Key: "/nonexistent/id"}}).KeyWarning(); warning != "" {
		t.Errorf("a missing file: %q", warning)
	}
	if err := errors.Join(os.WriteFile(key, nil, 0o600), os.Chmod(key, 0o440)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	if warning := (Target{Credentials: Credentials{Key: key}}).KeyWarning(); warning != "" {
		t.Errorf("a credential of systemd: %q", warning)
	}
}
