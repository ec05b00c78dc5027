package switchagent

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"lastmile/switchagent/junos"
)

// writtenDown is a leaf that keeps in order what it is asked.
type writtenDown struct {
	*fakeLeaf
	calls *[]string
}

func (l writtenDown) note(call string) { *l.calls = append(*l.calls, call) }

func (l writtenDown) tables(ctx context.Context) (tables, error) {
	l.note("tables")
	return l.fakeLeaf.tables(ctx)
}

func (l writtenDown) guards(ctx context.Context) (guards, error) {
	l.note("guards")
	return l.fakeLeaf.guards(ctx)
}

func (l writtenDown) commit(ctx context.Context, c junos.Change) (junos.Outcome, error) {
	l.note("commit")
	return l.fakeLeaf.commit(ctx, c)
}

func (l writtenDown) sessions(ctx context.Context) ([]junos.Session, error) {
	l.note("sessions")
	return l.fakeLeaf.sessions(ctx)
}

func (l writtenDown) usage(ctx context.Context) (junos.Usage, error) {
	l.note("usage")
	return l.fakeLeaf.usage(ctx)
}

// dialledAs makes the agent see the leaf as what wrap makes of it.
func dialledAs(f *fakeLeaf, wrap func(*fakeLeaf) leaf) func(*Agent) {
	return func(a *Agent) {
		a.dial = func(ctx context.Context) (leaf, error) {
			_, err := f.dial(ctx)
			return wrap(f), err
		}
	}
}

// TestNothingStandsBetweenGuardsAndCommit: what is read for metrics comes when no commit waits for it, though it is due.
func TestNothingStandsBetweenGuardsAndCommit(t *testing.T) {
	f, calls := newFakeLeaf(), []string{}
	runTuned(t, f, dialledAs(f, func(f *fakeLeaf) leaf { return writtenDown{f, &calls} }), func(t *testing.T, a running) {
		for n := range 30 {
			f.plug(peer(1+n, n%4))
			a.after(a.cfg.PollInterval * pollsPerLook * 7 / 5) // at each place between two looks
		}
		if len(f.commits) < 10 {
			t.Errorf("%d commits", len(f.commits))
		}
		if n := len(slices.DeleteFunc(slices.Clone(calls), func(c string) bool { return c != "sessions" })); n < 10 {
			t.Errorf("%d looks", n)
		}
		for i, call := range calls {
			if call == "commit" && (calls[i-1] != "guards" || calls[i+1] != "tables") {
				t.Errorf("%v", calls[i-2:i+2])
			}
		}
	})
}

// TestTrialIsNotKeptWaiting: until it is known what becomes of a commit on trial nothing else is read.
func TestTrialIsNotKeptWaiting(t *testing.T) {
	f, calls := newFakeLeaf(), []string{}
	f.outcomes = []func(*fakeLeaf, junos.Change) (junos.Outcome, error){func(f *fakeLeaf, c junos.Change) (junos.Outcome, error) {
		applied(f, c)
		return junos.Pending, nil
	}}
	f.plug(peer(1, 1))
	looks := func() int { return strings.Count(strings.Join(calls, " "), "sessions") }
	runTuned(t, f, dialledAs(f, func(f *fakeLeaf) leaf { return writtenDown{f, &calls} }), func(t *testing.T, a running) {
		a.after(5 * time.Second)
		before := looks()
		a.after(4 * time.Minute)
		if a.trial == nil || looks() != before {
			t.Errorf("on trial: %v; looks: %d, then %d", a.trial != nil, before, looks())
		}
		a.after(10 * time.Minute)
		if a.trial != nil || looks() == before {
			t.Errorf("on trial: %v; %d looks\n%s", a.trial != nil, looks(), a.log)
		}
	})
}

// TestErrandsDoNotLookAround: a person waits for it.
func TestErrandsDoNotLookAround(t *testing.T) {
	f, calls := newFakeLeaf(), []string{}
	f.plug(peer(1, 1))
	o := Operate(testConfig(), slog.New(slog.DiscardHandler))
	dialledAs(f, func(f *fakeLeaf) leaf { return writtenDown{f, &calls} })(o.agent)
	if err := o.Apply(t.Context()); err != nil && !errors.Is(err, ErrRemains) {
		t.Fatal(err)
	}
	if slices.Contains(calls, "sessions") || slices.Contains(calls, "usage") || !slices.Contains(calls, "commit") {
		t.Errorf("asked %v", calls)
	}
}
