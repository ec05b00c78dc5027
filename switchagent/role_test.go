package switchagent

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lastmile/switchagent/junos"
)

// frozenLeaf is one whose agent can be stopped, as by SIGSTOP: nothing of it happens until it goes on. Two
// agents may have the same switch; what one has read and written is ordered before what the other does.
type frozenLeaf struct {
	*fakeLeaf
	gate *chan struct{} // nil while it runs
}

func (f frozenLeaf) tables(ctx context.Context) (tables, error) {
	defer f.sync()
	f.sync()
	if gate := *f.gate; gate != nil {
		<-gate
	}
	return f.fakeLeaf.tables(ctx)
}

func (f frozenLeaf) guards(ctx context.Context) (guards, error) {
	defer f.sync()
	return f.fakeLeaf.guards(ctx)
}

func (f frozenLeaf) sessions(ctx context.Context) ([]junos.Session, error) {
	defer f.sync()
	return f.fakeLeaf.sessions(ctx)
}

func (f frozenLeaf) commit(ctx context.Context, change junos.Change) (junos.Outcome, error) {
	defer f.sync()
	return f.fakeLeaf.commit(ctx, change)
}

func (f frozenLeaf) Close() error {
	f.sync()
	defer f.sync()
	return f.fakeLeaf.Close()
}

// TestStoppedWriterStandsBy: while it was stopped, the other has put back what somebody took away. What the
// leaf holds is what it held before, and there is one writer.
func TestStoppedWriterStandsBy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, writers := newFakeLeaf(), func(agents ...*Agent) (n int) {
			for _, a := range agents {
				if a.role.writer {
					n++
				}
			}
			return n
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		var gates [2]chan struct{}
		start := func(i int) *Agent {
			cfg := testConfig()
			cfg.Takeover = 10 * time.Second
			a := New(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
			a.role.patience = cfg.Takeover + time.Duration(i)*4*time.Second // and not by chance the same
			a.dial = func(ctx context.Context) (leaf, error) {
				_, err := f.dial(ctx)
				f.sync()
				return frozenLeaf{f, &gates[i]}, err
			}
			go func() { done <- a.Run(ctx, func() {}) }()
			return a
		}
		rest := func(d time.Duration) {
			f.sync()
			time.Sleep(d)
			synctest.Wait()
			f.sync()
		}
		agents := []*Agent{start(0), nil}
		rest(500 * time.Millisecond) // and not at the same moments
		agents[1] = start(1)
		rest(time.Minute)
		f.plug(one)
		rest(time.Minute)
		if n := writers(agents...); n != 1 || len(f.commits) != 1 {
			t.Errorf("%d write, %d commits", n, len(f.commits))
		}
		stopped := 0
		if agents[1].role.writer {
			stopped = 1
		}
		gate := make(chan struct{})
		gates[stopped] = gate
		rest(5 * time.Second)
		clear(f.stanzas)
		clear(f.up)
		rest(time.Minute)
		if !agents[1-stopped].role.writer || len(f.stanzas) != 1 {
			t.Errorf("nobody has taken over: %d stanzas", len(f.stanzas))
		}
		gates[stopped] = nil
		close(gate)
		rest(time.Minute)
		if n := writers(agents...); n != 1 || agents[stopped].role.writer {
			t.Errorf("%d write, and the stopped one: %v", n, agents[stopped].role.writer)
		}
		cancel()
		for range agents {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}

// TestReplaced: who was without sight of the leaf for long stands by, unless the leaf has just booted.
func TestReplaced(t *testing.T) {
	now := epoch
	r := newRole(10*time.Second, time.Second)
	r.write()
	for _, tt := range []struct {
		name   string
		after  time.Duration
		booted time.Duration // ago
		empty  bool
		want   bool
	}{
		{"the first look", time.Second, 0, false, false},
		{"the next", time.Second, time.Hour, false, false},
		{"as long as takeover", 10 * time.Second, time.Hour, false, false},
		{"stopped", 20 * time.Second, time.Hour, false, true},
		{"stopped, and all is gone", 20 * time.Second, time.Hour, true, true},
		{"rebooted", 5 * time.Minute, time.Minute, true, false},
		{"rebooted, and somebody was there", 5 * time.Minute, time.Minute, false, true},
	} {
		now = now.Add(tt.after)
		if got := r.replaced(now, now.Add(-tt.booted), tt.empty); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
