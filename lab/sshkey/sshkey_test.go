package sshkey_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"lastmile/lab/sshkey"
)

// TestFiles: what is written is read by others, and only by who may.
func TestFiles(t *testing.T) {
	for _, kind := range []string{sshkey.Ed25519, sshkey.ECDSA, sshkey.RSA} {
		path := filepath.Join(t.TempDir(), "id")
		key := sshkey.ForTest(t, kind, path)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v", kind, info.Mode())
		}
		expectSame(t, key, path, "")
		if err := key.Write(path, "secret words"); err != nil {
			t.Fatal(err)
		}
		expectSame(t, key, path, "secret words")
	}
	if _, err := sshkey.New("dsa"); err == nil || !strings.Contains(err.Error(), `"dsa"`) {
		t.Errorf("dsa: %v", err)
	}
}

func expectSame(t *testing.T, key sshkey.Key, path, passphrase string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	read, err := ssh.ParsePrivateKey(text)
	if passphrase != "" {
		if err == nil {
			t.Error("it can be read without its passphrase")
		}
		read, err = ssh.ParsePrivateKeyWithPassphrase(text, []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	if got, want := ssh.FingerprintSHA256(read.PublicKey()), ssh.FingerprintSHA256(key.PublicKey()); got != want {
		t.Errorf("read %s, want %s", got, want)
	}
}
