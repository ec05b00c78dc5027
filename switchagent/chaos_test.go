package switchagent

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
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
}

// TestChaos mixes all faults of the simulator with operators' work, ports that go up and down, and
// agents that are killed and stopped. After each round of it, with the faults over: every
// server that is there has its stanza, and nobody else; no commit of an agent has disturbed a session
// that was up, touched what is not the agents', been without effect, or removed who had not left;
// what operators have committed is there, and the agents rest.
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
			t.Logf("seed %d, %s: %d rounds, %d strikes of faults, %d commits with an effect; converged after %v and %d polls at most",
				seed, c.profile, rounds, len(c.device.Strikes()), len(c.changes()), c.worst.Round(10*time.Millisecond), c.polls)
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

// misfortune is one thing that happens.
func (c *chaos) misfortune() {
	for i, at := range c.resume {
		if !at.IsZero() && time.Now().After(at) {
			c.wake(i)
		}
	}
	if c.busy != nil && time.Now().After(c.free) {
		c.letGo()
	}
	switch n := c.random.IntN(20); {
	case n < 8:
		c.fault()
	case n < 13:
		c.replug(1 + c.random.IntN(9))
	case n < 14:
		port, silent := 1+c.random.IntN(9), c.random.IntN(2) == 0
		c.say("server %d silent: %v", port, silent)
		c.world.SetSilent(fmt.Sprintf("ge-0/0/%d.0", port), fmt.Sprintf("fe80::%d", port), silent)
	case n < 18:
		c.operate()
	default:
		c.strikeAgent(c.random.IntN(2))
	}
}

func (c *chaos) replug(n int) {
	c.here[n] = !c.here[n]
	c.say("server %d here: %v", n, c.here[n])
	if c.here[n] {
		c.plug(n)
		return
	}
	c.unplugs[n]++
	c.unplug(n)
}

// fault injects one of the simulator's faults, with details of its own.
func (c *chaos) fault() {
	operations := []string{
		"*", "*", "get-ipv6-nd-information", "get-ipv6-ra-information", "get-configuration", "get-bgp-summary-information",
		"load-configuration", "commit-configuration", "commit-configuration", "open-configuration|lock-configuration",
		"close-configuration|unlock-configuration",
	}
	// A table cut off by a release that does not count its entries is as good as a true one.
	kinds := []sim.FaultKind{
		sim.FaultDrop, sim.FaultStall, sim.FaultDribble, sim.FaultNoise, sim.FaultHostKey, sim.FaultLogin, sim.FaultLinger,
		sim.FaultSlow, sim.FaultResetBefore, sim.FaultResetAfter, sim.FaultError, sim.FaultFull, sim.FaultRefuse,
		sim.FaultMalformed, sim.FaultEmpty, sim.FaultLock, sim.FaultDirty, sim.FaultWriter, sim.FaultReboot, sim.FaultClock, sim.FaultTruncate,
	}
	if c.profile == "18.4R1" {
		kinds = kinds[:len(kinds)-1]
	}
	f := sim.Fault{Kind: kinds[c.random.IntN(len(kinds))], Nth: 1 + c.random.IntN(3), Count: 1 + c.random.IntN(3)}
	f.Delay = time.Duration(50+c.random.IntN(1500)) * time.Millisecond
	switch f.Kind {
	case sim.FaultDrop, sim.FaultStall, sim.FaultMalformed, sim.FaultNoise, sim.FaultError, sim.FaultResetBefore, sim.FaultResetAfter:
		f.RPC, f.After = operations[c.random.IntN(len(operations))], c.random.IntN(400)
	case sim.FaultDribble:
		f.Delay = 100 * time.Microsecond
	case sim.FaultRefuse:
		f.Text = fmt.Sprintf("neighbor fe80::%d", 1+c.random.IntN(9))
	case sim.FaultClock:
		f.Delay = time.Duration(c.random.IntN(7200)-3600) * time.Second
	case sim.FaultReboot:
		f.Count = 1
	case sim.FaultDirty:
		f.Count = 1
	case sim.FaultEmpty, sim.FaultTruncate:
		f.Count = 1 + c.random.IntN(20)
	}
	c.say("fault %s", f)
	_, err := c.device.Inject(f)
	c.must(err)
}

// operate is what operators do: each may find the database locked, and then does nothing.
func (c *chaos) operate() {
	ctx, n := c.t.Context(), 1+c.random.IntN(9)
	ours := fmt.Sprintf("protocols bgp group servers neighbor fe80::%d", n)
	o := c.device.Operator("admin")
	keep := false
	defer func() {
		if !keep {
			o.Close()
		}
	}()
	var what string
	var err error
	switch c.random.IntN(6) {
	case 0, 1:
		what = fmt.Sprintf("set policy-options community operator-%d members 65001:%d", len(c.foreign), len(c.foreign)+1)
		if err = o.CommitPrivate(ctx, what); err == nil {
			c.foreign = append(c.foreign, what)
		}
	case 2:
		what = "delete " + ours
		err = c.beside(o, what)
	case 3:
		what = "set " + ours + ` description "lastmile: kept for ticket 7"`
		if strings.Contains(c.stanzas(), fmt.Sprint(n)) {
			err = c.beside(o, what)
		}
	case 4:
		if c.busy == nil && c.unsaved == nil {
			what = "a lock"
			if c.random.IntN(2) == 0 {
				err = o.Lock(ctx)
			} else {
				err = o.Open(ctx, "lastmile")
			}
			c.busy, c.free, keep = o, time.Now().Add(time.Duration(c.random.IntN(1500))*time.Millisecond), true
		}
	case 5:
		if c.busy == nil && c.unsaved == nil {
			what = "set policy-options community unsaved members 65001:9"
			if err = o.Edit(ctx, what); err == nil {
				c.unsaved, keep = o, true
			}
		}
	}
	c.say("operator: %s: %v", what, err)
}

// beside edits where the agents do.
func (c *chaos) beside(o *sim.Operator, line string) error {
	if c.cfg.Database == junos.Ephemeral {
		return o.CommitEphemeral(c.t.Context(), "lastmile", line)
	}
	return o.CommitPrivate(c.t.Context(), line)
}

func (c *chaos) letGo() {
	c.say("the lock is released")
	c.busy.Close()
	c.busy = nil
}

// strikeAgent kills an agent, stops it for a while, or starts one that was killed.
func (c *chaos) strikeAgent(i int) {
	switch p := c.agents[i]; {
	case p == nil:
		c.say("agent %d starts", i)
		c.agents[i] = c.launch()
	case !p.stopped && c.random.IntN(2) == 0:
		c.say("agent %d is stopped", i)
		p.signal(c.t, syscall.SIGSTOP)
		c.resume[i] = time.Now().Add(time.Duration(c.random.IntN(2500)) * time.Millisecond)
	default:
		c.say("agent %d is killed", i)
		p.kill(c.t)
		p.input.Close()
		c.agents[i], c.resume[i] = nil, time.Time{}
	}
}

func (c *chaos) wake(i int) {
	c.say("agent %d goes on", i)
	c.agents[i].signal(c.t, syscall.SIGCONT)
	c.resume[i] = time.Time{}
}

// settle ends all faults and looks at what they leave.
func (c *chaos) settle() {
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
	begin, rpcs := time.Now(), c.device.Stats().RPCs
	var want []string
	for n, here := range c.here {
		if here {
			want = append(want, fmt.Sprint(n))
		}
	}
	// A trial that a boot or somebody's commit check has ended is waited for to its end, in the world's minutes.
	c.within(2*time.Minute, "converged", func() bool {
		return c.stanzas() == strings.Join(want, " ") && !strings.Contains(c.device.Merged(), "ticket 7") && !c.onTrial() &&
			c.device.LockedBy() == "" && c.device.OpenedBy("lastmile") == ""
	})
	c.worst, c.polls = max(c.worst, time.Since(begin)), max(c.polls, (c.device.Stats().RPCs-rpcs)/6)
	c.say("converged")
	rpcs = c.device.Stats().RPCs
	c.eventually("a poll of each", func() bool { return c.device.Stats().RPCs >= rpcs+2*3 }) // and the last commit is noted
	before := len(c.changes())
	rpcs = c.device.Stats().RPCs
	c.eventually("ten polls of each", func() bool { return c.device.Stats().RPCs >= rpcs+2*10*3 })
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
		if len(h.Disturbed) > 0 {
			c.t.Errorf("an agent's commit has disturbed %v:\n%s", h.Disturbed, h.Diff)
		}
		// A private copy locks nobody out: two agents that both believe the other dead may both commit the
		// same. A confirmation has no effect of its own.
		if strings.TrimSpace(h.Diff) == "" && c.cfg.Database == junos.Ephemeral {
			c.t.Errorf("an agent's commit of %s had no effect", h.Time.UTC().Format("15:04:05.000"))
		}
		for line := range strings.Lines(h.Diff) {
			changed := strings.HasPrefix(line, "+") || strings.HasPrefix(line, "-")
			for _, theirs := range []string{"operator-", "fe80::ff", "fabric", "domain-name", "unsaved"} {
				if changed && strings.Contains(line, theirs) {
					c.t.Errorf("an agent has committed what is not its own:\n%s", h.Diff)
				}
			}
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
