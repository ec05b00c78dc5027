package kernel_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lastmile/hostagent/kernel"
	"lastmile/lab/netns"
)

// watch runs a watcher in the namespace until the test ends.
func watch(t *testing.T, ns *netns.NS) *kernel.Watcher {
	t.Helper()
	w := kernel.NewWatcher(slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- ns.Do(func() error { return w.Run(ctx) }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		for range w.News() { // ends only if Run closed it
		}
	})
	return w
}

// await reads news until one is as wanted, and returns it.
func await(t *testing.T, w *kernel.Watcher, what string, wanted func(kernel.State) bool) kernel.State {
	t.Helper()
	deadline := time.After(time.Minute)
	var last kernel.State
	for {
		select {
		case s, ok := <-w.News():
			if !ok {
				t.Fatalf("no more news, still waiting: %s", what)
			}
			if last = s; wanted(s) {
				return s
			}
		case <-deadline:
			t.Fatalf("still waiting: %s; last news: %+v", what, last)
		}
	}
}

func TestWatchFirstNewsIsComplete(t *testing.T) {
	b := newBench(t)
	b.ip("address add 10.0.0.2/24 dev lo")
	b.ip("address add 10.0.0.3/32 dev lo scope link")
	b.eventually("usable addresses", func() bool { // the carrier may be late with them
		addresses := string(b.ip("-6 -o address show scope link"))
		return strings.Contains(addresses, " up0 ") && strings.Contains(addresses, " up1 ") && !strings.Contains(addresses, "tentative")
	})
	s := await(t, watch(t, b.host), "first news", func(kernel.State) bool { return true })
	if diff := cmp.Diff("[10.0.0.1/32 10.0.0.2/32 c0d1::1/128]", fmt.Sprint(s.Loopback)); diff != "" {
		t.Errorf("loopback (-want +got):\n%s", diff)
	}
	if len(s.Links) < 3 || !s.Links["lo"].Up {
		t.Errorf("links %v", s.Links)
	}
	for _, name := range []string{"up0", "up1"} {
		l := s.Links[name]
		line := string(b.ip("-6 -o address show scope link dev " + name))
		if !l.Up || !strings.Contains(line, " "+l.LinkLocal.WithZone("").String()+"/64 ") || l.LinkLocal.Zone() != name {
			t.Errorf("%+v, but iproute2 says %s", l, line)
		}
		if line := string(b.ip("-o link show dev " + name)); !strings.Contains(line, "link/ether "+l.MAC.String()+" ") {
			t.Errorf("%+v, but iproute2 says %s", l, line)
		}
	}
}

func TestWatchFollows(t *testing.T) {
	b := newBench(t)
	if _, err := b.sysctls("up0", "up1"); err != nil { // no wait for duplicate address detection
		t.Fatal(err)
	}
	w := watch(t, b.host)
	up := func(name string) func(kernel.State) bool {
		return func(s kernel.State) bool { return s.Links[name].Up && s.Links[name].LinkLocal.IsValid() }
	}
	await(t, w, "up0 up", up("up0"))

	b.carrier(0, "down")
	await(t, w, "carrier lost", func(s kernel.State) bool { l := s.Links["up0"]; return !l.Up && l.Losses == 1 })
	b.carrier(0, "up")
	s := await(t, w, "carrier back", up("up0"))
	if s.Links["up0"].Losses != 1 || s.Links["up1"].Losses != 0 {
		t.Errorf("losses after one: %+v", s.Links)
	}

	b.ip("link set up0 down")
	await(t, w, "set down", func(s kernel.State) bool {
		l := s.Links["up0"]
		return !l.Up && !l.LinkLocal.IsValid() && l.Losses == 2
	})
	b.ip("link set up0 address 02:00:00:00:00:77")
	b.ip("link set up0 up")
	s = await(t, w, "set up", up("up0"))
	if got := s.Links["up0"]; got.MAC.String() != "02:00:00:00:00:77" || got.LinkLocal.String() != "fe80::ff:fe00:77%up0" {
		t.Errorf("after a change of MAC: %+v", got)
	}

	b.ip("address add 10.0.0.9/32 dev lo")
	await(t, w, "address on lo", func(s kernel.State) bool { return len(s.Loopback) == 3 })
	b.ip("address del 10.0.0.9/32 dev lo")
	await(t, w, "address off lo", func(s kernel.State) bool { return len(s.Loopback) == 2 })

	b.ip("link del up0")
	await(t, w, "link removed", func(s kernel.State) bool { _, ok := s.Links["up0"]; return !ok })
	if err := netns.Veth(b.host, "up0", b.leaves[0], "port"); err != nil {
		t.Fatal(err)
	}
	s = await(t, w, "link made anew", up("up0"))
	if got := s.Links["up0"].Losses; got <= 2 {
		t.Errorf("%d losses of a link made anew, want more than the 2 of the old one", got)
	}
}

func TestWatchShowsLossThatNobodySaw(t *testing.T) {
	b := newBench(t)
	w := watch(t, b.host)
	s := await(t, w, "up0 up", func(s kernel.State) bool { return s.Links["up0"].Up })
	for range 20 { // unread
		b.carrier(0, "down")
		b.carrier(0, "up")
	}
	before := s.Links["up0"].Losses
	await(t, w, "losses", func(s kernel.State) bool { l := s.Links["up0"]; return l.Up && l.Losses > before })
}

func TestWatchSaysWhyThereIsNoLinkLocal(t *testing.T) {
	b := newBench(t)
	w := watch(t, b.host)
	if err := b.host.Sysctl("net.ipv6.conf.up0.disable_ipv6", "1"); err != nil {
		t.Fatal(err)
	}
	await(t, w, "IPv6 off", func(s kernel.State) bool {
		l := s.Links["up0"]
		return !l.LinkLocal.IsValid() && errors.Is(l.Problem, kernel.ErrIPv6Disabled)
	})
	if err := b.host.Sysctl("net.ipv6.conf.up0.disable_ipv6", "0"); err != nil {
		t.Fatal(err)
	}
	await(t, w, "IPv6 on", func(s kernel.State) bool { l := s.Links["up0"]; return l.LinkLocal.IsValid() && l.Problem == nil })

	// The leaf has the address that the server would take.
	b.ip("link set up1 down")
	b.ip("link set up1 address 02:00:00:00:00:77")
	b.run(b.leaves[1], "ip address add fe80::ff:fe00:77/64 dev port nodad")
	b.ip("link set up1 up")
	await(t, w, "duplicate", func(s kernel.State) bool {
		l := s.Links["up1"]
		return !l.LinkLocal.IsValid() && errors.Is(l.Problem, kernel.ErrDuplicateAddress)
	})
}
