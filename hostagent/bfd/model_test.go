package bfd

import (
	"flag"
	"fmt"
	"testing"
	"time"
)

var worlds = flag.Uint64("worlds", 40, "how many worlds each model test tries")

// hasChanged checks a change of state by the node's own account.
func (n *node) hasChanged(c Change) {
	n.note("%s: %+v", n.name, c)
	n.news = true
	if c.PathFailed() {
		n.failures++
	}
	if c.From == Up && n.steady {
		n.failf("%s has left state up: %v", n.name, c.Cause)
	}
	switch {
	case c.To == Up:
		n.ups++
		if n.now-n.peer.alive > transit {
			n.failf("%s is up, but %s was not in state init or up for %v", n.name, n.peer.name, n.now-n.peer.alive)
		}
	case c.Cause == Expired:
		least := DetectTime(n.accepted.Multiplier, n.accepted.DesiredMinTx, n.config.Timers.Receive)
		if silence := c.At - n.at; n.at == 0 || silence < least || c.LastReceived != n.at {
			n.failf("%s expires after %v, and %v is allowed", n.name, silence, least)
		}
	}
}

// checkAlive checks that a session that is up has a reason to be.
func (n *node) checkAlive() {
	if n.state != Init && n.state != Up {
		return
	}
	most := DetectTime(n.accepted.Multiplier, n.accepted.DesiredMinTx, n.receive)
	if silence := n.now - n.at; silence >= most {
		n.failf("%s is %v after a silence of %v, and %v is allowed", n.name, n.state, silence, most)
	}
	if n.state == Up && n.now-n.peer.alive > most+transit {
		n.failf("%s is up, but %s was not in state init or up for %v", n.name, n.peer.name, n.now-n.peer.alive)
	}
}

// checkSent checks a packet and when it is sent.
func (n *node) checkSent(p *Packet) {
	n.note("%s sends %+v", n.name, *p)
	if p.Poll && p.Final || p.MyDiscriminator != n.config.Discriminator || p.State != n.state ||
		p.YourDiscriminator != 0 && !n.peer.known[p.YourDiscriminator] ||
		p.State != Up && p.DesiredMinTx < time.Second || p.RequiredMinRx != n.config.Timers.Receive {
		n.failf("%s sends %+v", n.name, *p)
	}
	if n.config.Passive && p.YourDiscriminator == 0 {
		n.failf("%s is passive, and speaks first", n.name)
	}
	if p.Final {
		n.news = false // told by the way
		return
	}
	gap := n.now - n.sentAt
	least, most := n.transmit, n.interval
	if n.state != Up {
		least = max(least, time.Second)
	}
	if p.YourDiscriminator != 0 {
		least = max(least, n.accepted.RequiredMinRx)
	}
	if !n.news && (gap < least*3/4-1 || gap-max(n.late, n.network.late) > most) {
		n.failf("%s sends %v after the packet before, and %v to %v is allowed", n.name, gap, least*3/4, most)
	}
	n.sentAt, n.news, n.interval, n.late = n.now, false, n.mostGap(), 0
}

// someTimers are any timers that make sense, multiplier 1 among them.
func (w *world) someTimers() Timers {
	some := func() time.Duration {
		all := [...]time.Duration{3300 * time.Microsecond, 10 * ms, 20 * ms, 50 * ms, 100 * ms, 300 * ms, time.Second}
		return all[w.dice.IntN(len(all))]
	}
	return Timers{Transmit: some(), Receive: some(), Multiplier: uint8(1 + w.dice.IntN(5))}
}

// bothUp lets time pass until both ends are up, and says how long it took.
func (w *world) bothUp(within time.Duration) time.Duration {
	start := w.now
	for w.nodes[0].state != Up || w.nodes[1].state != Up {
		if w.now-start > within || w.failed {
			w.failf("%v and %v after %v", w.nodes[0].state, w.nodes[1].state, w.now-start)
			break
		}
		w.run(w.now + ms)
	}
	return w.now - start
}

// Timers are changed up and down, at either end and at both at once, often
// before the change before has been confirmed: nobody notices.
func TestTimersChangeLive(t *testing.T) {
	steps := 0
	for seed := range *worlds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newWorld(t, seed)
			if seed%2 == 1 {
				w.network = far
			}
			for _, n := range w.nodes {
				n.start(Config{Timers: w.someTimers()})
			}
			w.bothUp(time.Second)
			for _, n := range w.nodes {
				n.steady = true
			}
			for range 300 {
				first, both := w.dice.IntN(2), w.dice.IntN(3) == 0
				w.nodes[first].setTimers(w.someTimers())
				if both {
					w.nodes[1-first].setTimers(w.someTimers())
				}
				pause := [...]time.Duration{0, 100 * time.Microsecond, ms, 10 * ms, 500 * ms, 3 * time.Second}
				w.run(w.now + w.upTo(pause[w.dice.IntN(len(pause))]))
			}
			w.run(w.now + 10*time.Second)
			for _, n := range w.nodes {
				if n.poll.wanted || n.inForce != n.offered || n.offered.transmit != n.config.Timers.Transmit {
					w.failf("%s: %+v is not in force yet", n.name, n.Status())
				}
			}
			steps += w.steps
		})
	}
	t.Logf("%d steps", steps)
}

// disturb does something to the world that a session has to live with.
func (w *world) disturb() {
	n := w.nodes[w.dice.IntN(2)]
	switch w.dice.IntN(8) {
	case 0:
		w.network = clean
	case 1, 2, 3:
		w.network = bad[w.dice.IntN(len(bad))]
		w.note("network %+v", w.network)
	case 4:
		n.setTimers(w.someTimers())
	case 5:
		n.Disable(w.now)
		n.settle()
	case 6:
		n.Enable(w.now)
		n.settle()
	case 7:
		n.start(Config{Timers: w.someTimers(), Passive: n == w.nodes[1] && w.chance(0.2)})
	}
}

// Loss, reordering, duplicates, delay, one-way links, late processes, restarts,
// AdminDown, and other timers: whatever happened, once the network is well both
// ends come up and stay.
func TestNetworkHeals(t *testing.T) {
	steps, slowest := 0, time.Duration(0)
	for seed := range *worlds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newWorld(t, seed)
			for _, n := range w.nodes {
				n.start(Config{Timers: w.someTimers()})
			}
			for range 10 {
				for range 10 {
					w.disturb()
					w.run(w.now + w.upTo(2*time.Second))
				}
				w.heal()
				slowest = max(slowest, w.bothUp(10*time.Second))
				w.calm(3 * time.Second)
			}
			if w.nodes[0].ups == 0 || w.nodes[0].failures == 0 {
				w.failf("nothing has happened")
			}
			steps += w.steps
		})
	}
	t.Logf("%d steps, slowest recovery %v", steps, slowest)
}

// heal makes the network clean, once what is in it has come out.
func (w *world) heal() {
	w.network = clean
	w.note("network heals")
	w.run(w.now + transit)
	for _, n := range w.nodes {
		n.Enable(w.now)
		n.settle()
	}
}

// calm is a time in which nothing may happen.
func (w *world) calm(d time.Duration) {
	for _, n := range w.nodes {
		n.steady = true
	}
	w.run(w.now + d)
	for _, n := range w.nodes {
		n.steady = false
	}
}

// An end that is disabled takes down the other, and no path has failed, even at
// multiplier 1.
func TestDisabledIsNoFailure(t *testing.T) {
	for seed := range *worlds {
		w := newWorld(t, seed)
		for _, n := range w.nodes {
			n.start(Config{Timers: w.someTimers()})
		}
		for range 20 {
			w.bothUp(10 * time.Second)
			w.run(w.now + w.upTo(time.Second))
			n := w.nodes[w.dice.IntN(2)]
			n.Disable(w.now)
			n.settle()
			w.run(max(n.Farewell(), w.now+w.upTo(5*time.Second)))
			if n.peer.state != Down {
				w.failf("%s is %v", n.peer.name, n.peer.state)
			}
			n.Enable(w.now)
			n.settle()
		}
		if w.nodes[0].failures+w.nodes[1].failures > 0 || w.nodes[0].ups < 20 {
			w.failf("%d and %d failures, %d times up", w.nodes[0].failures, w.nodes[1].failures, w.nodes[0].ups)
		}
	}
}

// A link that dies is noticed by both ends, each at the end of its detection
// time, to the nanosecond when the process is not late.
func TestDetectsInTime(t *testing.T) {
	for seed := range *worlds {
		w := newWorld(t, seed)
		w.network.late = 0
		for _, n := range w.nodes {
			n.start(Config{Timers: w.someTimers()})
		}
		w.bothUp(time.Second)
		w.run(w.now + 5*time.Second + w.upTo(time.Second))
		w.network.cut = [2]bool{true, true}
		w.run(w.now + 150*time.Microsecond)
		first, second := w.nodes[0], w.nodes[1]
		if first.dies() > second.dies() {
			first, second = second, first
		}
		for _, n := range []*node{first, second} {
			at := n.dies()
			if w.run(at); n.state != Up {
				w.failf("%s is %v too early", n.name, n.state)
			}
			if w.run(at + 1); n.state != Down || n.failures != 1 {
				w.failf("%s is %v, and should have died at %v", n.name, n.state, at)
			}
		}
	}
}

// dies is when the node must notice that it hears nothing any more.
func (n *node) dies() time.Duration {
	theirs := n.peer.config.Timers
	return n.at + DetectTime(theirs.Multiplier, theirs.Transmit, n.config.Timers.Receive)
}
