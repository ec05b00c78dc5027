package switchagent

import (
	"flag"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"lastmile/switchagent/junos"
)

var steps = flag.Int("steps", 20_000, "polls of the random history")

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
}

func newWorld(seed uint64) *world {
	return &world{
		rand: rand.New(rand.NewPCG(seed, seed)), now: epoch, present: map[netip.Addr]bool{}, up: map[netip.Addr]bool{},
		stanzas: map[netip.Addr]junos.Stanza{}, seenAt: map[netip.Addr]time.Time{}, touched: map[netip.Addr]int{},
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
		if w.rand.IntN(200) == 0 { // reboot
			clear(w.stanzas)
			clear(w.up)
			clear(w.touched)
		}
	}
}

// look is what a good poll sees; now and then a table is empty for no reason.
func (w *world) look() (tables, guards) {
	g := free()
	var seen tables
	if w.rand.IntN(200) > 0 {
		seen.neighbors = append(seen.neighbors, spine)
		for p := range w.present {
			seen.neighbors = append(seen.neighbors, router(p))
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

// TestRandomHistories: whatever happens, an Established session keeps its stanza, and no
// neighbour is touched without need.
func TestRandomHistories(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	w, policy := newWorld(seed), testPolicy()
	var before map[junos.Stanza]absence
	refused := verdicts{}
	adds, removes := 0, 0
	for range *steps {
		for range w.rand.IntN(3) {
			w.happen()
		}
		w.now = w.now.Add(2*time.Second + time.Duration(w.rand.IntN(2))*time.Second)
		if w.rand.IntN(50) == 0 { // a failed poll, which knows nothing of who was there
			before, w.goodRun = nil, 0
			continue
		}
		w.goodRun++
		seen, g := w.look()
		if len(seen.neighbors) == 0 {
			w.goodRun = 0 // nobody is absent from an empty table
		}
		p, known := refused.apply(w.now, policy.plan(w.now, seen, before))
		if !known {
			wanted := p
			p = wanted.guarded(g)
			refused.learn(w.now, wanted, p)
		}
		before = p.absent
		w.check(t, p)
		if w.rand.IntN(4) == 0 {
			continue // the commit was refused
		}
		adds, removes = adds+len(p.add), removes+len(p.remove)
		w.commit(t, p)
	}
	if adds < *steps/200 || removes < *steps/400 {
		t.Errorf("%d adds and %d removes in %d polls: this history proves little", adds, removes, *steps)
	}
}

// check holds a plan against the world.
func (w *world) check(t *testing.T, p plan) {
	t.Helper()
	once := map[netip.Addr]bool{}
	for _, s := range append(p.add[:len(p.add):len(p.add)], p.remove...) {
		if bare := s.Peer.WithZone(""); once[bare] {
			t.Fatalf("%s touches %s twice", p, bare)
		} else {
			once[bare] = true
		}
	}
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
	for peer, times := range w.touched {
		if w.present[peer] && times > 1 {
			t.Fatalf("%s touches %s, which stayed where it is, for the second time", p, peer)
		}
	}
}
