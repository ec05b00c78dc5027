package hostagent

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestListenUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "hostagent.sock")
	first, err := listenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("socket: %v, %v", info, err)
	}
	if _, err := listenUnix(path); err == nil || !strings.Contains(err.Error(), path+": another hostagent is running") {
		t.Errorf("beside a living one: %v", err)
	}
	first.(*net.UnixListener).SetUnlinkOnClose(false) // as one that is killed
	first.Close()
	second, err := listenUnix(path)
	if err != nil {
		t.Fatalf("in place of a dead one: %v", err)
	}
	second.Close()

	const text = "as: 64512"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listenUnix(path); err == nil || !strings.Contains(err.Error(), "something else is there") {
		t.Errorf("in place of a file: %v", err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != text {
		t.Errorf("the file is now %q, %v", got, err)
	}
}

// Whoever no longer wants the answer is not kept by a loop that is busy.
func TestQuestionThatIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		busy := make(chan struct{})
		go func() { (<-w.queries)(t.Context()) }()
		began := time.Now()
		err := w.inLoop(ctx, func(context.Context) { <-busy })
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		close(busy)
	})
}
