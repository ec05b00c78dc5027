package switchagent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/switchagent/junos"
)

// heard is what Apply told: the commands of each commit, and what became of it.
type heard struct{ said []string }

func (h *heard) Planned(v Preview) {
	var peers []string
	for _, c := range v.Commands {
		if words := strings.Fields(c); strings.Contains(c, " local-interface ") || words[0] == "delete" {
			peers = append(peers, words[0]+" "+words[6])
		}
	}
	h.said = append(h.said, "plan "+strings.Join(peers, ", "))
}

func (h *heard) Ended(outcome string, err error) {
	if err != nil {
		outcome += ": " + err.Error()
	}
	h.said = append(h.said, outcome)
}

// want compares what was told, as far as the wanted texts go.
func (h *heard) want(t *testing.T, want ...string) {
	t.Helper()
	same := func(a, b string) bool { return strings.HasPrefix(a, b) }
	if !slices.EqualFunc(h.said, want, same) {
		t.Errorf("told\n\t%s\nwant\n\t%s", strings.Join(h.said, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// atFake applies before a switch that is not there.
func atFake(f *fakeLeaf, change func(*Config)) (*Operation, *heard) {
	cfg := DefaultConfig()
	cfg.Interfaces, cfg.Group, cfg.Unknown, cfg.SessionsPerPort = []string{"ge-0/0/*.0"}, "servers", unknownAccept, 1000
	if change != nil {
		change(&cfg)
	}
	o, h := Operate(cfg, slog.New(slog.DiscardHandler)), &heard{}
	o.agent.dial = f.dial
	o.Tell(h)
	return o, h
}

var (
	one = netip.MustParseAddr("fe80::1%ge-0/0/1.0")
	two = netip.MustParseAddr("fe80::2%ge-0/0/2.0")
)

// TestApplyTellsWhatItCommits: a neighbour that comes between two looks is not in the commit of the
// first, or it is told.
func TestApplyTellsWhatItCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeLeaf()
		f.plug(one)
		f.outcomes = append(f.outcomes, func(f *fakeLeaf, c junos.Change) (junos.Outcome, error) {
			f.plug(two)
			return applied(f, c)
		})
		o, h := atFake(f, nil)
		if err := o.Apply(t.Context()); err != nil {
			t.Error(err)
		}
		h.want(t, "plan set fe80::1", "applied", "plan set fe80::2", "applied")
	})
}

// TestApplyNothing tells once that there is nothing.
func TestApplyNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, h := atFake(newFakeLeaf(), nil)
		if err := o.Apply(t.Context()); err != nil {
			t.Error(err)
		}
		h.want(t, "plan ")
	})
}

// TestApplyLostAnswer: a lost answer is read back, in another session.
func TestApplyLostAnswer(t *testing.T) {
	notApplied := func(f *fakeLeaf, _ junos.Change) (junos.Outcome, error) {
		f.lost = true
		return junos.Unknown, errGone
	}
	confused := func(f *fakeLeaf, c junos.Change) (junos.Outcome, error) {
		applied(f, c)
		return junos.Unknown, errors.New("the switch confirmed nothing")
	}
	for _, tt := range []struct {
		name     string
		outcomes []func(*fakeLeaf, junos.Change) (junos.Outcome, error)
		want     []string
		err      string
	}{
		{"it is there", o1(appliedAndLost), []string{"plan set fe80::1", "unknown: ", "applied"}, ""},
		{"it makes no sense, and is there", o1(confused), []string{"plan set fe80::1", "unknown: ", "applied"}, ""},
		{"it is not there", o1(notApplied), []string{"plan set fe80::1", "unknown: ", "refused: the leaf does not have", "plan set fe80::1", "applied"}, ""},
		{"never", slices.Repeat(o1(notApplied), 9), slices.Repeat([]string{"plan set fe80::1", "unknown: ", "refused: "}, mostTries), "given up after 3 attempts"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeLeaf()
				f.plug(one)
				f.outcomes = tt.outcomes
				o, h := atFake(f, nil)
				if err := o.Apply(t.Context()); (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got %v, want %q", err, tt.err)
				}
				h.want(t, tt.want...)
			})
		})
	}
}

type outcomes = []func(*fakeLeaf, junos.Change) (junos.Outcome, error)

func o1(f func(*fakeLeaf, junos.Change) (junos.Outcome, error)) outcomes { return outcomes{f} }

// TestApplySomebodyWasFaster: the new plan is told, and a leaf that never rests is given up.
func TestApplySomebodyWasFaster(t *testing.T) {
	changed := func(f *fakeLeaf, _ junos.Change) (junos.Outcome, error) {
		f.plug(two)
		return junos.Refused, junos.ErrChanged
	}
	synctest.Test(t, func(t *testing.T) {
		f := newFakeLeaf()
		f.plug(one)
		f.outcomes = o1(changed)
		o, h := atFake(f, nil)
		if err := o.Apply(t.Context()); err != nil {
			t.Error(err)
		}
		h.want(t, "plan set fe80::1", "refused: somebody else has changed", "plan set fe80::1, set fe80::2", "applied")
	})
	synctest.Test(t, func(t *testing.T) {
		f := newFakeLeaf()
		f.plug(one)
		f.outcomes = slices.Repeat(o1(changed), 9)
		o, _ := atFake(f, nil)
		if err := o.Apply(t.Context()); err == nil || !strings.Contains(err.Error(), "given up after 3 attempts") || len(f.commits) != mostTries {
			t.Errorf("%v after %d commits", err, len(f.commits))
		}
	})
}

// TestApplyInterrupted: whoever interrupts a commit is told what became of it.
func TestApplyInterrupted(t *testing.T) {
	for name, tt := range map[string]struct {
		does func(*fakeLeaf, junos.Change) (junos.Outcome, error)
		want string
	}{
		"done":          {appliedAndLost, "the leaf has made the commit"},
		"done later":    {later(3 * time.Second), "the leaf has made the commit"},
		"done too late": {later(time.Minute), "it may still"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeLeaf()
				f.plug(one)
				ctx, cancel := context.WithCancelCause(t.Context())
				f.outcomes = o1(func(f *fakeLeaf, c junos.Change) (junos.Outcome, error) {
					cancel(errors.New("interrupt"))
					return tt.does(f, c)
				})
				o, _ := atFake(f, nil)
				if err := o.Apply(ctx); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasSuffix(err.Error(), "interrupt") {
					t.Errorf("got %v", err)
				}
				time.Sleep(time.Minute) // what was begun ends
			})
		})
	}
}

// later is a commit that the leaf goes on with although nobody waits for the answer.
func later(delay time.Duration) func(*fakeLeaf, junos.Change) (junos.Outcome, error) {
	return func(f *fakeLeaf, c junos.Change) (junos.Outcome, error) {
		f.lost = true
		time.AfterFunc(delay, func() {
			f.order.Lock()
			defer f.order.Unlock()
			applied(f, c)
		})
		return junos.Unknown, errGone
	}
}

// TestApplyUnconfirmedByOthers: while the leaf may take a commit back, not all is well.
func TestApplyUnconfirmedByOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeLeaf()
		f.trial = fmt.Errorf("%w: within 1m", junos.ErrUnconfirmed)
		o, _ := atFake(f, nil)
		if err := o.Apply(t.Context()); !errors.Is(err, ErrRemains) || !strings.Contains(err.Error(), "not confirmed yet") {
			t.Errorf("got %v", err)
		}
		if v, err := o.Plan(t.Context()); err != nil || !strings.Contains(v.Unconfirmed, "not confirmed yet") {
			t.Errorf("plan: %+v %v", v, err)
		}
	})
}

// TestRollbackLostAnswer: it is read back too.
func TestRollbackLostAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeLeaf()
		f.plug(one)
		o, _ := atFake(f, nil)
		if err := o.Apply(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.outcomes = o1(appliedAndLost)
		o, h := atFake(f, nil)
		if _, err := o.Rollback(t.Context(), true, true); err != nil || len(f.stanzas) > 0 {
			t.Errorf("%v, %d stanzas are left", err, len(f.stanzas))
		}
		h.want(t, "plan delete fe80::1", "unknown: ", "applied")
	})
}
