package hostagent

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"testing"

	"lastmile/hostagent/bfd/worker"
	"lastmile/hostagent/bgp"
	"lastmile/hostagent/kernel"
	"lastmile/hostagent/rib"
	"lastmile/lab/netns"
)

// busy is a world whose kernel is real: an agent with its table and its FIB, and
// three leaves, of which there are only the links.
type busy struct {
	*world
	host *netns.NS
	fib  *kernel.FIB
	look func() // at each look for faults, before it
	news sources
	bfds chan worker.News
	link chan kernel.State
}

var busyLeaves = []string{"fe80::1%eth0", "fe80::2%eth1", "fe80::3%eth2"}

func newBusy(t testing.TB, o kernel.Options) *busy {
	w := &busy{world: newWorld(t, "eth*"), host: netns.ForTest(t, "host"), look: func() {}}
	w.bfds, w.link = make(chan worker.News, 1), make(chan kernel.State, 1)
	w.news = sources{w.link, w.bfds, make(chan bgp.News)}
	leaf := netns.ForTest(t, "leaf")
	for i := range busyLeaves {
		if err := netns.Veth(w.host, fmt.Sprint("eth", i), leaf, fmt.Sprint("swp", i)); err != nil {
			t.Fatal(err)
		}
		if err := w.host.AddAddress("lo", fmt.Sprintf("10.0.0.%d/32", 1+i)); err != nil {
			t.Fatal(err)
		}
	}
	o.Heed = func(n int) {
		if w.steps+n >= kernel.HeedSteps {
			w.look()
		}
		w.step(n)
	}
	table := w.cfg.table()
	table.Heed = o.Heed
	w.Agent.rib = rib.New(table)
	err := w.host.Do(func() (err error) {
		if _, err := (&kernel.Sysctls{Plain: o.NoObjects}).Set([]string{"eth0", "eth1", "eth2"}); err != nil {
			return err
		}
		if w.fib, err = kernel.OpenFIB(slog.New(slog.DiscardHandler), o); err != nil {
			return err
		}
		return w.fib.Adopt()
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.fib.Close(); err != nil {
			t.Error(err)
		}
	})
	w.Agent.fib, w.auditor, w.heritage = w.fib, w.fib, w.fib
	w.plug(t)
	return w
}

// plug tells the agent of the links.
func (w *busy) plug(t testing.TB) {
	for i := range busyLeaves {
		name := fmt.Sprint("eth", i)
		err := w.host.Do(func() error {
			ifi, err := net.InterfaceByName(name)
			if err == nil {
				w.state.Links[name] = kernel.Link{Name: name, Index: ifi.Index, Up: true, LinkLocal: netip.MustParseAddr("fe80::a").WithZone(name)}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	w.state.Loopback = []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32")}
	w.Agent.onKernel(w.ctx, w.state)
	w.learn(w.ctx)
}

// comes brings a leaf up with a table.
func (w *busy) comes(i, routes int) {
	leaf := busyLeaves[i]
	w.hear(leaf)
	w.session(leaf, bgp.Established)
	w.tells(i, 0, routes)
	w.onBGP(w.ctx, bgp.Update{Peer: netip.MustParseAddr(leaf), EndOfRIB: true})
	w.learn(w.ctx)
	w.bfdUp(leaf)
	w.learn(w.ctx)
}

// goes ends its session.
func (w *busy) goes(i int) {
	w.session(busyLeaves[i], bgp.Idle)
	w.learn(w.ctx)
}

// tells has the leaf announce host routes of a row.
func (w *busy) tells(i, first, last int) {
	const each = 500
	for ; first < last; first += each {
		u := bgp.Update{Peer: netip.MustParseAddr(busyLeaves[i])}
		path := &bgp.Attributes{ASPath: []uint32{uint32(65001 + i), uint32(4200000000 + first/each)}, Length: 2, LocalPref: 100}
		for n := first; n < min(first+each, last); n++ {
			u.Announced = append(u.Announced, bgp.Route{Prefix: busyPrefix(n), Attributes: path})
		}
		w.onBGP(w.ctx, u)
	}
	w.learn(w.ctx)
}

func busyPrefix(n int) netip.Prefix {
	var raw [4]byte
	binary.BigEndian.PutUint32(raw[:], 20<<24+uint32(n))
	return netip.PrefixFrom(netip.AddrFrom4(raw), 32)
}
