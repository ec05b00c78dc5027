package switchagent

import (
	"strings"
	"testing"
	"time"
)

// TestBurstWithMessages: ports come up for 10 s, each with its message. That the first are polled at once
// and four times a second must not use up the commits of the others, which wait no longer than they would
// without any messages: a poll interval, and a little.
func TestBurstWithMessages(t *testing.T) {
	runWith(t, newFakeLeaf(), func(c *Config) {
		c.PollInterval, c.CommitRate, c.CommitBurst = 2*time.Second, 12, 10
		c.SessionsPerPort = 1000
	}, func(t *testing.T, a running) {
		plugged := map[string]time.Time{}
		for n := range 100 {
			p := peer(n+1, 1)
			plugged[p.String()] = time.Now()
			a.leaf.plug(p)
			a.kicks.kick()
			a.after(100 * time.Millisecond)
		}
		a.after(10 * time.Second)
		waits, worst := 0, time.Duration(0)
		for i, change := range a.leaf.commits {
			for _, s := range change.Add {
				waits++
				worst = max(worst, a.leaf.times[i].Sub(plugged[s.Peer.String()]))
			}
		}
		if waits != 100 || worst > 2*time.Second+2*kickEvery {
			t.Errorf("%d have a stanza, the last to get it waited %s; %d commits", waits, worst, len(a.leaf.commits))
		}
	})
}

// TestSessionLostBetweenPolls: who polls once an hour does not take an hour to notice.
func TestSessionLostBetweenPolls(t *testing.T) {
	f := newFakeLeaf()
	runWith(t, f, func(c *Config) { c.PollInterval = time.Hour }, func(t *testing.T, a running) {
		a.after(time.Minute)
		if f.dials != 1 {
			t.Fatalf("%d dials", f.dials)
		}
		a.leaf.sync()
		close(f.ended)
		a.after(2 * time.Second)
		if f.dials != 2 || !strings.Contains(a.log.String(), "no session with the leaf") {
			t.Errorf("%d dials: %s", f.dials, a.log)
		}
	})
}
