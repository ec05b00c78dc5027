package main

import (
	"context"
	"io"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestPublicKeyIsNotWaitedFor: bootstrap ends, and says that nobody writes to the pipe that it was to read.
func TestPublicKeyIsNotWaitedFor(t *testing.T) {
	config := files(t, goodKey(t), 0o600)
	pipe := filepath.Join(t.TempDir(), "id.pub")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := rootCommand()
	cmd.SetOut(io.Discard)
	cmd.SetErr(io.Discard)
	cmd.SetArgs([]string{"bootstrap", "--config", config, "--public-key", pipe})
	done := make(chan error, 1)
	go func() { done <- cmd.ExecuteContext(context.Background()) }()
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), "reading public key: "+pipe+": it is a pipe that nobody writes to") {
			t.Errorf("got %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("it waits for somebody to write")
	}
}
