package worker_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"lastmile/bpf/uplink"
	"lastmile/hostagent/bfd"
	"lastmile/hostagent/bfd/worker"
	"lastmile/lab/netns"
)

// A longer look, and at the limit:
//
//	go test -run Soak -v ./hostagent/bfd/worker -soak 60s -interval 10ms
var (
	soak         = flag.Duration("soak", 3*time.Second, "how long TestSoak watches")
	soakWatchdog = flag.Bool("watchdog", false, "whether the kernel watches TestSoak's sessions, too")
	soakInterval = flag.Duration("interval", 50*time.Millisecond, "the interval of TestSoak's sessions")
)

// TestSoak has six sessions between two workers: none may fall, and neither
// worker may grow, since nothing would ever make it shrink again.
func TestSoak(t *testing.T) {
	server, leaf := sixUplinks(t)
	with := settings{}
	if *soakWatchdog {
		with.maps = load(t, server).attach(uplink.Auto).maps
	}
	ends := []*agent{startAgent(t, server, with), startAgent(t, leaf, settings{})}
	if *soakWatchdog {
		ends[0].watchdogOn()
	}
	watchAll(ends, timersOf(*soakInterval, 3), timersOf(*soakInterval, 3))
	for _, a := range ends {
		eventually(t, "six sessions with the timers wanted", func() bool {
			n := 0
			for _, s := range a.ask(request{Sessions: true}).Sessions {
				if s.State == bfd.Up && s.TransmitInterval == *soakInterval && s.DetectTime == 3**soakInterval {
					n++
				}
			}
			return n == uplinks
		})
	}
	var before []int
	for _, a := range ends {
		before = append(before, memory(t, a.status().PID))
	}
	time.Sleep(*soak)
	for i, a := range ends {
		for _, s := range a.ask(request{Sessions: true}).Sessions {
			if s.Failures != 0 || s.Ups != 1 || s.State != bfd.Up {
				t.Errorf("%s fell: %+v", s.Peer, s)
			}
			t.Logf("%s: sent %d, received %d, late %d, latest %v, watchdog %v, false events %d", s.Peer, s.Sent, s.Received, s.Late, s.LateMax, s.Watchdog, s.WatchdogFalse)
		}
		after := memory(t, a.status().PID)
		t.Logf("memory of our own (RssAnon): %d kB, then %d kB", before[i], after)
		if after > before[i]+512 {
			t.Errorf("the worker grows: from %d to %d kB in %v", before[i], after, *soak)
		}
	}
}

const uplinks = 6

// sixUplinks is a server with as many links to a leaf.
func sixUplinks(t testing.TB) (server, leaf *netns.NS) {
	t.Helper()
	server, leaf = netns.ForTest(t, "server"), netns.ForTest(t, "leaf")
	for i := range uplinks {
		eth, swp := fmt.Sprintf("eth%d", i), fmt.Sprintf("swp%d", i)
		if err := netns.Veth(server, eth, leaf, swp); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(server.AddAddress(eth, "fe80::a/64"), leaf.AddAddress(swp, "fe80::1/64")); err != nil {
			t.Fatal(err)
		}
	}
	return server, leaf
}

// watchAll has the server, the first of the ends, and the leaf watch each other.
func watchAll(ends []*agent, ofEnds ...bfd.Timers) {
	for i := range uplinks {
		for j, peer := range []string{"fe80::1%%eth%d", "fe80::a%%swp%d"} {
			ends[j].watch(worker.Watch{Peer: netip.MustParseAddr(fmt.Sprintf(peer, i)), Timers: ofEnds[j]})
		}
	}
}

func timersOf(interval time.Duration, multiplier uint8) bfd.Timers {
	return bfd.Timers{Transmit: interval, Receive: interval, Multiplier: multiplier}
}

// memory returns how much memory a process has of its own, in kB.
func memory(t *testing.T, pid int) (kB int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := bytes.Cut(text, []byte("RssAnon:"))
	if _, err := fmt.Sscan(string(rest), &kB); err != nil {
		t.Fatal(err)
	}
	return kB
}
