package login

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestNoFileIsWaitedFor: who opens a pipe waits until somebody writes to it, and a session waits with them, for ever. None
// of the files that a target names may do that to a daemon.
func TestNoFileIsWaitedFor(t *testing.T) {
	for _, tt := range []struct {
		name  string
		place func(s *server, target *Target, pipe string)
	}{
		{"key", func(_ *server, target *Target, pipe string) { target.Key = pipe }},
		{"passphrase", func(s *server, target *Target, pipe string) {
			s.writeKey(target.Key, newKey(s.t, "ed25519"), "secret words")
			target.Passphrase = pipe
		}},
		{"certificate", func(_ *server, target *Target, pipe string) { target.Certificate = pipe }},
		{"certificate beside the key", func(_ *server, target *Target, pipe string) {
			if err := os.Rename(pipe, target.Key+"-cert.pub"); err != nil {
				t.Fatal(err)
			}
		}},
		{"known hosts", func(_ *server, target *Target, pipe string) { target.KnownHosts = pipe }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, target := newServer(t, newSigner(t, "ed25519"))
			pipe := s.write("pipe", "")
			if err := errors.Join(os.Remove(pipe), syscall.Mkfifo(pipe, 0o600)); err != nil {
				t.Fatal(err)
			}
			tt.place(s, &target, pipe)
			done := make(chan error, 1)
			go func() {
				target.Validity()
				done <- target.Check()
			}()
			select {
			case err := <-done:
				if err == nil || !strings.Contains(err.Error(), "it is a pipe; a regular file is wanted") || !strings.Contains(err.Error(), s.dir) {
					t.Errorf("got %v", err)
				}
			case <-time.After(30 * time.Second):
				t.Error("it waits for somebody to write")
			}
		})
	}
}

// TestPublicKeyIsNotWaitedFor: the same beside an agent, and for the first configuration of a leaf.
func TestPublicKeyIsNotWaitedFor(t *testing.T) {
	s, _ := newServer(t, newSigner(t, "ed25519"))
	pipe := s.dir + "/pipe"
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := Credentials{Key: pipe}.PublicKey()
		done <- err
	}()
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), pipe+": it is a pipe; a regular file is wanted") {
			t.Errorf("got %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("it waits for somebody to write")
	}
}
