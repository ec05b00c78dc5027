package hostagent_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"lastmile/lab/frr"
	"lastmile/lab/netns"
)

// The leaf's bgpd is killed and started again. Nothing of it is to be seen in
// the server's kernel. (Under traffic packets are lost all the same, by the
// leaf: FRR 8.4.4 takes its own routes to the server out for some 50 ms.)
func TestLeafWhoseBGPRestarts(t *testing.T) {
	s := newHost(t)
	leaf, dir := newGracefulLeaf(t, s)
	s.start(t)
	s.awaitPaths(t, "10.9.9.9/32", 1)
	s.awaitPaths(t, "c0d1::9/128", 1)
	await(t, func() error {
		_, err := s.ns.Run(t.Context(), "ping", "-c1", "-W1", "10.9.9.9")
		return err
	})
	seen := s.monitor(t)
	// FRR may close its first session after a start, without a word, before it
	// has announced anything: then what is stale has to go (RFC 4724 section
	// 4.2), and this was no test.
	for tries := 1; ; tries++ {
		s.mark(t, seen, "192.0.2.98")
		from, falls := len(seen.String()), s.falls(t)
		kill(t, filepath.Join(dir, "bgpd.pid"))
		await(t, func() error { return s.metric(t, "hostagent_bgp_routes_kept", 1) })
		startAgain(t, leaf, dir)
		await(t, func() error { return s.metric(t, "hostagent_bgp_routes_kept", 0) })
		await(t, func() error { return s.metric(t, "hostagent_bgp_session_up", 1) })
		s.mark(t, seen, "192.0.2.99")
		if s.falls(t) > falls+1 && tries < 5 {
			s.awaitPaths(t, "10.9.9.9/32", 1)
			s.awaitPaths(t, "c0d1::9/128", 1)
			continue
		}
		for line := range strings.Lines(seen.String()[from:]) {
			if !strings.Contains(line, "192.0.2.9") {
				t.Errorf("a change in the server's kernel: %s", line)
			}
		}
		break
	}
	s.awaitPaths(t, "10.9.9.9/32", 1)
	if err := s.stop(); err != nil {
		t.Errorf("stopped by signal: %v", err)
	}
}

// newGracefulLeaf is a leaf at the other end of eth0 whose routes stay when its bgpd restarts, and the
// directory of its daemons.
func newGracefulLeaf(t *testing.T, s *server) (leaf *netns.NS, dir string) {
	t.Helper()
	leaf = netns.ForTest(t, "leaf")
	for _, key := range []string{"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"} {
		if err := leaf.Sysctl(key, "1"); err != nil {
			t.Fatal(err)
		}
	}
	addresses(t, leaf, "10.9.9.9/32", "c0d1::9/128")
	if err := netns.Veth(s.ns, "eth0", leaf, "swp1"); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/run", "frr-test-") // the user frr could not enter t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	frr.ForTest(t, frr.Config{
		NS: leaf, Dir: dir, Zebra: "interface swp1\n no ipv6 nd suppress-ra\n ipv6 nd ra-interval 30\n",
		BGP: strings.Replace(fmt.Sprintf(leafConfig, 65001, 1), " timers bgp 3 9\n",
			" timers bgp 3 9\n bgp graceful-restart\n bgp graceful-restart preserve-fw-state\n", 1),
	})
	return leaf, dir
}

// monitor collects what the kernel tells of the server's routes and next hops.
func (s *server) monitor(t *testing.T) *lockedText {
	t.Helper()
	seen := &lockedText{}
	monitor := exec.Command("ip", "monitor", "route", "nexthop")
	monitor.Stdout = seen
	if err := s.ns.Start(monitor); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { monitor.Process.Kill(); monitor.Wait() })
	return seen
}

// mark returns when the monitor has told of all that was before.
func (s *server) mark(t *testing.T, seen *lockedText, address string) {
	t.Helper()
	await(t, func() error {
		for _, command := range []string{"add", "del"} {
			if _, err := s.ns.Run(t.Context(), "ip", "route", command, address, "dev", "lo"); err != nil {
				t.Fatal(err)
			}
		}
		if !strings.Contains(seen.String(), "Deleted "+address) {
			return fmt.Errorf("ip monitor has not told of %s", address)
		}
		return nil
	})
}
func kill(t *testing.T, pidFile string) {
	t.Helper()
	text, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGKILL)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// startAgain starts a bgpd over what another has left in its directory.
func startAgain(t *testing.T, ns *netns.NS, dir string) {
	t.Helper()
	file := func(suffix string) string { return filepath.Join(dir, "bgpd"+suffix) }
	cmd := exec.Command("/usr/lib/frr/bgpd", "-u", "frr", "-g", "frr", "-A", "127.0.0.1", "-P", "0", "-p", "179",
		"-f", file(".conf"), "-i", file(".pid"), "-z", filepath.Join(dir, "zserv.api"), "--vty_socket", dir)
	if err := ns.Start(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
}

// metric says if the metric of eth0 has another value than that.
func (s *server) metric(t *testing.T, name string, want int) error {
	t.Helper()
	out, err := s.ns.Run(t.Context(), "curl", "-s", "http://127.0.0.1:9474/metrics")
	if err != nil {
		return err
	}
	if line := fmt.Sprintf("%s{link=\"eth0\"} %d\n", name, want); !strings.Contains(string(out), line) {
		return fmt.Errorf("/metrics lacks %s", line)
	}
	return nil
}

// lockedText is what a process has written so far.
type lockedText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// falls returns how often eth0's session has gone down.
func (s *server) falls(t *testing.T) (n int) {
	t.Helper()
	out, err := s.ns.Run(t.Context(), "curl", "-s", "http://127.0.0.1:9474/metrics")
	if err != nil {
		t.Fatal(err)
	}
	if _, after, ok := strings.Cut(string(out), "hostagent_bgp_session_transitions_total{link=\"eth0\",to=\"down\"} "); ok {
		fmt.Sscan(after, &n)
	}
	return n
}
