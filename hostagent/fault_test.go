package hostagent_test

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"lastmile/hostagent"
	"lastmile/lab/netns"
)

// refused runs a command of the server that is to end by itself, and returns
// the one line it has to say besides its news.
func (s *server) refused(t *testing.T, args ...string) string {
	t.Helper()
	out, err := s.ns.Run(t.Context(), args[0], args[1:]...)
	if err == nil {
		t.Fatalf("%v has no error to tell: %s", args, out)
	}
	_, text, _ := strings.Cut(err.Error(), "exit status 1: ")
	var told []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "level=INFO ") {
			told = append(told, strings.TrimSpace(line))
		}
	}
	if len(told) != 1 {
		t.Errorf("%v says %d things, want one:\n%v", args, len(told), err)
	}
	return strings.Join(told, "\n")
}

func expectWords(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q is missing in: %s", w, text)
		}
	}
}

func TestPortIsTaken(t *testing.T) {
	s := newHost(t)
	err := s.ns.Do(func() error {
		l, err := net.Listen("tcp", "[::]:179")
		if err == nil {
			t.Cleanup(func() { l.Close() })
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	text := s.refused(t, s.bin, "run", "--config", s.config(t))
	expectWords(t, text, "port 179", "address already in use", "another BGP daemon")
}

func TestCapabilityIsMissing(t *testing.T) {
	s := newHost(t)
	for capability, without := range map[string]string{"CAP_NET_ADMIN": "-net_admin", "CAP_NET_RAW": "-net_raw", "CAP_NET_BIND_SERVICE": "-net_bind_service"} {
		text := s.refused(t, "setpriv", "--bounding-set", without, s.bin, "run", "--config", s.config(t))
		expectWords(t, text, capability)
	}
}

// TestSecondHostagent: it says what is wrong, and the first one's routes stay,
// whatever else the two have in common.
func TestSecondHostagent(t *testing.T) {
	s := newServer(t)
	s.start(t)
	s.awaitPaths(t, "10.9.9.9/32", 2)
	other := filepath.Join(t.TempDir(), "other.sock")
	for name, args := range map[string][]string{
		"the same configuration": {"--config", s.config(t)},
		"other listen":           {"--config", s.config(t, `uplinks: ["eth*"]`, `listen: ""`)},
		"other socket":           {"--config", s.config(t, `uplinks: ["eth*"]`, `listen: ""`), "--socket", other},
	} {
		t.Run(name, func(t *testing.T) {
			text := s.refused(t, append([]string{s.bin, "run"}, args...)...)
			expectWords(t, text, "another hostagent")
			if n := s.paths(t, "10.9.9.9/32"); n != 2 {
				t.Errorf("the first one's route has %d next hops left", n)
			}
		})
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// awaitState waits until `show neighbors` says so of an uplink.
func (s *server) awaitState(t *testing.T, uplink string, words ...string) {
	t.Helper()
	await(t, func() error {
		var answer hostagent.Neighbors
		if err := hostagent.Ask(t.Context(), s.socket, "neighbors", &answer); err != nil {
			return err
		}
		state := answer.Peers[uplink].State
		for _, w := range words {
			if !strings.Contains(state, w) {
				return fmt.Errorf("%s is %q, want %q in it", uplink, state, w)
			}
		}
		return nil
	})
}

// expectLogged compares how often the daemon, which has ended, said so.
func (s *server) expectLogged(t *testing.T, want int, words string) {
	t.Helper()
	if got := strings.Count(s.log.String(), words); got != want {
		t.Errorf("%q stands in the log %d times, want %d", words, got, want)
	}
}

func TestUplinkIsMissing(t *testing.T) {
	s := newHost(t)
	leaf := netns.ForTest(t, "leaf")
	s.start(t, "uplinks: [eth7]")
	s.awaitState(t, "eth7", "interface does not exist")
	for i := range 3 { // news of other links
		if err := netns.Veth(s.ns, fmt.Sprint("other", i), leaf, fmt.Sprint("port", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := netns.Veth(s.ns, "eth7", leaf, "swp1"); err != nil {
		t.Fatal(err)
	}
	s.awaitState(t, "eth7", "no leaf heard")
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	s.expectLogged(t, 1, `msg="uplink does not exist" link=eth7`)
	s.expectLogged(t, 0, "uplink is gone")
}

func TestIPv6IsDisabledOnAnUplink(t *testing.T) {
	s := newHost(t)
	leaf := netns.ForTest(t, "leaf")
	if err := netns.Veth(s.ns, "eth0", leaf, "swp1"); err != nil {
		t.Fatal(err)
	}
	disable := func(value string) {
		t.Helper()
		if err := s.ns.Sysctl("net.ipv6.conf.eth0.disable_ipv6", value); err != nil {
			t.Fatal(err)
		}
	}
	disable("1")
	s.start(t)
	s.awaitState(t, "eth0", "IPv6 is disabled", "net.ipv6.conf.eth0.disable_ipv6")
	disable("0")
	s.awaitState(t, "eth0", "no leaf heard")
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	s.expectLogged(t, 1, `link=eth0 err="IPv6 is disabled`)
}

func TestSetAgainAfterAKill(t *testing.T) {
	s := newServer(t)
	s.start(t)
	s.awaitPaths(t, "10.9.9.9/32", 2)
	s.cmd.Process.Kill()
	if s.cmd.Wait() == nil {
		t.Error("a killed process has no error")
	}
	if n := s.paths(t, "10.9.9.9/32"); n != 2 {
		t.Errorf("a kill took the route: %d next hops", n)
	}
	// What is wrong by the time of the next start does not stay.
	if _, err := s.ns.Run(t.Context(), "ip", "route", "add", "10.66.66.66/32", "dev", "eth0", "proto", "199"); err != nil {
		t.Fatal(err)
	}
	s.start(t)
	await(t, func() error {
		out, err := s.ns.Run(t.Context(), "ip", "route", "show", "10.66.66.66/32")
		if err == nil && len(out) > 0 {
			err = fmt.Errorf("what another run left is still there: %s", out)
		}
		return err
	})
	s.awaitPaths(t, "10.9.9.9/32", 2)
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}
