package switchagent

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lastmile/switchagent/inventory"
	"lastmile/switchagent/junos"
)

var steps = flag.Int("steps", 30_000, "polls of all random histories together")

// world is a leaf and its servers, as they really are; random histories happen to it.
type world struct {
	*historyLeaf
	rand    *rand.Rand
	now     time.Time
	present map[netip.Addr]bool      // plugged in, or the entry of one that was
	seenAt  map[netip.Addr]time.Time // when a poll, good or bad, could last have seen it
	goodRun int                      // consecutive good polls
	touched map[netip.Addr]int       // commits since it was last plugged in or the leaf rebooted
	macs    map[netip.Addr]int       // what its machine's address ends in
	foreign map[string]bool          // keys of the operator's neighbours
	stock   *inventory.Inventory

	count
}

// count is what has happened in a history. gentle are the edits of stanzas whose session is up.
type count struct{ adds, removes, edits, gentle, restored, meddled, commits int }

func (c *count) add(other count) {
	c.adds, c.removes, c.edits, c.gentle = c.adds+other.adds, c.removes+other.removes, c.edits+other.edits, c.gentle+other.gentle
	c.restored, c.meddled, c.commits = c.restored+other.restored, c.meddled+other.meddled, c.commits+other.commits
}

func newWorld(leaf *historyLeaf, seed uint64) *world {
	w := &world{
		historyLeaf: leaf, rand: rand.New(rand.NewPCG(seed, seed)), now: epoch, present: map[netip.Addr]bool{}, seenAt: map[netip.Addr]time.Time{},
		touched: map[netip.Addr]int{}, macs: map[netip.Addr]int{}, foreign: map[string]bool{},
	}
	w.relist()
	return w
}

// relist is another inventory: port 0 is never listed, and the others now and then not.
func (w *world) relist() {
	text := "port,server,as,prefixes\n"
	for port := 1; port < 4; port++ {
		if port == 3 || w.rand.IntN(10) > 0 { // one at least is wanted
			text += fmt.Sprintf("ge-0/0/%d.0,bms%d,%d,10.%d.%d.1/32\n", port, port, 64512+w.rand.IntN(2), port, w.rand.IntN(3))
		}
	}
	stock, err := inventory.Parse("history", []byte(text), junos.CheckPrefix)
	if err != nil {
		w.t.Fatal(err)
	}
	w.stock = stock
}

func (w *world) someone() netip.Addr { return peer(1+w.rand.IntN(6), w.rand.IntN(4)) }

// happen lets one thing happen to one server, or to the leaf.
func (w *world) happen() {
	p := w.someone()
	switch w.rand.IntN(14) {
	case 0, 1, 2:
		if !w.present[p] {
			w.present[p] = true
			w.touched[p] = 0
		}
	case 3:
		delete(w.present, p)
	case 4, 5, 6:
		w.speak(p, true) // whether or not the neighbour table shows it
	case 7:
		w.speak(p, false)
	case 8:
		if w.rand.IntN(10) == 0 {
			w.meddle(p)
		}
	case 9:
		if w.rand.IntN(20) == 0 { // another machine with the same address
			w.macs[p]++
		}
	case 10:
		if w.rand.IntN(200) == 0 && w.cfg.Database == junos.Ephemeral { // reboot
			w.edit("delete protocols\ndelete policy-options")
			clear(w.touched)
		}
	case 11:
		if w.rand.IntN(40) == 0 {
			w.relist()
		}
	case 12:
		if w.rand.IntN(20) == 0 {
			w.operate(p.WithZone("").String())
		}
	}
}

// meddlings are what an operator may put into a neighbour of ours.
var meddlings = []string{
	`description "ticket %d"`, `description "lastmile: ticket %d"`, "hold-time 9%[1]d", "family evpn signaling", "family inet unicast loops 2", "import theirs",
	"peer-as 649%02[1]d", "family inet6 unicast prefix-limit maximum 7", "out-delay 1", "passive",
}

// meddle is an operator who adds to a stanza, or takes it away, or a part of it.
func (w *world) meddle(p netip.Addr) {
	i := slices.IndexFunc(w.stanzas(), func(s junos.Stanza) bool { return s.Peer == p })
	if i < 0 {
		return
	}
	s := w.stanzas()[i]
	delete(w.touched, p)
	w.meddled++
	n := "protocols bgp group servers neighbor " + s.Key
	switch w.rand.IntN(8) {
	case 0, 1:
		w.edit("delete " + n)
	case 2:
		w.edit("delete " + n + " family")
	case 3:
		w.edit("set policy-options policy-statement " + s.PolicyName() + " term more then accept")
	default:
		line := meddlings[w.rand.IntN(len(meddlings))]
		if strings.Contains(line, "%") {
			line = fmt.Sprintf(line, w.rand.IntN(100))
		}
		w.edit("set " + n + " " + line)
	}
}

// operate is an operator with a neighbour of his own in the group, which he adds or takes away: of an
// address that servers have too, on a port of theirs or another, or with a key that is no address. He
// cannot see an ephemeral instance, and in the static configuration he takes no key that is in use.
func (w *world) operate(address string) {
	port := fmt.Sprintf("ge-0/0/%d.0", 3+w.rand.IntN(3))
	key := address
	if w.rand.IntN(3) == 0 {
		key += "%" + port
	}
	if w.rand.IntN(20) == 0 {
		key = "odd" + address
	}
	const group = "protocols bgp group servers neighbor "
	if keys := slices.Sorted(maps.Keys(w.foreign)); len(keys) > w.rand.IntN(3) {
		if key = keys[w.rand.IntN(len(keys))]; w.historyLeaf.meddle("", "delete "+group+key) {
			delete(w.foreign, key)
		}
		return
	}
	n, at := group+key, netip.MustParseAddr(address).WithZone(port)
	if strings.Contains(w.device.Committed(), n+" ") || strings.HasPrefix(key, "odd") && w.cfg.Database != junos.Ephemeral {
		return
	}
	instance := ""
	if strings.HasPrefix(key, "odd") { // which a commit check would not take
		instance = "lastmile"
	}
	if w.historyLeaf.meddle(instance, "set "+n+" local-interface "+port+"\nset "+n+" description theirs\nset "+n+" peer-as 64999") {
		if w.speak(at, true); instance == "" {
			w.foreign[key] = true
		}
	}
}

// tidy is an operator who takes away all that is his, or has become so, of the group.
func (w *world) tidy() {
	for _, s := range w.guards().static {
		if w.historyLeaf.meddle("", "delete protocols bgp group servers neighbor "+s.Key) {
			delete(w.foreign, s.Key)
		}
	}
}

// look is what a good poll sees; now and then a table is empty for no reason.
func (w *world) look() (seen tables) {
	if w.rand.IntN(200) > 0 {
		seen.neighbors = append(seen.neighbors, spine)
		for p := range w.present {
			n := router(p)
			n.MAC = fmt.Sprintf("52:54:00:00:00:%02x", w.macs[p]%256)
			seen.neighbors = append(seen.neighbors, n)
			w.seenAt[p] = w.now
		}
	}
	seen.stanzas = slices.Clone(w.stanzas())
	return seen
}

// see is the guards; now and then nothing is listed, as after a start of the routing daemon.
func (w *world) see() guards {
	g := w.guards()
	if w.rand.IntN(20) == 0 {
		g.sessions = nil
	}
	return g
}

// check holds a plan against the world.
func (w *world) check(p plan) {
	w.t.Helper()
	once, has := map[junos.Place]bool{}, byPlace(w.stanzas())
	for _, s := range p.change.Stanzas() {
		if once[s.Place()] {
			w.t.Fatalf("%s touches %s twice", p, s.Peer)
		}
		once[s.Place()] = true
	}
	for _, s := range p.change.Add {
		_, there := has[s.Place()]
		if !w.present[s.Peer] || there || w.foreign[s.Place().Key] {
			w.t.Fatalf("%s adds %s: present %v, there %v, somebody's %v", p, s.Peer, w.present[s.Peer], there, w.foreign[s.Place().Key])
		}
	}
	for _, s := range p.change.Remove {
		switch _, there := has[s.Place()]; {
		case w.up(s.Peer):
			w.t.Fatalf("%s removes %s, which is Established", p, s.Peer)
		case !there:
			w.t.Fatalf("%s removes %s, which is not committed", p, s.Peer)
		case w.now.Sub(w.seenAt[s.Peer]) < time.Minute && w.present[s.Peer]:
			w.t.Fatalf("%s removes %s, seen %s ago", p, s.Peer, w.now.Sub(w.seenAt[s.Peer]))
		case w.goodRun < leastAbsentPolls:
			w.t.Fatalf("%s removes %s after %d good polls", p, s.Peer, w.goodRun)
		}
	}
	for _, e := range p.change.Edit {
		if w.up(e.To.Peer) {
			w.gentle++
		}
	}
}

// apply commits a plan.
func (w *world) apply(p plan) {
	w.t.Helper()
	w.commits++
	w.commit(p.change, w.commits)
	for _, s := range slices.Concat(p.change.Remove, p.change.Add) {
		w.touched[s.Peer]++
	}
	w.adds, w.removes, w.edits = w.adds+len(p.change.Add), w.removes+len(p.change.Remove), w.edits+len(p.change.Edit)
	for peer, times := range w.touched {
		if w.present[peer] && times > 1 {
			w.t.Fatalf("%s touches %s, which stayed where it is, for the second time", p, peer)
		}
	}
}

// history is an agent without its clock, before a world.
type history struct {
	*world
	*planner
	rules  Config
	scoped bool
}

// poll is one round of the agent, as Agent.plan makes it.
func (h *history) poll() {
	h.goodRun++
	seen := h.look()
	if len(seen.neighbors) == 0 {
		h.goodRun = 0 // nobody is absent from an empty table
	}
	h.policy.inventory = h.stock
	p, _ := h.sift(h.now, h.want(h.now, seen))
	if !p.empty() {
		asked := p
		if p = h.guard(h.now, asked, h.see()); p.blocked != nil {
			h.t.Fatalf("%s is not proved: %v", asked, p.blocked)
		}
	}
	h.check(p)
	if p.empty() {
		return
	}
	if h.rand.IntN(4) == 0 { // the commit was refused, now and then for one stanza
		if h.rand.IntN(4) == 0 {
			h.quarantine.bad[p.change.Stanzas()[0].Place()] = &sentence{until: h.now.Add(time.Minute)}
			h.quarantine.limit = p.size() / 2
		}
		return
	}
	h.apply(p)
	h.restored += h.committed(h.now, p.change)
	for place, times := range h.drift.restored {
		if recent := h.drift.recent(h.now, place); recent > h.drift.restores || h.drift.policy != driftRestore {
			h.t.Fatalf("%v was restored %d times in an hour (%v)", place, recent, times)
		}
	}
}

// restart is another agent, after an operator has tidied up: what was adopted is not any more.
func (h *history) restart() {
	h.tidy()
	h.planner, h.goodRun = newPlanner(h.rules), 0
	h.policy.scoped = h.scoped
	clear(h.touched)
}

// TestRandomHistories: whatever happens, an Established session keeps its stanza and is not reset,
// no neighbour is touched without need, nobody else's statement is changed, and what others have changed
// is put back so often at most. In every database, by every way to load, on releases that differ in
// keys and in what they say of sessions.
func TestRandomHistories(t *testing.T) {
	type variant struct {
		drift, profile string
		kind           junos.Kind
		load           junos.Load
	}
	var all []variant
	for i, profile := range []string{"18.4R1", "20.4R1", "24.4R1"} {
		for j, kind := range kinds {
			for k, load := range loads(kind) {
				if load != junos.LoadUpdate || profile == "24.4R1" {
					all = append(all, variant{[]string{driftRestore, driftAdopt, driftIgnore}[(i+j+k)%3], profile, kind, load})
				}
			}
		}
	}
	var mu sync.Mutex
	var sum count
	t.Cleanup(func() {
		t.Logf("together: %+v", sum)
		if min(sum.removes, sum.edits, sum.gentle, sum.meddled) < *steps/500 || sum.restored < *steps/5000 {
			t.Error("these histories prove little")
		}
	})
	for _, v := range all {
		t.Run(fmt.Sprint(v.profile, " ", v.kind, " ", v.load, " ", v.drift), func(t *testing.T) {
			t.Parallel()
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			h := &history{
				world: newWorld(newHistoryLeaf(t, v.profile, v.kind, v.load), seed), rules: testConfig(), scoped: v.profile != "18.4R1",
			}
			h.rules.Drift, h.rules.MaxRemovals, h.rules.MaxRemovalShare = v.drift, 3, 0
			h.restart()
			h.run(*steps / len(all))
			mu.Lock()
			defer mu.Unlock()
			sum.add(h.count)
		})
	}
}

func (h *history) run(steps int) {
	for range steps {
		if h.rand.IntN(1500) == 0 {
			h.restart()
		}
		for range h.rand.IntN(3) {
			h.happen()
		}
		h.now = h.now.Add(2*time.Second + time.Duration(h.rand.IntN(2))*time.Second)
		if h.rand.IntN(50) > 0 {
			h.poll()
			continue
		}
		h.goodRun = 0
		if h.missed(); h.rand.IntN(10) == 0 {
			h.forget()
		}
	}
	h.t.Logf("%+v", h.count)
	if h.adds < steps/1000 || h.commits < steps/500 {
		h.t.Error("this history proves little")
	}
}
