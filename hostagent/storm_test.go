package hostagent_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lastmile/hostagent"
	"lastmile/lab/netns"
)

const (
	stormFlaps     = 100
	stormAddresses = 20 // that each leaf may announce beside 10.9.9.9
	// stormMemory is what the daemon may have grown by. It is more than garbage
	// and less than a leak of a session's buffers, 64 kB and more, in each flap.
	stormMemory = 12 << 20
)

// storm takes the uplinks down and up in random order, at either end, while the
// leaves change what they announce. STORM_SEED repeats one.
type storm struct {
	*server
	random *rand.Rand
	on     [2]map[string]bool // the addresses on the leaves
}

func newStorm(t *testing.T, s *server) *storm {
	seed := rand.Uint64()
	if text := os.Getenv("STORM_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("STORM_SEED=%d", seed)
	w := &storm{server: s, random: rand.New(rand.NewPCG(seed, 0))}
	for i, leaf := range s.leaves {
		w.on[i] = map[string]bool{}
		// Detection of duplicate addresses would keep the leaf silent for longer than the link is up.
		if err := leaf.Sysctl("net.ipv6.conf.swp1.accept_dad", "0"); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (w *storm) flap(t *testing.T) {
	t.Helper()
	i := w.random.IntN(2)
	ns, link := w.leaves[i], "swp1"
	if w.random.IntN(4) == 0 {
		ns, link = w.ns, fmt.Sprint("eth", i)
	}
	if err := ns.SetDown(link); err != nil {
		t.Fatal(err)
	}
	w.announce(t, w.random.IntN(2))
	w.pause(40 * time.Millisecond)
	if err := ns.SetUp(link); err != nil {
		t.Fatal(err)
	}
	w.pause(150 * time.Millisecond)
}

// pause is no wait for anything: it is the weather.
func (w *storm) pause(most time.Duration) {
	time.Sleep(time.Duration(w.random.Int64N(int64(most))))
}

// announce has a leaf announce an address that it has not, or the reverse.
func (w *storm) announce(t *testing.T, leaf int) {
	t.Helper()
	address := fmt.Sprintf("10.9.8.%d/32", w.random.IntN(stormAddresses))
	verb := "add"
	if w.on[leaf][address] {
		verb = "del"
	}
	if _, err := w.leaves[leaf].Run(t.Context(), "ip", "address", verb, address, "dev", "lo"); err != nil {
		t.Fatal(err)
	}
	w.on[leaf][address] = !w.on[leaf][address]
}

func TestStorm(t *testing.T) {
	s := newServer(t)
	w := newStorm(t, s)
	s.start(t)
	for _, prefix := range []string{"10.9.9.9/32", "c0d1::9/128"} {
		s.awaitPaths(t, prefix, 2)
	}
	w.flap(t) // one that is no part of it: what comes with the first is no leak
	w.awaitCalm(t)
	goroutines, files, memory := s.goroutines(t), s.files(t), s.memory(t)
	t.Cleanup(func() {
		if t.Failed() {
			_ = s.cmd.Process.Signal(syscall.SIGQUIT) // where its goroutines are
			_ = s.cmd.Wait()
		}
	})
	for range stormFlaps {
		w.flap(t)
	}
	w.awaitCalm(t)
	await(t, func() error {
		if now := s.goroutines(t); now > goroutines {
			return fmt.Errorf("%d goroutines, %d before", now, goroutines)
		}
		if now := s.files(t); now > files {
			return fmt.Errorf("%d open files, %d before", now, files)
		}
		return nil
	})
	if now := s.memory(t); now > memory+stormMemory {
		t.Errorf("%d bytes of memory, %d before", now, memory)
	} else {
		t.Logf("memory: %d bytes, %d before", now, memory)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// awaitCalm waits until there is one session with each leaf, and the table and
// the kernel have what the leaves announce, and no more.
func (w *storm) awaitCalm(t *testing.T) {
	t.Helper()
	for i, leaf := range w.leaves {
		w.remind(t, i)
		w.awaitState(t, fmt.Sprint("eth", i), "Established")
		await(t, func() error { return oneSession(t.Context(), leaf) })
	}
	await(t, func() error {
		var want [2][]string
		for i := range w.leaves {
			var err error
			if want[i], err = w.announcedBy(t, i); err != nil {
				return err
			}
		}
		if diff := cmp.Diff(want, w.heardFrom(t)); diff != "" {
			return fmt.Errorf("the table is not what the leaves announce (-want +got):\n%s", diff)
		}
		return w.kernelHas(t, want)
	})
}

// oneSession says if the leaf has other than one TCP connection of BGP's.
func oneSession(ctx context.Context, leaf *netns.NS) error {
	out, err := leaf.Run(ctx, "cat", "/proc/net/tcp6")
	if err != nil {
		return err
	}
	const established, port = "01", ":00B3"
	n := 0
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line) // number, local and remote address, state
		if f[3] == established && (strings.HasSuffix(f[1], port) || strings.HasSuffix(f[2], port)) {
			n++
		}
	}
	if n != 1 {
		return fmt.Errorf("%s has %d connections with port 179", leaf.Name, n)
	}
	return nil
}

// announcedBy returns the prefixes that FRR says it announces to the server.
func (w *storm) announcedBy(t *testing.T, leaf int) ([]string, error) {
	t.Helper()
	var all []string
	for _, family := range []string{"ipv4", "ipv6"} {
		out, err := w.frr[leaf].Vtysh(t.Context(), "show bgp "+family+" unicast neighbors swp1 advertised-routes json")
		if err != nil {
			return nil, err
		}
		var answer struct{ AdvertisedRoutes map[string]any }
		if err := json.Unmarshal(out, &answer); err != nil {
			return nil, fmt.Errorf("%w: %s", err, out)
		}
		all = slices.AppendSeq(all, maps.Keys(answer.AdvertisedRoutes))
	}
	slices.Sort(all)
	return all, nil
}

// heardFrom returns the prefixes in the daemon's table, by leaf.
func (w *storm) heardFrom(t *testing.T) (heard [2][]string) {
	t.Helper()
	var answer struct {
		Routes map[netip.Prefix][]hostagent.Path
	}
	if err := hostagent.Ask(t.Context(), w.socket, "routes", &answer); err != nil {
		t.Fatal(err)
	}
	for prefix, paths := range answer.Routes {
		for _, p := range paths {
			i := int(p.Uplink[len("eth")] - '0')
			heard[i] = append(heard[i], prefix.String())
		}
	}
	slices.Sort(heard[0])
	slices.Sort(heard[1])
	return heard
}

// kernelHas says if the kernel has other routes than these, or next-hop
// objects that no leaf and no set of leaves needs.
func (w *storm) kernelHas(t *testing.T, announced [2][]string) error {
	t.Helper()
	want := slices.DeleteFunc(slices.Concat(announced[0], announced[1]), func(prefix string) bool {
		return prefix == "10.0.1.1/32" || prefix == "c0d1::1/128" // an echo of the server's own
	})
	slices.Sort(want)
	want = slices.Compact(want)
	var got []string
	for _, family := range []string{"-4", "-6"} {
		var routes []struct{ Dst string }
		w.iproute(t, &routes, family, "-j", "route", "show", "proto", "199")
		for _, r := range routes {
			got = append(got, hostRoute(r.Dst))
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		return fmt.Errorf("the kernel's routes are not those announced (-want +got):\n%s", diff)
	}
	var objects []struct{ ID int }
	w.iproute(t, &objects, "-j", "nexthop", "show", "proto", "199")
	if most := 2 + 3; len(objects) > most {
		return fmt.Errorf("%d next-hop objects; two leaves make 2 and at most 3 groups", len(objects))
	}
	return nil
}

// hostRoute writes a destination as iproute2 does not, with its length.
func hostRoute(dst string) string {
	switch {
	case strings.Contains(dst, "/"):
		return dst
	case strings.Contains(dst, ":"):
		return dst + "/128"
	}
	return dst + "/32"
}

// goroutines reads the daemon's own metric.
func (s *server) goroutines(t *testing.T) int {
	t.Helper()
	dial := func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		err = s.ns.Do(func() error {
			conn, err = new(net.Dialer).DialContext(ctx, network, address)
			return err
		})
		return conn, err
	}
	client := http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	resp, err := client.Get("http://127.0.0.1:9474/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "go_goroutines "); ok {
			n, err := strconv.Atoi(text)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatal("no go_goroutines among the metrics")
	return 0
}

// files returns how many files the daemon has open.
func (s *server) files(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(s.cmd.Process.Pid), "fd"))
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// memory returns how many bytes of the daemon are resident.
func (s *server) memory(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(s.cmd.Process.Pid), "statm"))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}
