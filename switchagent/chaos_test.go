package switchagent

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	sim "lastmile/lab/junos"
	"lastmile/switchagent/junos"
)

var (
	chaosTime = flag.Duration("chaos", 12*time.Second, "how long everything goes wrong in TestChaos, pauses for its checks included")
	chaosSeed = flag.Uint64("chaos-seed", 0, "what goes wrong in TestChaos; 0 for another each time")
)

// chaosRound is how long everything goes wrong before it has to be right again.
const chaosRound = 4 * time.Second

// A chaos is two agents, as processes, before a leaf whose connections, databases, operators and
// servers misbehave at random, as the seed has it.
type chaos struct {
	*site
	random   *rand.Rand
	profile  string
	agents   [2]*process // nil: killed
	resume   [2]time.Time
	here     [10]bool // servers, by port, from 1
	unplugs  [10]int
	foreign  []string // what operators have committed
	unsaved  *sim.Operator
	busy     *sim.Operator // holds a lock
	free     time.Time     // until then
	settled  int           // of the history, up to which it was looked at
	removals [10]int       // of agents
	events   []string
	worst    time.Duration // to converge
	polls    int
	sudden   int // sessions that came up while their stanza was on its way out
}

// TestChaos mixes all faults of the simulator with operators' work, ports that go up and down, and
// agents that are killed and stopped. After each round of it, with the faults over: every
// server that is there has its stanza, and nobody else; no commit of an agent has disturbed a session
// that was up when it last looked, touched what is not the agents', been without effect, or removed who had
// not left; what operators have committed is there, and the agents rest. Agents are waited for by the polls
// that each of them makes, whatever time those take.
func TestChaos(t *testing.T) {
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			seed := *chaosSeed
			if seed == 0 {
				seed = rand.Uint64N(1 << 32)
			}
			c := newChaos(t, kind, seed)
			rounds := 0
			for end := time.Now().Add(*chaosTime); time.Now().Before(end); rounds++ {
				for over := time.Now().Add(chaosRound); time.Now().Before(over); c.sleep(20, 200) {
					c.misfortune()
				}
				c.settle()
			}
			t.Logf("seed %d, %s: %d rounds, %d strikes of faults, %d commits with an effect; converged after %v and %d polls of both at most; %d sessions came up during the commit that ended them",
				seed, c.profile, rounds, len(c.device.Strikes()), len(c.changes()), c.worst.Round(10*time.Millisecond), c.polls, c.sudden)
		})
	}
}

func newChaos(t *testing.T, kind junos.Kind, seed uint64) *chaos {
	c := &chaos{random: rand.New(rand.NewPCG(seed, uint64(kind[0])))}
	profiles := sim.Profiles()
	c.profile = profiles[c.random.IntN(len(profiles))].Name
	t.Logf("seed %d, %s", seed, c.profile)
	c.site = newSite(t, c.profile, func(cfg *Config) {
		cfg.Database, cfg.Takeover = kind, 500*time.Millisecond
		cfg.Restores, cfg.MaxRemovals, cfg.MaxRemovalShare = 1000, 0, 0
	})
	c.disturbs = true // operators do; the agents' commits are looked at one by one
	t.Cleanup(c.end)
	c.busy, c.unsaved = nil, nil
	for i := range c.agents {
		c.agents[i] = c.launch()
	}
	return c
}

func (c *chaos) end() {
	for i, p := range c.agents {
		if p != nil {
			if c.t.Failed() {
				c.t.Logf("end of the log of agent %d:\n%s", i, p.log)
			}
			p.kill(c.t)
			p.input.Close()
		}
	}
	if c.t.Failed() {
		for _, h := range c.device.History()[c.settled:] {
			c.t.Logf("%s %s committed in %s (%s), disturbing %v:\n%s", h.Time.UTC().Format("15:04:05.000"), h.User, h.Database, h.Log, h.Disturbed, h.Diff)
		}
		c.t.Logf("what happened:\n%s", strings.Join(c.events[max(0, len(c.events)-200):], "\n"))
	}
}

func (c *chaos) sleep(least, most int) {
	time.Sleep(time.Duration(least+c.random.IntN(most-least)) * time.Millisecond)
}

func (c *chaos) say(format string, args ...any) {
	c.events = append(c.events, time.Now().UTC().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

// settle ends all faults and looks at what they leave.
func (c *chaos) settle() {
	c.t.Helper()
	c.endFaults()
	begin, rpcs := time.Now(), c.device.Stats().RPCs
	var want []string
	for n, here := range c.here {
		if here {
			want = append(want, fmt.Sprint(n))
		}
	}
	converged := func() bool {
		return c.atRest(func() bool {
			return c.stanzas() == strings.Join(want, " ") && !strings.Contains(c.device.Merged(), "ticket 7")
		})
	}
	// A trial that a boot or somebody's commit check has ended is waited for to its end, in the world's minutes: its
	// one, and another one for the rollback.
	c.within(4*time.Minute, "converged", converged)
	c.worst, c.polls = max(c.worst, time.Since(begin)), max(c.polls, (c.device.Stats().RPCs-rpcs)/6)
	c.say("converged")
	c.touchKey()
	c.eachPolls(2) // a table whose reply had begun before the faults ended may still have come in slowly
	c.within(4*time.Minute, "converged still, or again", converged)
	c.eachPolls(1) // and the last commit is noted
	before := len(c.changes())
	c.eachPolls(10)
	c.wantChanges(before)
	committed := c.device.Committed()
	for _, line := range c.foreign {
		if !strings.Contains(committed, line) {
			c.t.Errorf("of an operator, and gone: %s", line)
		}
	}
	c.judge()
	if c.t.Failed() {
		c.t.FailNow()
	}
}

// endFaults ends all that goes wrong: with the leaf, with operators and with agents.
func (c *chaos) endFaults() {
	c.t.Helper()
	c.say("the faults end")
	if c.unsaved != nil {
		c.wantUnsaved()
	}
	c.device.ClearFaults()
	if c.unsaved != nil {
		c.eventually("the operator discards", func() bool { return c.unsaved.Discard(c.t.Context()) == nil })
		c.unsaved.Close()
		c.unsaved = nil
	}
	if c.busy != nil {
		c.letGo()
	}
	for i, p := range c.agents {
		if p == nil {
			c.agents[i] = c.launch()
		} else if p.stopped {
			c.wake(i)
		}
	}
	if c.random.IntN(2) == 0 {
		c.touchKey()
	}
}

// eachPolls waits until both agents have made n polls from beginning to end.
func (c *chaos) eachPolls(n int) {
	c.t.Helper()
	const first = "get-ipv6-nd-information" // of each poll
	before := c.device.Requests(first)
	c.within(2*time.Minute, fmt.Sprint(n, " polls of each"), func() bool {
		polled := 0
		for session, polls := range c.device.Requests(first) {
			if polls > before[session]+n {
				polled++
			}
		}
		return polled == len(c.agents)
	})
}

// wantUnsaved looks whether an operator's edits are where they were left. The leaf itself loses
// them when it boots.
func (c *chaos) wantUnsaved() {
	rebooted := slices.ContainsFunc(c.device.History()[c.settled:], func(h sim.Change) bool { return h.Database == "reboot" || h.Database == "rollback" })
	if !strings.Contains(c.device.Candidate(), "community unsaved") && !rebooted {
		c.t.Error("the operator's unfinished edits are gone")
	}
	if strings.Contains(c.device.Committed(), "community unsaved") {
		c.t.Error("the operator's unfinished edits were committed")
	}
}

// judge looks at each commit of the agents since the last time.
func (c *chaos) judge() {
	history := c.device.History()
	for _, h := range history[c.settled:] {
		if h.User != "switchagent" {
			continue
		}
		if c.sudden += len(h.Sudden); len(h.Disturbed) > len(h.Sudden) {
			c.t.Errorf("an agent's commit has disturbed %v, of which it could not know %v:\n%s", h.Disturbed, h.Sudden, h.Diff)
		}
		// A private copy locks nobody out: two agents that both believe the other dead may both commit the
		// same. A confirmation has no effect of its own.
		if strings.TrimSpace(h.Diff) == "" && c.cfg.Database != junos.Private && !strings.HasPrefix(h.Log, confirmation) {
			c.t.Errorf("an agent's commit of %s had no effect: %s", h.Time.UTC().Format("15:04:05.000"), h.Log)
		}
		if err := ownOnly(h); err != nil {
			c.t.Error(err)
		}
		for line := range strings.Lines(h.Diff) {
			for n := range c.removals {
				if strings.HasPrefix(line, "-") && strings.Contains(line, fmt.Sprintf("local-interface ge-0/0/%d.0", n)) {
					c.removals[n]++
				}
			}
		}
	}
	c.settled = len(history)
	for n := range c.removals {
		if c.removals[n] > c.unplugs[n] {
			c.t.Errorf("server %d has left %d times, and was removed %d times", n, c.unplugs[n], c.removals[n])
		}
	}
}
