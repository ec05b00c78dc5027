package switchagent

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"lastmile/switchagent/junos"
)

var steps = flag.Int("steps", 30_000, "polls of each random history")

// world is a leaf and its servers, as they really are; random histories happen to it.
type world struct {
	rand    *rand.Rand
	now     time.Time
	present map[netip.Addr]bool // plugged in, or the entry of one that was
	up      map[netip.Addr]bool // Established
	stanzas map[netip.Addr]junos.Stanza
	seenAt  map[netip.Addr]time.Time // when a poll, good or bad, could last have seen it
	goodRun int                      // consecutive good polls
	touched map[netip.Addr]int       // commits since it was last plugged in or the leaf rebooted
	macs    map[netip.Addr]int       // what its machine's address ends in
	meddled bool                     // somebody else has changed a stanza since the last good poll
	edits   int
}

func newWorld(seed uint64) *world {
	return &world{
		rand: rand.New(rand.NewPCG(seed, seed)), now: epoch, present: map[netip.Addr]bool{}, up: map[netip.Addr]bool{},
		stanzas: map[netip.Addr]junos.Stanza{}, seenAt: map[netip.Addr]time.Time{}, touched: map[netip.Addr]int{},
		macs: map[netip.Addr]int{},
	}
}

// happen lets one thing happen to one server, or to the leaf.
func (w *world) happen() {
	p := peer(1+w.rand.IntN(6), w.rand.IntN(4))
	switch w.rand.IntN(12) {
	case 0, 1, 2:
		if !w.present[p] {
			w.present[p] = true
			w.touched[p] = 0
		}
	case 3:
		delete(w.present, p)
	case 4, 5, 6:
		if _, ok := w.stanzas[p]; ok {
			w.up[p] = true // whether or not the neighbour table shows it
		}
	case 7:
		delete(w.up, p)
	case 8:
		w.meddle(p)
	case 9:
		if w.rand.IntN(20) == 0 { // another machine with the same address
			w.macs[p]++
		}
	case 10:
		if w.rand.IntN(200) == 0 { // reboot
			clear(w.stanzas)
			clear(w.up)
			clear(w.touched)
		}
	}
}

// meddle is an operator who writes another description, or takes a stanza away.
func (w *world) meddle(p netip.Addr) {
	s, ok := w.stanzas[p]
	if !ok || w.rand.IntN(10) > 0 {
		return
	}
	w.meddled = true
	delete(w.touched, p)
	if w.rand.IntN(2) == 0 {
		delete(w.stanzas, p)
		delete(w.up, p) // which is theirs to answer for
		return
	}
	s.Description = fmt.Sprint("ticket ", w.rand.IntN(1000))
	w.stanzas[p] = s
}

// look is what a good poll sees; now and then a table is empty for no reason.
func (w *world) look() (tables, guards) {
	g := free()
	var seen tables
	if w.rand.IntN(200) > 0 {
		seen.neighbors = append(seen.neighbors, spine)
		for p := range w.present {
			n := router(p)
			n.MAC = fmt.Sprintf("52:54:00:00:00:%02x", w.macs[p]%256)
			seen.neighbors = append(seen.neighbors, n)
			w.seenAt[p] = w.now
		}
	}
	for _, s := range w.stanzas {
		seen.stanzas = append(seen.stanzas, s)
	}
	for p := range w.up {
		if w.rand.IntN(2) == 0 {
			p = p.WithZone("") // releases differ
		}
		g.sessions = append(g.sessions, junos.Session{Peer: p, State: "Established"})
	}
	if w.rand.IntN(20) == 0 {
		g.sessions = nil
	}
	return seen, g
}

// TestRandomHistories: whatever happens, an Established session keeps its stanza and is not reset,
// no neighbour is touched without need, and what others have changed is put back so often at most.
func TestRandomHistories(t *testing.T) {
	for _, policy := range []string{driftRestore, driftAdopt, driftIgnore} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			randomHistory(t, policy)
		})
	}
}

func randomHistory(t *testing.T, driftPolicy string) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	h := &history{
		world: newWorld(seed), policy: testPolicy(), driftPolicy: driftPolicy,
		refused: verdicts{}, meddling: newDrift(driftPolicy, 3), aside: newQuarantine(),
	}
	for range *steps {
		for range h.rand.IntN(3) {
			h.happen()
		}
		h.now = h.now.Add(2*time.Second + time.Duration(h.rand.IntN(2))*time.Second)
		if h.rand.IntN(50) == 0 {
			h.pollFails()
		} else if p := h.poll(t); !p.empty() {
			h.commits(t, p)
		}
	}
	few := h.adds < *steps/500 || h.removes < *steps/1000 || h.edits < *steps/5000 // what is adopted is out of the game
	if few || driftPolicy == driftRestore && h.restored < *steps/2000 {
		t.Errorf("%d adds, %d removes, %d edits, %d restored in %d polls: this history proves little", h.adds, h.removes, h.edits, h.restored, *steps)
	}
}

// A history is a world, and what an agent knows of it from one poll to the next.
type history struct {
	*world
	policy      policy
	driftPolicy string
	before      map[junos.Stanza]absence
	refused     verdicts
	meddling    *drift
	aside       quarantine

	adds, removes, restored int
}

// pollFails is a poll that knows nothing of who was there.
func (h *history) pollFails() {
	h.before, h.goodRun = nil, 0
	if h.rand.IntN(10) == 0 {
		h.meddling.forget()
	}
}

// poll is what would be committed.
func (h *history) poll(t *testing.T) plan {
	t.Helper()
	h.goodRun++
	seen, g := h.look()
	if len(seen.neighbors) == 0 {
		h.goodRun = 0 // nobody is absent from an empty table
	}
	wanted := h.policy.plan(h.now, seen, h.before)
	if strange := h.meddling.see(wanted); strange > 0 {
		t.Fatalf("%d stanzas of strangers, and there are none", strange)
	}
	h.aside.settle(wanted)
	p, known := h.refused.apply(h.now, h.aside.filter(h.now, h.meddling.filter(h.now, wanted)))
	if !known {
		asked := p
		p = asked.guarded(g)
		h.refused.learn(h.now, asked, p)
	}
	h.before = p.absent
	p = p.bounded(2, 0)
	h.check(t, p)
	return p
}

// commits is a commit that succeeds, or is refused, now and then for one stanza.
func (h *history) commits(t *testing.T, p plan) {
	t.Helper()
	if h.rand.IntN(4) == 0 {
		if h.rand.IntN(4) == 0 {
			h.aside.bad[p.change().Stanzas()[0].Place()] = &sentence{until: h.now.Add(time.Minute)}
			h.aside.limit = p.size() / 2
		}
		return
	}
	h.adds, h.removes, h.edits = h.adds+len(p.add), h.removes+len(p.remove), h.edits+len(p.edit)
	h.aside.applied(p.change())
	h.restored += h.meddling.committed(h.now, p.change())
	h.commit(t, p)
	for place, times := range h.meddling.restored {
		if recent := h.meddling.recent(h.now, place); recent > h.meddling.restores || h.driftPolicy != driftRestore {
			t.Fatalf("%v was restored %d times in an hour (%v)", place, recent, times)
		}
	}
}

// check holds a plan against the world.
func (w *world) check(t *testing.T, p plan) {
	t.Helper()
	once := map[netip.Addr]bool{}
	for _, s := range p.change().Stanzas() {
		if bare := s.Peer.WithZone(""); once[bare] {
			t.Fatalf("%s touches %s twice", p, bare)
		} else {
			once[bare] = true
		}
	}
	w.harmless(t, p)
	for _, s := range p.add {
		if !w.present[s.Peer] {
			t.Fatalf("%s adds %s, which is not there", p, s.Peer)
		}
		for has := range w.stanzas {
			if has.WithZone("") == s.Peer.WithZone("") {
				t.Fatalf("%s adds %s, %s is committed", p, s.Peer, has)
			}
		}
	}
	for _, s := range p.remove {
		switch {
		case w.up[s.Peer]:
			t.Fatalf("%s removes %s, which is Established", p, s.Peer)
		case w.stanzas[s.Peer] == junos.Stanza{}:
			t.Fatalf("%s removes %s, which is not committed", p, s.Peer)
		case w.now.Sub(w.seenAt[s.Peer]) < time.Minute:
			t.Fatalf("%s removes %s, seen %s ago", p, s.Peer, w.now.Sub(w.seenAt[s.Peer]))
		case w.goodRun < leastAbsentPolls:
			t.Fatalf("%s removes %s after %d good polls", p, s.Peer, w.goodRun)
		}
	}
}

// harmless reads the commands as the leaf does, and knows better than any poll which sessions are up.
func (w *world) harmless(t *testing.T, p plan) {
	t.Helper()
	for _, c := range p.change().Commands() {
		words := strings.Fields(c.String())
		if len(words) < 7 || !slices.Equal(words[1:6], []string{"protocols", "bgp", "group", "servers", "neighbor"}) {
			t.Fatalf("%q is not about one neighbour", c)
		}
		for up := range w.up {
			_, there := w.stanzas[up]
			if there && words[6] == up.WithZone("").String() && (len(words) == 7 || words[7] != "description") {
				t.Fatalf("%q would end the session with %s", c, up)
			}
		}
	}
}

func (w *world) commit(t *testing.T, p plan) {
	t.Helper()
	for _, s := range p.remove {
		delete(w.stanzas, s.Peer)
		w.touched[s.Peer]++
	}
	for _, s := range p.add {
		w.stanzas[s.Peer] = s
		w.touched[s.Peer]++
	}
	for _, e := range p.edit {
		s := e.To
		w.stanzas[s.Peer] = s
	}
	for peer, times := range w.touched {
		if w.present[peer] && times > 1 {
			t.Fatalf("%s touches %s, which stayed where it is, for the second time", p, peer)
		}
	}
}
