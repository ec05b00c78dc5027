package bfd

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// world is two sessions and the network between them, in a time of its own. A
// node is a session and the process around it, which may be late.
type world struct {
	t       *testing.T
	dice    *rand.Rand
	now     time.Duration
	nodes   [2]*node
	network network
	flights []flight
	steps   int
	failed  bool
	history []event // the last of it, for the report
}

// network is what happens to packets.
type network struct {
	loss, duplicate float64
	least, most     time.Duration // of the delay
	ordered         bool          // a packet does not overtake the one before
	cut             [2]bool       // towards that node
	late            time.Duration // how late the processes are, at most
}

// transit is an upper bound of the time from sending to reading.
const transit = 3 * time.Second

var (
	// clean is a link between two machines that have enough time. Multiplier 1
	// leaves a tenth of the shortest interval, 330 us, for all that differs.
	clean = network{least: 20 * time.Microsecond, most: 120 * time.Microsecond, ordered: true, late: 100 * time.Microsecond}
	// far is as clean, and Polls are sent before the one before was answered.
	far = network{least: 40 * ms, most: 40*ms + 100*time.Microsecond, ordered: true, late: 100 * time.Microsecond}
	bad = []network{
		{loss: 0.3, least: time.Microsecond, most: ms, late: ms, ordered: true},
		{loss: 0.05, duplicate: 0.2, least: ms, most: 200 * ms, late: 10 * ms},
		{loss: 0.6, duplicate: 0.5, least: time.Microsecond, most: 2 * time.Second, late: 500 * ms},
		{least: ms, most: 5 * ms, cut: [2]bool{true, false}, late: ms},
		{least: ms, most: 5 * ms, cut: [2]bool{true, true}, late: ms},
	}
)

type flight struct {
	to      *node
	at      time.Duration
	payload [PacketLen]byte
}

type arrival struct {
	payload [PacketLen]byte
	at      time.Duration
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, dice: rand.New(rand.NewPCG(seed, 1)), now: time.Hour, network: clean}
	for i := range w.nodes {
		w.nodes[i] = &node{world: w, name: [2]string{"a", "b"}[i], known: map[uint32]bool{}}
	}
	w.nodes[0].peer, w.nodes[1].peer = w.nodes[1], w.nodes[0]
	return w
}

// failf reports the first failure only, with what led to it.
func (w *world) failf(format string, args ...any) {
	if w.failed {
		return
	}
	w.failed = true
	for _, e := range w.history[max(0, len(w.history)-60):] {
		w.t.Logf("%12v "+e.format, append([]any{e.at - time.Hour}, e.args...)...)
	}
	w.t.Errorf("at %v: %s", w.now, fmt.Sprintf(format, args...))
}

func (w *world) note(format string, args ...any) {
	if len(w.history) > 1000 {
		w.history = append(w.history[:0], w.history[900:]...)
	}
	w.history = append(w.history, event{w.now, format, args})
}

// event is written out only if the world fails.
type event struct {
	at     time.Duration
	format string
	args   []any
}

// run lets time pass until then.
func (w *world) run(until time.Duration) {
	for !w.failed {
		next, at := -1, until
		for i, f := range w.flights {
			if f.at < at {
				next, at = i, f.at
			}
		}
		var awake *node
		for _, n := range w.nodes {
			if n.wake < at {
				awake, at = n, n.wake
			}
		}
		if at < w.now && awake != nil {
			at = w.now // a deadline may have passed
		}
		w.now = at
		switch {
		case awake != nil:
			awake.run()
		case next >= 0:
			w.deliver(next)
		default:
			return
		}
		w.steps++
	}
}

func (w *world) deliver(i int) {
	f := w.flights[i]
	w.flights = append(w.flights[:i], w.flights[i+1:]...)
	f.to.socket = append(f.to.socket, arrival{f.payload, w.now})
	f.to.wake = min(f.to.wake, w.now+w.lateness())
}

func (w *world) lateness() time.Duration { return w.upTo(w.network.late) }

func (w *world) upTo(d time.Duration) time.Duration {
	return time.Duration(w.dice.Int64N(int64(d) + 1))
}

func (w *world) chance(p float64) bool { return w.dice.Float64() < p }

// send takes a packet on its way.
func (w *world) send(to *node, p *Packet) {
	copies := 1
	if w.chance(w.network.duplicate) {
		copies = 2
	}
	for range copies {
		if w.network.cut[to.index()] || w.chance(w.network.loss) {
			continue
		}
		f := flight{to: to, at: w.now + w.network.least + w.upTo(w.network.most-w.network.least)}
		p.Append(f.payload[:0])
		for i := range w.flights {
			if w.network.ordered && w.flights[i].to == to {
				f.at = max(f.at, w.flights[i].at+1)
			}
		}
		w.flights = append(w.flights, f)
	}
}

// node is one end. Beside the session it keeps its own account of what was sent
// and received, to check the session by.
type node struct {
	*Session
	*world
	name   string
	peer   *node
	known  map[uint32]bool // every discriminator that it had
	socket []arrival
	wake   time.Duration
	config Config
	steady bool // it must not leave state Up

	alive    time.Duration // when it was last in Init or Up
	accepted Packet        // the last one of this session
	at       time.Duration // and when it was received, 0 for none
	receive  time.Duration // the longest that may still be in force
	transmit time.Duration // the shortest that may still be in force
	interval time.Duration // the longest negotiated since the last packet of the schedule
	late     time.Duration // how late it may have been since then
	sentAt   time.Duration // that packet
	news     bool          // the state has changed since a packet
	ups      int
	failures int // of the path, as it has told
}

func (n *node) index() int {
	if n == n.nodes[0] {
		return 0
	}
	return 1
}

// start makes a new session, as after a restart.
func (n *node) start(c Config) {
	c.Discriminator = 1 + n.dice.Uint32N(1<<32-1)
	c.Random = n.dice.Float64
	c.Changed = n.hasChanged
	s, err := New(c, n.now)
	if err != nil {
		n.t.Fatal(err)
	}
	n.note("%s starts as %d: %+v", n.name, c.Discriminator, c.Timers)
	n.Session, n.config, n.known[c.Discriminator] = s, c, true
	n.at, n.sentAt, n.news = 0, 0, true
	n.receive, n.transmit, n.interval, n.late = c.Timers.Receive, c.Timers.Transmit, 0, 0
	n.wake = n.now
}

func (n *node) setTimers(t Timers) {
	n.note("%s has new timers: %+v, polling: %v", n.name, t, n.poll)
	if err := n.SetTimers(t); err != nil {
		n.t.Fatal(err)
	}
	n.config.Timers = t
	n.settle()
}

// settle follows what has become of the offers.
func (n *node) settle() {
	if !n.poll.wanted || n.state != Up {
		n.receive, n.transmit = n.config.Timers.Receive, n.config.Timers.Transmit
	}
	n.receive = max(n.receive, n.config.Timers.Receive)
	n.transmit = min(n.transmit, n.config.Timers.Transmit)
	n.interval = max(n.interval, n.mostGap())
	if n.state == Init || n.state == Up {
		n.alive = n.now
	}
	n.late = max(n.late, n.network.late)
	n.wake = n.Deadline()
	if n.wake < Never {
		n.wake += n.lateness()
	}
}

// mostGap is the longest that may pass until the next packet of the schedule.
func (n *node) mostGap() time.Duration {
	switch {
	case n.config.Passive && n.remote == unknown:
		return Never - n.now
	case n.config.Timers.Multiplier == 1 || n.told == 1:
		return n.TransmitInterval() * 9 / 10
	}
	return n.TransmitInterval()
}

// run is what the process does when it wakes.
func (n *node) run() {
	for _, a := range n.socket {
		n.read(a)
	}
	n.socket = n.socket[:0]
	n.Tick(n.now)
	n.interval = max(n.interval, n.mostGap())
	n.checkAlive()
	count := 0
	for p, ok := n.Transmit(n.now); ok; p, ok = n.Transmit(n.now) {
		n.checkSent(&p)
		n.send(n.peer, &p)
		if count++; count > 3 {
			n.failf("%s sends %d packets at once", n.name, count)
		}
	}
	if d := n.Deadline(); d <= n.now {
		n.failf("%s has a deadline %v ago", n.name, n.now-d)
	}
	n.settle()
}

func (n *node) read(a arrival) {
	p, drop := Parse(a.payload[:], HopLimit)
	if drop != Accepted {
		n.failf("%s drops what %s sent: %v", n.name, n.peer.name, drop)
	}
	n.note("%s reads, received %v ago: %+v", n.name, n.now-a.at, p)
	switch drop := n.Receive(&p, a.at); drop {
	case Accepted, DropAdminDown:
		n.accepted, n.at = p, max(n.at, a.at)
	case DropYourDiscriminator:
	default:
		n.failf("%s drops: %v", n.name, drop)
	}
	n.interval = max(n.interval, n.mostGap())
	if n.state == Init || n.state == Up {
		n.alive = n.now
	}
}
