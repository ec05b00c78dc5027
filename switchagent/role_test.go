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

// writers are two agents of one leaf, each of which can be stopped: its gate is what its calls wait for.
type writers struct {
	leaf   *fakeLeaf
	agents [2]*Agent
	gates  [2]chan struct{}
	done   chan error
}

func (w *writers) start(ctx context.Context, i int) {
	cfg := testConfig()
	cfg.Takeover = 10 * time.Second
	a := New(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	a.role.patience = cfg.Takeover + time.Duration(i)*4*time.Second // and not by chance the same
	a.dial = func(ctx context.Context) (leaf, error) {
		_, err := w.leaf.dial(ctx)
		w.leaf.sync()
		return frozenLeaf{w.leaf, &w.gates[i]}, err
	}
	w.agents[i] = a
	go func() { w.done <- a.Run(ctx, func() {}) }()
}

// writing is the index of the one that writes, if it is one.
func (w *writers) writing() (int, bool) {
	first, second := w.agents[0].role.writer, w.agents[1].role.writer
	if second {
		return 1, !first
	}
	return 0, first
}

func (w *writers) rest(d time.Duration) {
	w.leaf.sync()
	time.Sleep(d)
	synctest.Wait()
	w.leaf.sync()
}

// TestStoppedWriterStandsBy: while it was stopped, the other has put back what somebody took away. What the
// leaf holds is what it held before, and there is one writer.
func TestStoppedWriterStandsBy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &writers{leaf: newFakeLeaf(), done: make(chan error)}
		ctx, cancel := context.WithCancel(t.Context())
		w.start(ctx, 0)
		w.rest(500 * time.Millisecond) // and not at the same moments
		w.start(ctx, 1)
		w.rest(time.Minute)
		w.leaf.plug(one)
		w.rest(time.Minute)
		stopped, alone := w.writing()
		if !alone || len(w.leaf.commits) != 1 {
			t.Errorf("one writes: %v, %d commits", alone, len(w.leaf.commits))
		}
		gate := make(chan struct{})
		w.gates[stopped] = gate
		w.rest(5 * time.Second)
		clear(w.leaf.stanzas)
		clear(w.leaf.up)
		w.rest(time.Minute)
		if !w.agents[1-stopped].role.writer || len(w.leaf.stanzas) != 1 {
			t.Errorf("nobody has taken over: %d stanzas", len(w.leaf.stanzas))
		}
		w.gates[stopped] = nil
		close(gate)
		w.rest(time.Minute)
		if n, alone := w.writing(); !alone || n == stopped {
			t.Errorf("one writes: %v, and it is the stopped one: %v", alone, n == stopped)
		}
		cancel()
		for range w.agents {
			if err := <-w.done; err != nil {
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
