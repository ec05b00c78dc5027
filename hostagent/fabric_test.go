package hostagent_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lastmile/lab/frr"
	"lastmile/lab/netns"
)

// leafConfig is an FRR leaf that finds its servers by itself.
const leafConfig = `router bgp %d
 bgp router-id 10.255.255.%d
 no bgp ebgp-requires-policy
 timers bgp 3 9
 neighbor swp1 interface remote-as external
 neighbor swp1 timers connect 1
 address-family ipv4 unicast
  redistribute connected
 address-family ipv6 unicast
  redistribute connected
  neighbor swp1 activate
`

type server struct {
	ns     *netns.NS
	leaves []*netns.NS
	frr    []*frr.Router
	bin    string
	socket string
	cmd    *exec.Cmd
	log    daemonLog
}

// daemonLog is what the daemon has written, and its BFD worker, which may
// outlive it: so it is a file, that nobody waits for the end of.
type daemonLog struct{ path string }

func (l *daemonLog) open(t *testing.T) *os.File {
	t.Helper()
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (l *daemonLog) String() string {
	text, err := os.ReadFile(l.path)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// newHost makes a server without links, for a test that mostly waits.
func newHost(t *testing.T) *server {
	t.Parallel()
	s := &server{ns: namespaceWithPins(t, "bms"), bin: hostagentProgram(t)}
	s.socket = filepath.Join(t.TempDir(), "hostagent.sock")
	s.log.path = filepath.Join(t.TempDir(), "log")
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.log.String())
		}
	})
	addresses(t, s.ns, "10.0.1.1/32", "c0d1::1/128")
	return s
}

// newServer makes a server with a link to each of two FRR leaves; both
// announce 10.9.9.9/32 and c0d1::9/128.
func newServer(t *testing.T) *server {
	s := newHost(t)
	for i := range 2 {
		leaf := newLeafNS(t, i)
		if err := netns.Veth(s.ns, fmt.Sprint("eth", i), leaf, "swp1"); err != nil {
			t.Fatal(err)
		}
		s.leaves = append(s.leaves, leaf)
		s.frr = append(s.frr, frr.ForTest(t, frr.Config{
			NS: leaf, Zebra: leafZebra,
			BGP: fmt.Sprintf(leafConfig, 65001+i, i+1),
		}))
	}
	return s
}

const leafZebra = "interface swp1\n no ipv6 nd suppress-ra\n ipv6 nd ra-interval 30\n"

// newLeafNS makes the namespace of a leaf, with what it announces.
func newLeafNS(t *testing.T, number int) *netns.NS {
	t.Helper()
	leaf := netns.ForTest(t, fmt.Sprint("leaf", number+1))
	for _, key := range []string{"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"} {
		if err := leaf.Sysctl(key, "1"); err != nil {
			t.Fatal(err)
		}
	}
	addresses(t, leaf, "10.9.9.9/32", "c0d1::9/128")
	return leaf
}

func addresses(t *testing.T, ns *netns.NS, all ...string) {
	t.Helper()
	for _, a := range all {
		if err := ns.AddAddress("lo", a); err != nil {
			t.Fatal(err)
		}
	}
}

// start starts the daemon, whose configuration has more than the usual.
func (s *server) start(t *testing.T, more ...string) {
	t.Helper()
	s.cmd = exec.Command(s.bin, "run", "--config", s.config(t, more...))
	s.launch(t)
}

// launch starts s.cmd.
func (s *server) launch(t *testing.T) {
	t.Helper()
	log := s.log.open(t)
	defer log.Close()
	s.cmd.Stderr = log
	if err := s.ns.Start(s.cmd); err != nil {
		t.Fatal(err)
	}
}

// config writes the configuration file.
func (s *server) config(t *testing.T, more ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hostagent.yaml")
	lines := append([]string{"as: 64512", "socket: " + s.socket}, more...)
	if len(more) == 0 {
		lines = append(lines, `uplinks: ["eth*"]`)
	}
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// stop asks the daemon to stop and returns how it ended.
func (s *server) stop() error {
	s.cmd.Process.Signal(os.Interrupt)
	return s.cmd.Wait()
}

// await polls until what holds, and fails with its last complaint.
func await(t *testing.T, what func() error) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := what()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// paths returns how many next hops the kernel's route has, as iproute2 sees
// it: 0 if there is none.
func (s *server) paths(t *testing.T, prefix string) int {
	t.Helper()
	family := "-4"
	if strings.Contains(prefix, ":") {
		family = "-6"
	}
	var routes []struct{ NHID int }
	s.iproute(t, &routes, family, "-j", "route", "show", prefix, "proto", "199")
	if len(routes) == 0 {
		return 0
	}
	var objects []struct {
		ID    int
		Group []struct{ ID int }
	}
	s.iproute(t, &objects, "-j", "nexthop", "show")
	for _, o := range objects {
		if o.ID == routes[0].NHID {
			return len(o.Group)
		}
	}
	return 0 // the group went with the route, meanwhile
}

func (s *server) iproute(t *testing.T, into any, args ...string) {
	t.Helper()
	out, err := s.ns.Run(t.Context(), "ip", args...)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, into); err != nil && len(out) > 0 {
		t.Fatalf("ip %v: %v: %s", args, err, out)
	}
}

func (s *server) awaitPaths(t *testing.T, prefix string, want int) {
	t.Helper()
	await(t, func() error {
		if got := s.paths(t, prefix); got != want {
			return fmt.Errorf("%s has %d next hops in the kernel, want %d", prefix, got, want)
		}
		return nil
	})
}

func TestBesideFRR(t *testing.T) {
	s := newServer(t)
	s.start(t)
	for _, prefix := range []string{"10.9.9.9/32", "c0d1::9/128"} {
		s.awaitPaths(t, prefix, 2)
	}
	for _, r := range s.frr {
		await(t, func() error { return hasRoute(t.Context(), r, "10.0.1.1/32") })
		await(t, func() error { return hasRoute(t.Context(), r, "c0d1::1/128") })
	}
	if _, err := s.ns.Run(t.Context(), "ping", "-c1", "-W2", "10.9.9.9"); err != nil {
		t.Error(err)
	}

	out, err := s.ns.Run(t.Context(), s.bin, "show", "neighbors", "--socket", s.socket)
	if err != nil || strings.Count(string(out), "Established") != 2 {
		t.Errorf("show neighbors: %s (%v)", out, err)
	}
	t.Logf("%s", out)
	out, err = s.ns.Run(t.Context(), s.bin, "show", "routes", "--socket", s.socket)
	if err != nil || strings.Count(string(out), "10.9.9.9/32") != 2 {
		t.Errorf("show routes: %s (%v)", out, err)
	}
	t.Logf("%s", out)

	if err := s.leaves[0].SetDown("swp1"); err != nil {
		t.Fatal(err)
	}
	s.awaitPaths(t, "10.9.9.9/32", 1)
	if err := s.leaves[0].SetUp("swp1"); err != nil {
		t.Fatal(err)
	}
	s.remind(t, 0)
	s.awaitPaths(t, "10.9.9.9/32", 2)

	addresses(t, s.ns, "192.168.0.250/32")
	await(t, func() error { return hasRoute(t.Context(), s.frr[1], "192.168.0.250/32") })

	if err := s.stop(); err != nil {
		t.Errorf("stopped by signal: %v", err)
	}
	s.expectGone(t)
}

// expectGone wants nothing left of a server that has stopped: not on the leaf, and not in its own kernel.
func (s *server) expectGone(t *testing.T) {
	t.Helper()
	await(t, func() error {
		if hasRoute(t.Context(), s.frr[0], "10.0.1.1/32") == nil {
			return fmt.Errorf("the leaf still routes to a server that has stopped")
		}
		return nil
	})
	for _, args := range [][]string{{"-4", "route", "show", "proto", "199"}, {"-6", "route", "show", "proto", "199"}, {"nexthop", "show"}} {
		if out, err := s.ns.Run(t.Context(), "ip", args...); err != nil || len(out) > 0 {
			t.Errorf("after the stop, ip %v: %s (%v)", args, out, err)
		}
	}
}

// source returns the address that the server sends from to 10.9.9.9.
func (s *server) source(t *testing.T) string {
	t.Helper()
	var routes []struct{ PrefSrc string }
	s.iproute(t, &routes, "-j", "route", "get", "10.9.9.9")
	return routes[0].PrefSrc
}

func TestWhatOthersDoToItsRoutes(t *testing.T) {
	s := newServer(t)
	s.start(t)
	s.awaitPaths(t, "10.9.9.9/32", 2)
	s.awaitPaths(t, "c0d1::9/128", 2)
	for name, commands := range map[string][]string{
		"address off lo and on again": {"address del 10.0.1.1/32 dev lo", "address add 10.0.1.1/32 dev lo"},
		"next hops removed":           {"nexthop flush proto 199"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, c := range commands {
				if _, err := s.ns.Run(t.Context(), "ip", strings.Fields(c)...); err != nil {
					t.Fatal(err)
				}
			}
			s.awaitPaths(t, "10.9.9.9/32", 2)
			s.awaitPaths(t, "c0d1::9/128", 2)
			if _, err := s.ns.Run(t.Context(), "ping", "-c1", "-W2", "10.9.9.9"); err != nil {
				t.Error(err)
			}
		})
	}

	addresses(t, s.ns, "10.0.0.53/32") // anycast, and lower than its own
	await(t, func() error { return hasRoute(t.Context(), s.frr[0], "10.0.0.53/32") })
	if got := s.source(t); got != "10.0.1.1" {
		t.Errorf("the server sends from %s", got)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	s.start(t)
	s.awaitPaths(t, "10.9.9.9/32", 2)
	if got := s.source(t); got != "10.0.1.1" {
		t.Errorf("after a restart the server sends from %s", got)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// hasRoute says why FRR does not have the BGP route installed.
func hasRoute(ctx context.Context, r *frr.Router, prefix string) error {
	family := "ip"
	if strings.Contains(prefix, ":") {
		family = "ipv6"
	}
	out, err := r.Vtysh(ctx, fmt.Sprintf("show %s route %s json", family, prefix))
	if err != nil {
		return err
	}
	var routes map[string][]struct {
		Protocol  string
		Installed bool
	}
	if json.Unmarshal(out, &routes) == nil && len(routes[prefix]) > 0 && routes[prefix][0].Protocol == "bgp" && routes[prefix][0].Installed {
		return nil
	}
	return fmt.Errorf("the leaf has no BGP route to %s: %s", prefix, out)
}
