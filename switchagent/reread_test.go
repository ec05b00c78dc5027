package switchagent

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lastmile/switchagent/junos"
)

// TestInventoryRestsAfterAll: a daemon that starts while a generator writes the file again and again goes on when it
// rests, with nobody's help.
func TestInventoryRestsAfterAll(t *testing.T) {
	whileWritten(t, func(t *testing.T, f *fakeLeaf, cfg Config) {
		var log bytes.Buffer
		a := New(cfg, slog.New(slog.NewTextHandler(&log, nil)), prometheus.NewRegistry())
		a.dial = f.dial
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- a.Run(ctx, func() {}) }()
		for n := range 100 { // ten times a second, for 10 s: a whole one each time
			next := cfg.Inventory + ".next"
			err := os.WriteFile(next, []byte(halfHead+halfOne+halfTwo+strings.Repeat("\n", n%7)), 0o600)
			if err := errors.Join(err, os.Rename(next, cfg.Inventory)); err != nil {
				t.Error(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(2 * (firstRead + cfg.PollInterval) * mostReads)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if !strings.Contains(log.String(), "is being written") {
			t.Errorf("it has not given up in between:\n%s", &log)
		}
		if err := a.Health(); err != nil || len(a.stock.current.Entries()) != 2 || strings.Contains(log.String(), "%!") {
			t.Errorf("%d ports, health %v:\n%s", len(a.stock.current.Entries()), err, &log)
		}
	})
}

// TestKeyThatIsNoKey: keys are read in every poll, so a file that cannot be one is not read whole.
func TestKeyThatIsNoKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	for size, want := range map[int]string{maxKey: "the key has 4096 characters", maxKey + 1: "more than the 4096 bytes"} {
		if err := os.WriteFile(path, bytes.Repeat([]byte("x"), size), 0o600); err != nil {
			t.Fatal(err)
		}
		if key, err := readKey(path); err == nil || key != (junos.Secret{}) || !strings.Contains(err.Error(), want) {
			t.Errorf("%d bytes: %v, want %q", size, err, want)
		}
	}
}
