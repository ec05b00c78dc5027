package switchagent

import (
	"fmt"
	"strings"
	"syscall"
	"time"

	sim "lastmile/lab/junos"
	"lastmile/switchagent/junos"
)

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
