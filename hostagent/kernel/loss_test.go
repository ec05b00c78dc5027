package kernel_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"lastmile/hostagent/kernel"
)

// TestFaultsAreHeededInTheMidst: whatever is done with a whole table, few routes go by between two looks for faults.
func TestFaultsAreHeededInTheMidst(t *testing.T) { inBothModes(t, testFaultsAreHeededInTheMidst) }

func testFaultsAreHeededInTheMidst(t *testing.T, b *bench) {
	const table, most = 10_000, kernel.BatchSize + 8 // and the messages that make and remove groups
	if _, err := b.sysctls(); err != nil {
		t.Fatal(err)
	}
	h := &heeded{bench: b}
	b.options.Heed = paced(kernel.HeedSteps, h.look)
	both := hostRoutes(table, leaf0, leaf1)
	b.killedRun(both...)
	for _, step := range h.steps(both) {
		h.looks, h.worst = 0, 0
		if h.fib != nil {
			h.sent = h.fib.Sent()
		}
		if step.do(); h.looks < table/2/kernel.HeedSteps { // some are about half of it
			t.Errorf("%s: %d looks for faults in %d routes", step.name, h.looks, table)
		}
		if h.look(); h.worst > most {
			t.Errorf("%s: %d messages between two looks, at most %d wanted", step.name, h.worst, most)
		}
		if n := h.fib.AtWork(); n > 0 {
			t.Errorf("%s: %d writers are still at work", step.name, n)
		}
	}
	b.close(h.fib)
}

// heeded counts looks for faults, and the messages to the kernel between two of them.
type heeded struct {
	*bench
	fib         *kernel.FIB // nil until it is open
	looks       int
	sent, worst uint32
}

func (h *heeded) look() {
	if h.fib != nil {
		h.worst, h.sent = max(h.worst, h.fib.Sent()-h.sent), h.fib.Sent()
	}
	h.looks++
}

type heededStep struct {
	name string
	do   func()
}

// steps is all that is done with a whole table, whose routes are those of an earlier run.
func (h *heeded) steps(both []kernel.Route) []heededStep {
	one := hostRoutes(len(both), leaf0)
	for i := 1; i < len(one); i += 2 {
		one[i].NextHops = []netip.Addr{leaf1}
	}
	half := both[:len(both)/2]
	return []heededStep{
		{"adopt", h.adopt},
		{"confirm", func() { h.apply(h.fib, half...) }},
		{"sweep", func() { h.sweep(h.fib, half...) }},
		{"install", func() { h.apply(h.fib, both...) }},
		{"nothing new", func() { h.apply(h.fib, both...) }},
		{"split", func() { h.apply(h.fib, one...) }},
		{"source", func() {
			if err := h.fib.SetSource(v4, v6); err != nil {
				h.t.Fatal(err)
			}
		}},
		{"audit that finds something", func() {
			h.ip("route del " + both[0].Prefix.String())
			if changed, err := h.fib.Audit(); !changed || err != nil {
				h.t.Fatal(changed, err)
			}
		}},
		{"what it does about it", func() { h.apply(h.fib, one...) }},
		{"refused", func() {
			if err := h.fib.SetSource(netip.MustParseAddr("10.99.99.99"), v6); err == nil {
				h.t.Fatal("an address that the host has not")
			}
		}},
		{"remove", func() { h.apply(h.fib, hostRoutes(len(both))...) }},
	}
}

func (h *heeded) adopt() {
	var err error
	if h.fib, err = h.tryOpen(); err != nil {
		h.t.Fatal(err)
	}
	h.sent, h.worst = h.fib.Sent(), 0
}

// TestLeafLostInTheMidstOfAnApply: the rest of the orders, which are of the time before, does not bring it back.
func TestLeafLostInTheMidstOfAnApply(t *testing.T) { inBothModes(t, testLeafLostInTheMidstOfAnApply) }

func testLeafLostInTheMidstOfAnApply(t *testing.T, b *bench) {
	const table = 1000
	tests := map[string]struct{ before, orders []kernel.Route }{
		"installing":             {nil, hostRoutes(table, leaf0, leaf1)},
		"a leaf comes back":      {hostRoutes(table, leaf1), hostRoutes(table, leaf0, leaf1)},
		"of one set at a time":   {append(hostRoutes(table/2), hostRoutes(table, leaf1)[table/2:]...), hostRoutes(table, leaf0, leaf1)},
		"two sets come together": {append(hostRoutes(table/2, leaf0), hostRoutes(table, leaf1)[table/2:]...), hostRoutes(table, leaf0, leaf1)},
		"the other one is moved": {append(hostRoutes(table/2, leaf0), hostRoutes(table, leaf0, leaf1)[table/2:]...), hostRoutes(table, leaf0, leaf1)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			at := 1
			for ; b.loseAtLook(at, leaf0, test.before, test.orders); at++ {
				for _, line := range b.routes() {
					if !strings.HasSuffix(line, " via fe80::2%up1") {
						t.Fatalf("lost at look %d: %s", at, line)
					}
				}
			}
			if at < 3 {
				t.Errorf("%d looks only", at-1)
			}
		})
	}
}

// loseAtLook has a leaf die at one look for faults while the orders are given, and says whether there was that look.
func (b *bench) loseAtLook(at int, leaf netip.Addr, before, orders []kernel.Route) bool {
	b.t.Helper()
	looks := 0
	look := func() {}
	b.options.Heed = paced(50, func() { look() }) // less than a batch: messages are queued at some looks
	fib, err := b.tryOpen()
	if err != nil {
		b.t.Fatal(err)
	}
	b.sweep(fib) // what the last time has left
	b.apply(fib, before...)
	look = func() {
		if looks++; looks == at {
			fib.LeafLost(leaf)
		}
		if looks >= at {
			b.noneHolds(fib, leaf)
		}
	}
	b.apply(fib, orders...)
	look = func() {}
	seen := looks >= at
	if n := fib.Len(); n != len(orders) {
		b.t.Errorf("%d routes", n)
	}
	if seen {
		b.noneHolds(fib, leaf)
	}
	if err := fib.Leave(); err != nil { // with the routes, to be looked at
		b.t.Error(err)
	}
	return seen
}

// noneHolds looks for a group that has lost leaves and others.
func (b *bench) noneHolds(fib *kernel.FIB, lost ...netip.Addr) {
	b.t.Helper()
	groups, err := fib.Stored()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, hops := range groups {
		dead := 0
		for _, a := range hops {
			if slices.Contains(lost, a) {
				dead++
			}
		}
		if dead > 0 && dead < len(hops) {
			b.t.Fatalf("a group of %v, of which %v are lost", hops, lost)
		}
	}
}

// TestLossesAtAnyTime gives random orders, in the midst of which random leaves are lost, and then others that know of it.
// The kernel has what was ordered without the leaves that are lost, at any time; LOSS_SEED repeats a run.
func TestLossesAtAnyTime(t *testing.T) {
	for name, plain := range map[string]bool{"objects": false, "multipath routes": true} {
		t.Run(name, func(t *testing.T) {
			b, leaves := fourLeaves(t)
			b.options.NoObjects = plain
			seed := rand.Uint64()
			if text := os.Getenv("LOSS_SEED"); text != "" {
				var err error
				if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
					t.Fatal(err)
				}
			}
			t.Logf("LOSS_SEED=%d", seed)
			m := &lossModel{bench: b, random: rand.New(rand.NewPCG(seed, 0)), leaves: leaves, orders: hostRoutes(2500)}
			b.options.Heed = paced([]int{kernel.HeedSteps, 100}[m.random.IntN(2)], m.look)
			m.fib = b.open()
			for range 40 {
				m.turn()
			}
			if m.inTheMidst == 0 {
				t.Error("no leaf was lost in the midst of anything")
			}
			t.Logf("%d leaves lost in the midst of something, %d looks", m.inTheMidst, m.looks)
		})
	}
}

// lossModel is what a FIB should have.
type lossModel struct {
	*bench
	random *rand.Rand
	fib    *kernel.FIB
	leaves []netip.Addr
	orders []kernel.Route // the last of each prefix; what is lost may be in them
	lost   []netip.Addr   // and not known of

	busy              bool
	looks, inTheMidst int
}

func (m *lossModel) look() {
	m.looks++
	if m.busy {
		m.noneHolds(m.fib, m.lost...)
	}
	if m.busy && len(m.lost) < 3 && m.random.IntN(8) == 0 {
		m.inTheMidst++
		m.lose()
	}
}

// lose has a leaf die. In the midst of that, another may.
func (m *lossModel) lose() {
	leaf := m.leaves[m.random.IntN(len(m.leaves))]
	if !slices.Contains(m.lost, leaf) {
		m.lost = append(m.lost, leaf)
	}
	m.fib.LeafLost(leaf)
	m.noneHolds(m.fib, m.lost...)
}

// some draws a set of leaves, which may be empty.
func (m *lossModel) some() (hops []netip.Addr) {
	for _, a := range m.leaves {
		if m.random.IntN(2) == 0 {
			hops = append(hops, a)
		}
	}
	return hops
}

func (m *lossModel) turn() {
	m.busy = true
	switch m.random.IntN(8) {
	case 0: // all routes get the same leaves, or each third of them others
		all := [][]netip.Addr{m.some(), m.some(), m.some()}[:1+2*m.random.IntN(2)]
		for i := range m.orders {
			m.orders[i].NextHops = all[i*len(all)/len(m.orders)]
		}
		m.apply(m.fib, m.orders...)
	case 6, 7: // few routes of all
		for range 20 {
			m.orders[m.random.IntN(len(m.orders))].NextHops = m.some()
		}
		m.apply(m.fib, m.orders...)
	case 1, 2: // a part of the table
		from := m.random.IntN(len(m.orders))
		part := m.orders[from : from+m.random.IntN(len(m.orders)-from)]
		for i := range part {
			part[i].NextHops = m.some()
		}
		m.apply(m.fib, part...)
	case 3:
		if err := m.fib.SetSource([]netip.Addr{v4, {}}[m.random.IntN(2)], netip.Addr{}); err != nil {
			m.t.Fatal(err)
		}
	case 4: // others
		if all := m.list("-4"); len(all) > 0 {
			m.ip("route del " + all[m.random.IntN(len(all))].Dst)
		}
		if _, err := m.fib.Audit(); err != nil {
			m.t.Fatal(err)
		}
		m.apply(m.fib, m.orders...)
	case 5:
		m.lose()
	}
	m.busy = false
	m.check()
	if m.random.IntN(2) == 0 {
		m.know()
	}
}

// know gives the orders of who knows which leaves are lost.
func (m *lossModel) know() {
	for i, r := range m.orders {
		m.orders[i].NextHops = slices.DeleteFunc(slices.Clone(r.NextHops), func(a netip.Addr) bool { return slices.Contains(m.lost, a) })
	}
	m.apply(m.fib, m.orders...)
	m.fib.LossesKnown()
	m.lost = nil
	m.check()
}

// check compares the kernel's routes with the orders. Where all leaves of an order are lost, it has some of them.
func (m *lossModel) check() {
	m.t.Helper()
	m.noneHolds(m.fib, m.lost...)
	got := make(map[string]string)
	for _, line := range m.routes() {
		prefix, hops, _ := strings.Cut(line, " via ")
		prefix, _, _ = strings.Cut(prefix, " ")
		got[prefix] = hops
	}
	for _, r := range m.orders {
		want := slices.DeleteFunc(slices.Clone(r.NextHops), func(a netip.Addr) bool { return slices.Contains(m.lost, a) })
		prefix := r.Prefix.Addr().String()
		have, ok := got[prefix]
		switch {
		case ok != (len(r.NextHops) > 0):
			m.t.Fatalf("%s is there: %v, ordered: %v", prefix, ok, r.NextHops)
		case len(want) > 0 && have != strings.Trim(fmt.Sprint(want), "[]"):
			m.t.Fatalf("%s is over %s, ordered %v, lost %v", prefix, have, r.NextHops, m.lost)
		case len(want) == 0:
			for _, hop := range strings.Fields(have) {
				if !slices.Contains(r.NextHops, netip.MustParseAddr(hop)) {
					m.t.Fatalf("%s is over %s, ordered %v, all lost", prefix, have, r.NextHops)
				}
			}
		}
	}
}

// TestLeafLostWhileRoutesAreTakenOver: the groups of an earlier run are known before its routes are.
func TestLeafLostWhileRoutesAreTakenOver(t *testing.T) {
	b := newBench(t)
	const table = 3000
	b.killedRun(hostRoutes(table, leaf0, leaf1)...)
	looks, look := 0, func() {}
	b.options.Heed = paced(kernel.HeedSteps, func() { looks++; look() })
	var fib *kernel.FIB
	err := b.host.Do(func() (err error) {
		fib, err = kernel.OpenFIB(slog.New(slog.DiscardHandler), b.options)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer b.close(fib)
	if got := fmt.Sprint(sorted(fib.Inherited())); got != "[fe80::1%up0 fe80::2%up1]" {
		t.Errorf("inherited next hops: %s", got)
	}
	looks, look = 0, func() {
		if looks == 3 {
			fib.LeafLost(leaf0)
			b.noneHolds(fib, leaf0)
		}
	}
	if err := fib.Adopt(); err != nil {
		t.Fatal(err)
	}
	if looks < 4 || fib.Len() != table {
		t.Errorf("%d looks, %d routes", looks, fib.Len())
	}
	for _, line := range b.routes() {
		if !strings.HasSuffix(line, " via fe80::2%up1") {
			t.Fatal(line)
		}
	}
	sent := fib.Sent()
	if err := fib.SetSource(v4, v6); err != nil {
		t.Fatal(err)
	}
	b.apply(fib, hostRoutes(table, leaf1)...)
	b.sweep(fib, hostRoutes(table, leaf1)...)
	b.atMost(fib, sent, 5, "for what is so already")
	if changed, err := fib.Audit(); changed || err != nil {
		t.Errorf("audit: %v, %v", changed, err)
	}
}
