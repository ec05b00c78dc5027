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
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// whileWritten lets a test begin with half of an inventory on disk, of two servers that both have their stanza. The rest
// is written a moment later.
func whileWritten(t *testing.T, test func(*testing.T, *fakeLeaf, Config)) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		cfg.Inventory, cfg.Unknown = filepath.Join(t.TempDir(), "inventory.csv"), unknownRefuse
		write := func(text string) {
			if err := os.WriteFile(cfg.Inventory, []byte(text), 0o600); err != nil {
				t.Error(err)
			}
		}
		write(halfHead + halfOne + halfTwo)
		f := newFakeLeaf()
		f.plug(peer(1, 1), peer(2, 2))
		o := Operate(cfg, slog.New(slog.DiscardHandler))
		o.agent.dial = f.dial
		if err := o.Apply(t.Context()); err != nil || len(f.stanzas) != 2 {
			t.Fatalf("%d stanzas: %v", len(f.stanzas), err)
		}
		f.commits = nil
		write(halfHead + halfOne)
		time.AfterFunc(200*time.Millisecond, func() { write(halfHead + halfOne + halfTwo) })
		test(t, f, cfg)
	})
}

// TestErrandsWhileTheInventoryIsWritten: nobody is cut off, and nothing of the kind is planned.
func TestErrandsWhileTheInventoryIsWritten(t *testing.T) {
	whileWritten(t, func(t *testing.T, f *fakeLeaf, cfg Config) {
		o := Operate(cfg, slog.New(slog.DiscardHandler))
		o.agent.dial = f.dial
		if v, err := o.Plan(t.Context()); err != nil || len(v.Commands) > 0 {
			t.Errorf("plan: %q %v", v.Commands, err)
		}
	})
	whileWritten(t, func(t *testing.T, f *fakeLeaf, cfg Config) {
		o := Operate(cfg, slog.New(slog.DiscardHandler))
		o.agent.dial = f.dial
		if err := o.Apply(t.Context()); err != nil || len(f.commits) > 0 {
			t.Errorf("apply: %d commits, %v", len(f.commits), err)
		}
	})
}

// TestStartWhileTheInventoryIsWritten: nor by a daemon that starts just then.
func TestStartWhileTheInventoryIsWritten(t *testing.T) {
	whileWritten(t, func(t *testing.T, f *fakeLeaf, cfg Config) {
		a := New(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		a.dial = f.dial
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- a.Run(ctx, func() {}) }()
		time.Sleep(time.Minute)
		cancel()
		if err := <-ended; err != nil || len(f.commits) > 0 || f.asked == 0 && f.dials == 0 {
			t.Errorf("%d commits, %v", len(f.commits), err)
		}
	})
}

// TestInventoryThatNeverRests: who cannot read the same twice says so, and decides nothing.
func TestInventoryThatNeverRests(t *testing.T) {
	whileWritten(t, func(t *testing.T, f *fakeLeaf, cfg Config) {
		ctx, cancel := context.WithCancel(t.Context())
		written := make(chan struct{})
		go func() {
			defer close(written)
			for n := 0; ctx.Err() == nil; n++ {
				next := cfg.Inventory + ".next" // a whole one each time
				err := os.WriteFile(next, []byte(halfHead+halfOne+strings.Repeat("\n", n%7)), 0o600)
				if err := errors.Join(err, os.Rename(next, cfg.Inventory)); err != nil {
					t.Error(err)
				}
				time.Sleep(100 * time.Millisecond)
			}
		}()
		o := Operate(cfg, slog.New(slog.DiscardHandler))
		o.agent.dial = f.dial
		if err := o.Apply(t.Context()); err == nil || !strings.Contains(err.Error(), "is being written") || len(f.commits) > 0 {
			t.Errorf("%d commits, %v", len(f.commits), err)
		}
		cancel()
		<-written
	})
}

// TestBadInventoryIsSaidOnce: by the error that the person gets.
func TestBadInventoryIsSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		cfg.Inventory, cfg.Unknown = filepath.Join(t.TempDir(), "inventory.csv"), unknownRefuse
		if err := os.WriteFile(cfg.Inventory, []byte("nonsense\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for name, errand := range map[string]func(*Operation) error{
			"plan":      func(o *Operation) error { _, err := o.Plan(t.Context()); return err },
			"apply":     func(o *Operation) error { return o.Apply(t.Context()) },
			"inventory": func(o *Operation) error { _, err := o.Inventory(t.Context()); return err },
		} {
			var log bytes.Buffer
			err := errand(Operate(cfg, slog.New(slog.NewTextHandler(&log, nil))))
			if err == nil || !strings.Contains(err.Error(), "inventory.csv:1:") || log.Len() > 0 {
				t.Errorf("%s: %v, and logged: %s", name, err, &log)
			}
		}
	})
}
