package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// loadWithin loads a configuration, and fails if that does not end.
func loadWithin(t *testing.T, path string, into *sample) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- Load(path, into) }()
	select {
	case err := <-done:
		return err
	case <-time.After(30 * time.Second):
		t.Fatalf("%s: it is waited for", path)
		return nil
	}
}

// TestPipeThatNobodyWritesTo: neither it nor a device without an end keeps a command from ending.
func TestPipeThatNobodyWritesTo(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "f.yaml")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{pipe: "it is a pipe that nobody writes to", "/dev/zero": "it is a device; a regular file or a pipe is wanted"} {
		if err := loadWithin(t, path, &sample{}); err == nil || !strings.Contains(err.Error(), "reading configuration: "+path+": "+want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// TestGeneratedConfiguration: check --config <(generate) names a pipe, and so does /dev/stdin behind one.
func TestGeneratedConfiguration(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	wrote := make(chan error, 1)
	go func() {
		_, err := w.WriteString("name: generated\n")
		wrote <- errors.Join(err, w.Close())
	}()
	var got sample
	path := filepath.Join("/dev/fd", fdOf(t, r))
	if err := errors.Join(loadWithin(t, path, &got), <-wrote); err != nil || got.Name != "generated" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func fdOf(t *testing.T, file *os.File) string {
	t.Helper()
	conn, err := file.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var name string
	if err := conn.Control(func(fd uintptr) { name = strconv.FormatUint(uint64(fd), 10) }); err != nil {
		t.Fatal(err)
	}
	return name
}
