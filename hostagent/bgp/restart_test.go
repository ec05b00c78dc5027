package bgp_test

import (
	"bytes"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	packet "github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"lastmile/hostagent/bgp"
	"lastmile/lab/frr"
	"lastmile/lab/netns"
)

// helloRestarting is the OPEN of a leaf that says how it restarts.
func helloRestarting(seconds uint16, keepsIPv4, keepsIPv6 bool) *packet.BGPMessage {
	m := hello(65001, "10.255.255.1")
	capabilities := m.Body.(*packet.BGPOpen).OptParams[0].(*packet.OptionParameterCapability)
	capabilities.Capability = append(capabilities.Capability, packet.NewCapGracefulRestart(false, false, seconds,
		[]*packet.CapGracefulRestartTuple{
			packet.NewCapGracefulRestartTuple(packet.RF_IPv4_UC, keepsIPv4), packet.NewCapGracefulRestartTuple(packet.RF_IPv6_UC, keepsIPv6),
		}))
	return m
}

// Routes may be kept if the leaf's speaker goes without a word, has told that
// forwarding goes on, and somebody is there to close its connection.
func TestLeafThatRestarts(t *testing.T) {
	silent := func(w *wire) { w.Close() }
	reset := func(w *wire) { w.Conn.(*net.TCPConn).SetLinger(0); w.Close() }
	cease := func(w *wire) {
		w.send(packet.NewBGPNotificationMessage(packet.BGP_ERROR_CEASE, packet.BGP_ERROR_SUB_ADMINISTRATIVE_SHUTDOWN, nil))
	}
	s, _, leaf := newPort(t)
	s.add(leaf0)
	for name, test := range map[string]struct {
		open *packet.BGPMessage
		end  func(*wire)
		want time.Duration
	}{
		"closed":         {helloRestarting(120, true, true), silent, 2 * time.Minute},
		"reset":          {helloRestarting(120, true, true), reset, 2 * time.Minute},
		"for long":       {helloRestarting(4095, true, true), silent, 3 * time.Minute},
		"a word":         {helloRestarting(120, true, true), cease, 0},
		"no forwarding":  {helloRestarting(120, false, false), silent, 0},
		"half of it":     {helloRestarting(120, true, false), silent, 0},
		"does not do so": {hello(65001, "10.255.255.1"), silent, 0},
		"is reset by us": {helloRestarting(120, true, true), func(*wire) { s.order(request{Reset: &leaf0}) }, 0},
		"says nonsense":  {helloRestarting(120, true, true), func(w *wire) { w.Write(make([]byte, 19)) }, 0},
	} {
		w := leaf.call()
		if err := w.establish(test.open); err != nil {
			t.Fatal(err)
		}
		up := s.awaitState(leaf0, bgp.Established)
		if kept := test.want > 0 || !strings.Contains("no forwarding, half of it, does not do so", name); up.Kept != kept {
			t.Errorf("%s: %+v", name, up)
		}
		say(t, w, rawUpdate(origin+as65001+nextHop, victim))
		from := s.since[leaf0]
		test.end(w)
		if down := s.awaitState(leaf0, bgp.Idle); down.Stale != test.want {
			t.Errorf("%s: %+v", name, down)
		}
		heard := slices.ContainsFunc(s.log[from:s.since[leaf0]], func(l line) bool { return l.Update != nil })
		if test.want > 0 && !heard {
			t.Errorf("%s: what is kept is without the last update", name)
		}
	}
}

// What a leaf has said before it goes is heard, though we may notice that it
// has gone when we write to it.
func TestLastUpdateIsHeard(t *testing.T) {
	s, _, leaf := newPort(t)
	var ours []string
	for i := range 200 {
		ours = append(ours, fmt.Sprintf("10.0.1.%d/32", i))
	}
	s.announce(ours...)
	s.add(leaf0)
	for round := range 20 {
		w := leaf.call()
		if err := w.establish(helloRestarting(120, true, true)); err != nil {
			t.Fatal(err)
		}
		s.awaitState(leaf0, bgp.Established)
		from := s.since[leaf0]
		last := rawUpdate(origin+as65001+nextHop, victim)
		say(t, w, append(bytes.Repeat(last, 200), rawUpdate(origin+as65001+nextHop, "\x18\xc6\x33\x64")...))
		w.Conn.(*net.TCPConn).SetLinger(0)
		w.Close()
		s.awaitState(leaf0, bgp.Idle)
		heard := slices.ContainsFunc(s.log[from:s.since[leaf0]], func(l line) bool {
			return l.Update != nil && len(l.Update.Announced) > 0 && l.Update.Announced[0].Prefix.String() == "198.51.100.0/24"
		})
		if !heard {
			t.Fatalf("round %d: the last update was not heard", round)
		}
	}
}

// A leaf that keeps our routes while we restart gets them and the markers
// behind them.
func TestEndOfRIBIsSent(t *testing.T) {
	s, _, leaf := newPort(t)
	s.announce("10.0.1.1/32", "10.0.1.2/32", "2001:db8::1/128")
	s.add(leaf0)
	w := leaf.call()
	if err := w.establish(helloRestarting(120, true, true)); err != nil {
		t.Fatal(err)
	}
	announced, markers := 0, map[packet.Family]bool{}
	for len(markers) < 2 {
		m, err := w.expectEventually(packet.BGP_MSG_UPDATE)
		if err != nil {
			t.Fatal(err)
		}
		u := m.Body.(*packet.BGPUpdate)
		if is, family := u.IsEndOfRib(); is {
			markers[family] = true
			continue
		}
		for _, a := range u.PathAttributes {
			if reach, ok := a.(*packet.PathAttributeMpReachNLRI); ok {
				announced += len(reach.Value)
			}
		}
	}
	if announced != 3 || !markers[packet.RF_IPv4_UC] || !markers[packet.RF_IPv6_UC] {
		t.Errorf("%d prefixes, then %v", announced, markers)
	}
}

// FRR keeps what we have announced while we are gone and come back, whether we
// were killed or have asked for it. When we go for good it does not.
func TestFRRKeepsOurRoutes(t *testing.T) {
	host, leaf := newNS(t, "server"), newNS(t, "leaf")
	connect(t, plug{host, "eth0"}, plug{leaf, "swp1"})
	router := startLeaf(t, leaf, 65001, static+"; timers 1 9")
	if err := router.Configure(t.Context(), "router bgp 65001", "bgp graceful-restart"); err != nil {
		t.Fatal(err)
	}
	cfg := serverConfig()
	cfg.RestartTime = 30 * time.Second
	start := func() *speaker {
		s := startSpeaker(t, host, cfg)
		s.announce("10.0.1.1/32", "2001:db8::1/128")
		s.add(leaf0)
		s.awaitState(leaf0, bgp.Established)
		return s
	}
	s := start()
	awaitLearned(t, router, "ipv4", "10.0.1.1/32")
	awaitLearned(t, router, "ipv6", "2001:db8::1/128")
	awaitKernel(t, leaf, "10.0.1.1")
	removed := watchRemovals(t, leaf)
	for _, by := range []syscall.Signal{syscall.SIGKILL, syscall.SIGUSR1} {
		err := s.end(by)
		if (err == nil) != (by == syscall.SIGUSR1) {
			t.Errorf("the speaker ended with %v", err)
		}
		await(t, "the leaf to have stale routes", func() bool { return stale(t, router) == 1 })
		cfg.Restarted = true
		s = start()
		await(t, "the leaf to have no stale routes", func() bool { return stale(t, router) == 0 })
		if got := learned(t, router, "ipv4"); !slices.Equal(got, []string{"10.0.1.1/32"}) {
			t.Errorf("after %v: %v", by, got)
		}
	}
	if got := removed(); strings.Contains(got, "10.0.1.1") || strings.Contains(got, "2001:db8::1") {
		t.Errorf("the leaf has removed:\n%s", got)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	awaitLearned(t, router, "ipv4")
}

// stale counts the stale paths that the leaf has to 10.0.1.1/32.
func stale(t *testing.T, r *frr.Router) (n int) {
	t.Helper()
	var table struct {
		Routes map[string][]struct{ Stale bool }
	}
	vtysh(t, r, "show bgp ipv4 unicast json", &table)
	for _, p := range table.Routes["10.0.1.1/32"] {
		if p.Stale {
			n++
		}
	}
	return n
}

func awaitKernel(t *testing.T, ns *netns.NS, to string) {
	t.Helper()
	await(t, "the route in the leaf's kernel", func() bool {
		out, err := ns.Run(t.Context(), "ip", "route", "show", to)
		return err == nil && len(out) > 0
	})
}

// watchRemovals returns what returns the routes that have been removed since.
func watchRemovals(t *testing.T, ns *netns.NS) func() string {
	t.Helper()
	cmd := exec.Command("ip", "monitor", "route")
	said := &logWriter{}
	cmd.Stdout = said
	if err := ns.Start(cmd); err != nil {
		t.Fatal(err)
	}
	text := func() string {
		said.mu.Lock()
		defer said.mu.Unlock()
		return said.text.String()
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	mark := func(address string) { // so that ip monitor has told of all before
		t.Helper()
		await(t, "ip monitor to tell of "+address, func() bool {
			for _, command := range []string{"add", "del"} {
				if _, err := ns.Run(t.Context(), "ip", "route", command, address, "dev", "lo"); err != nil {
					t.Fatal(err)
				}
			}
			return strings.Contains(text(), "Deleted "+address)
		})
	}
	mark("192.0.2.98")
	return func() string {
		mark("192.0.2.99")
		var removed []string
		for line := range strings.Lines(text()) {
			if strings.HasPrefix(line, "Deleted") {
				removed = append(removed, line)
			}
		}
		return strings.Join(removed, "")
	}
}
