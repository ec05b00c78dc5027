package bgp

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestPasswordIsNotWaitedFor: who opens a pipe waits until somebody writes to it. An attempt to open a session
// would never end.
func TestPasswordIsNotWaitedFor(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "password")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{pipe: "it is a pipe; a regular file is wanted", "/dev/zero": "it is a device"} {
		done := make(chan error, 1)
		go func() {
			_, err := Options{PasswordFile: path}.key()
			done <- err
		}()
		select {
		case err := <-done:
			if err == nil || !strings.Contains(err.Error(), path+": "+want) {
				t.Errorf("got %v, want %q", err, want)
			}
		case <-time.After(30 * time.Second):
			t.Errorf("%s: it is waited for", path)
		}
	}
}
