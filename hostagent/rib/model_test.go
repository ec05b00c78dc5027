package rib_test

import (
	"maps"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lastmile/hostagent/rib"
)

// model is the table as simple as it can be: all paths, and the next hops that somebody who applied all changes has.
type model struct {
	policy     bool // config.Import is theImport
	config     rib.Config
	originated []netip.Prefix
	paths      map[netip.Prefix]map[netip.Addr]rib.Path
	stale      map[netip.Prefix]map[netip.Addr]bool
	installed  map[netip.Prefix][]netip.Addr
}

// step is a byte string's worth of history.
type step struct {
	peer      netip.Addr
	drop      bool
	stale     bool
	sweep     bool
	originate bool // what is withdrawn is what we announce ourselves from now on
	announced []rib.Route
	withdrawn []netip.Prefix
}

func (m *model) do(s step) {
	remove := func(p netip.Prefix) {
		delete(m.paths[p.Masked()], s.peer)
		delete(m.stale[p.Masked()], s.peer)
	}
	if s.stale || s.sweep {
		for p, paths := range m.paths {
			if m.stale[p][s.peer] {
				remove(p)
			}
			if _, has := paths[s.peer]; has && s.stale {
				if m.stale[p] == nil {
					m.stale[p] = make(map[netip.Addr]bool)
				}
				m.stale[p][s.peer] = true
			}
		}
		return
	}
	if s.originate {
		m.originated = nil
		for _, p := range s.withdrawn {
			m.originated = append(m.originated, p.Masked())
		}
		return
	}
	if s.drop {
		for p := range m.paths {
			remove(p)
		}
		return
	}
	for _, p := range s.withdrawn {
		remove(p)
	}
	for _, r := range s.announced {
		remove(r.Prefix)
		own := slices.DeleteFunc(slices.Clone(r.Path.ASPath), func(as uint32) bool { return as != m.config.AS })
		said := *r.Path
		r.Path = &said
		if len(own) > m.config.AllowASIn || !m.admits(s.peer, &r) {
			continue
		}
		prefix := r.Prefix.Masked()
		if m.paths[prefix] == nil {
			m.paths[prefix] = make(map[netip.Addr]rib.Path)
		}
		m.paths[prefix][s.peer] = *r.Path
	}
}

// theImport is the policy of every second history.
var theImport = []rib.Rule{
	{Links: []string{"eth1"}, Prefixes: []rib.Range{{Prefix: netip.MustParsePrefix("10.0.0.0/8"), Min: 25, Max: 32}}, Reject: true},
	{Communities: []rib.Tags{{Standard: []uint32{7}}, {Standard: []uint32{8}}}, LocalPref: new(uint32(50))},
	{MaxLength: 1},
}

// admits says in other words what theImport does with the route.
func (m *model) admits(peer netip.Addr, r *rib.Route) bool {
	switch {
	case !m.policy:
	case peer.Zone() == "eth1" && r.Prefix.Addr().Is4() && r.Prefix.Bits() == 32:
		return false
	case slices.Contains(r.Path.Communities, 8):
		r.Path.LocalPref = 50
	case r.Path.Length == 2:
		return false
	}
	if slices.Contains(r.Path.Communities, 65535<<16) {
		r.Path.LocalPref = 0
	}
	return true
}

// nextHops says by pairs: a path is used if none of the others beats it.
func (m *model) nextHops(prefix netip.Prefix) []netip.Addr {
	// Best local preference, length and origin first; the MED is compared among those alone.
	rank := func(p rib.Path) [3]int { return [3]int{-int(p.LocalPref), p.Length, int(p.Origin)} }
	var best *[3]int
	for _, p := range m.paths[prefix] {
		if r := rank(p); best == nil || slices.Compare(r[:], best[:]) < 0 {
			best = &r
		}
	}
	var used []netip.Addr
	for peer, p := range m.paths[prefix] {
		beaten := rank(p) != *best
		for _, q := range m.paths[prefix] {
			comparable := m.config.AlwaysCompareMED || p.ASPath[0] == q.ASPath[0] && len(p.Sets) < 2 && len(q.Sets) < 2
			beaten = beaten || (rank(q) == *best && comparable && q.MED < p.MED)
		}
		if !beaten {
			used = append(used, peer)
		}
	}
	slices.SortFunc(used, netip.Addr.Compare)
	return used[:min(len(used), m.config.MaxPaths)]
}

// play runs a history and checks the table against the model after each step. The first byte is the configuration.
func play(t *testing.T, history []byte) {
	t.Helper()
	if len(history) == 0 {
		return
	}
	m := &model{policy: history[0]&1 != 0}
	m.config = rib.Config{AS: 1, AllowASIn: 1, MaxPaths: 3, AlwaysCompareMED: history[0]&2 != 0}
	if m.policy {
		m.config.Import = theImport
	}
	history = history[1:]
	m.paths, m.installed = make(map[netip.Prefix]map[netip.Addr]rib.Path), make(map[netip.Prefix][]netip.Addr)
	m.stale = make(map[netip.Prefix]map[netip.Addr]bool)
	table := rib.New(m.config)
	late := idler{installed: make(map[netip.Prefix][]netip.Addr)}
	for len(history) > 0 {
		var s step
		s, history = decodeStep(history)
		m.do(s)
		var changes rib.Changes
		switch {
		case s.originate:
			changes = table.Originate(s.withdrawn)
		case s.stale:
			changes = table.Stale(s.peer)
		case s.sweep:
			changes = table.Sweep(s.peer)
		case s.drop:
			changes = table.Drop(s.peer)
		default:
			changes = table.Update(s.peer, s.announced, s.withdrawn)
		}
		m.follow(t, slices.Collect(changes.All()))
		m.compare(t, table)
		late.todo = append(late.todo, changes)
		late.work(1 + len(history)%3)
	}
	for len(late.todo) > 0 {
		late.work(1)
	}
	if !maps.EqualFunc(late.installed, m.installed, slices.Equal) {
		t.Fatalf("installed part by part (-want +got):\n%s", cmp.Diff(m.installed, late.installed, compare))
	}
}

// idler deals with changes part by part, while more come.
type idler struct {
	todo      []rib.Changes
	installed map[netip.Prefix][]netip.Addr
}

func (l *idler) work(most int) {
	var part rib.Changes
	part, l.todo[0] = l.todo[0].Cut(most)
	for c := range part.All() {
		l.installed[c.Prefix] = c.NextHops
		if len(c.NextHops) == 0 {
			delete(l.installed, c.Prefix)
		}
	}
	if l.todo[0].Len() == 0 {
		l.todo = l.todo[1:]
	}
}

// follow applies changes, each of which must be one.
func (m *model) follow(t *testing.T, changes []rib.Change) {
	t.Helper()
	for i, c := range changes {
		if slices.Equal(m.installed[c.Prefix], c.NextHops) {
			t.Fatalf("%s is no change: %v", c.Prefix, c.NextHops)
		}
		if i > 0 && changes[i-1].Prefix.Compare(c.Prefix) >= 0 {
			t.Fatalf("%s after %s", c.Prefix, changes[i-1].Prefix)
		}
		m.installed[c.Prefix] = c.NextHops
		if len(c.NextHops) == 0 {
			delete(m.installed, c.Prefix)
		}
	}
}

func (m *model) compare(t *testing.T, table *rib.Table) {
	t.Helper()
	want, shown, counts := make(map[netip.Prefix][]netip.Addr), make(map[netip.Prefix][]netip.Addr), make(map[netip.Addr]int)
	for prefix, paths := range m.paths {
		if len(paths) > 0 && !slices.Contains(m.originated, prefix) {
			want[prefix] = m.nextHops(prefix)
		}
		for peer := range paths {
			counts[peer]++
		}
	}
	for _, e := range table.Entries() {
		if one, found := table.Match(e.Prefix.Addr()); !found || one.Prefix.Bits() < e.Prefix.Bits() || !one.Prefix.Contains(e.Prefix.Addr()) {
			t.Fatalf("matched for %s: %v", e.Prefix, one)
		}
		for _, p := range e.Paths {
			if !reflect.DeepEqual(p.Path, m.paths[e.Prefix][p.Peer]) {
				t.Fatalf("%s of %s is %+v, want %+v", e.Prefix, p.Peer, p.Path, m.paths[e.Prefix][p.Peer])
			}
			if p.Reason == "" {
				shown[e.Prefix] = append(shown[e.Prefix], p.Peer)
			}
		}
	}
	if !maps.EqualFunc(want, m.installed, slices.Equal) {
		t.Fatalf("installed by the changes (-want +got):\n%s", cmp.Diff(want, m.installed, compare))
	}
	if !maps.EqualFunc(want, shown, slices.Equal) {
		t.Fatalf("shown in use (-want +got):\n%s", cmp.Diff(want, shown, compare))
	}
	whole := make(map[netip.Prefix][]netip.Addr)
	for r := range table.Routes().All() {
		whole[r.Prefix] = r.NextHops
	}
	if !maps.EqualFunc(want, whole, slices.Equal) {
		t.Fatalf("all routes (-want +got):\n%s", cmp.Diff(want, whole, compare))
	}
	if err := table.Leaks(); err != nil {
		t.Fatal(err)
	}
	for _, p := range table.Peers() {
		if p.Prefixes != counts[p.Addr] {
			t.Fatalf("%s counts %d prefixes, has %d", p.Addr, p.Prefixes, counts[p.Addr])
		}
	}
}

// decodeStep makes sense of any bytes: 5 peers on 2 links, 10 prefixes, attributes of few values so that ties are frequent.
func decodeStep(b []byte) (step, []byte) {
	next := func() byte {
		if len(b) == 0 {
			return 0
		}
		v := b[0]
		b = b[1:]
		return v
	}
	head := next()
	s := step{peer: netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 15: head % 5}).WithZone("eth" + string(rune('0'+head%2))), drop: head >= 240, originate: head >= 220 && head < 240, stale: head >= 205 && head < 220, sweep: head >= 195 && head < 205}
	for range next() % 4 {
		s.withdrawn = append(s.withdrawn, prefixOf(next()))
	}
	for range next() % 4 {
		route := rib.Route{Prefix: prefixOf(next())}
		v := next()
		route.Path = &rib.Path{LocalPref: 100 + uint32(v&1), Origin: v >> 1 & 1, MED: uint32(v >> 2 & 3), Length: 1 + int(v>>4&1)}
		route.Path.ASPath = []uint32{uint32(v>>5&1) + 1, uint32(v >> 6)}
		route.Path.Communities = [8][]uint32{4: {8}, 5: {1, 8}, 6: {rib.GracefulShutdown}, 7: {8, rib.GracefulShutdown}}[next()%8]
		switch next() % 8 {
		case 5:
			route.Path.LargeCommunities = [][3]uint32{{1, 2, 3}, {4, 5, 1 << 31}}
		case 6:
			route.Path.Sets = [][2]int{{1, 2}}
		case 7:
			route.Path.Sets = [][2]int{{0, 1}, {1, 2}}
		}
		s.announced = append(s.announced, route)
	}
	return s, b
}

// prefixOf returns hosts and networks around them, some with bits behind the prefix.
func prefixOf(v byte) netip.Prefix {
	network := v & 8 >> 1 // one of each family, by several names
	if v&1 == 0 {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, v & 6}), 32-2*int(network))
	}
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xc0, 1: 0xd1, 15: v & 6}), 128-2*int(network))
}

func TestRandomHistories(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.NewChaCha8([32]byte{0: byte(seed), 1: byte(seed >> 8)})
		history := make([]byte, 2000)
		if _, err := random.Read(history); err != nil {
			t.Fatal(err)
		}
		play(t, history)
	}
}

func FuzzHistory(f *testing.F) {
	f.Add([]byte{1, 0, 1, 2, 0xff, 2, 0, 1, 2, 0, 241})
	f.Fuzz(func(t *testing.T, history []byte) { play(t, history[:min(len(history), 1000)]) })
}
