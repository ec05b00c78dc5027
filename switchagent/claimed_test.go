package switchagent

import (
	"context"
	"slices"
	"testing"
	"time"

	"lastmile/switchagent/junos"
)

// whoPlans is a leaf on which something happens between a plan and its commit.
type whoPlans struct {
	leaf
	then func(junos.Change)
}

func (l whoPlans) commit(ctx context.Context, change junos.Change) (junos.Outcome, error) {
	l.then(change)
	return l.leaf.commit(ctx, change)
}

// TestOperatorIsFaster: the server has its neighbour from an operator before the commit that was planned for it. Nothing of
// that is changed, and its session stays up.
func TestOperatorIsFaster(t *testing.T) {
	t.Parallel()
	for name, theirs := range map[string]struct{ port, lines, then string }{
		"in the same place": {"ge-0/0/9.0", "set protocols bgp group servers neighbor fe80::2 local-interface ge-0/0/9.0", "1"},
		"the same peer":     {"ge-0/0/2.0", "set protocols bgp group fabric neighbor fe80::2 local-interface ge-0/0/2.0\nset protocols bgp group fabric neighbor fe80::2 peer-as 64512", "1 2"},
	} {
		for _, kind := range kinds {
			t.Run(name+" "+string(kind), func(t *testing.T) {
				s := newSite(t, "", func(c *Config) { c.Database, c.Interfaces = kind, []string{"ge-0/0/[1-8].0"} })
				operator, done := s.operator(), false
				isIt := func(one junos.Stanza) bool { return one.Peer.String() == "fe80::2%ge-0/0/2.0" }
				faster := func(change junos.Change) {
					if done || !slices.ContainsFunc(change.Add, isIt) {
						return
					}
					done = true
					if err := operator.CommitPrivate(context.Background(), theirs.lines); err != nil {
						t.Error(err)
					}
					for range 2000 {
						if s.world.Established(theirs.port, "fe80::2") {
							return
						}
						time.Sleep(10 * time.Millisecond)
					}
					t.Error("the operator's session does not come up")
				}
				s.tune = func(a *Agent) {
					dial := a.dial
					a.dial = func(ctx context.Context) (leaf, error) {
						l, err := dial(ctx)
						return whoPlans{l, faster}, err
					}
				}
				s.plugAt(theirs.port, "fe80::2")
				s.plug(2)
				s.start()
				s.eventually("it has tried", func() bool { return s.logged("commit given up") || len(s.changes()) > 0 })
				if !s.logged("commit given up") {
					t.Fatal("it is committed")
				}
				s.plug(1)
				s.await(theirs.then)
				s.wantChanges(1)
			})
		}
	}
}
