package hostagent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"lastmile/hostagent/bgp"
	"lastmile/hostagent/kernel"
	"lastmile/hostagent/rib"
)

// Lookup is the kernel's.
func (w *world) Lookup(prefix netip.Prefix) (kernel.Route, bool) {
	r, there := w.installed[prefix]
	return r, there
}

// says has a leaf announce a prefix with these attributes.
func (w *world) says(leaf, prefix string, attributes bgp.Attributes) {
	if attributes.LocalPref == 0 {
		attributes.LocalPref = 100
	}
	attributes.Length = len(attributes.ASPath)
	for _, s := range attributes.Sets {
		attributes.Length -= s[1] - s[0] - 1
	}
	w.onBGP(w.ctx, bgp.Update{Peer: netip.MustParseAddr(leaf), Announced: []bgp.Route{{
		Prefix: netip.MustParsePrefix(prefix), Attributes: &attributes,
	}}})
}

// ask puts a question to the control socket's handler.
func (w *world) ask(what string) *httptest.ResponseRecorder {
	recorder := httptest.NewRecorder()
	w.stream(what, recorder)
	return recorder
}

// stream answers queries for as long as the question takes.
func (w *world) stream(what string, to http.ResponseWriter) {
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	go func() {
		for {
			select {
			case query := <-w.queries:
				query(ctx)
			case <-ctx.Done():
				return
			}
		}
	}()
	w.handler().ServeHTTP(to, httptest.NewRequestWithContext(ctx, http.MethodGet, "/"+what, nil))
}

// route returns the text of `show routes PREFIX`.
func (w *world) route(t *testing.T, of string) string {
	t.Helper()
	answer := w.ask("route?of=" + url.QueryEscape(of))
	if answer.Code != http.StatusOK {
		return fmt.Sprintln(answer.Code, strings.TrimSpace(answer.Body.String()))
	}
	var route Route
	if err := json.Unmarshal(answer.Body.Bytes(), &route); err != nil {
		t.Fatalf("%v: %s", err, answer.Body)
	}
	var text bytes.Buffer
	if err := route.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

func same(t *testing.T, what, want, got string) {
	t.Helper()
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// What is shown of 10.0.2.2/32 when its paths are as good as each other, and when one is better.
const (
	equalPaths = `BGP routing table entry for 10.0.2.2/32
Paths: (2 available, best #1, 2 used)
  65001
    fe80::1 from fe80::1%eth0 (-)
      Origin IGP, metric 0, localpref 100, valid, external, multipath, best (Neighbor IP)
      Best: as good as all that are used, and of the lowest address
      Session up 1m30s
  65002
    fe80::2 from fe80::2%eth1 (-)
      Origin IGP, metric 0, localpref 100, valid, external, multipath
      Used: as good as the best, used beside it
      Session up 1m30s
Kernel: installed, proto 199, metric 20, src 10.0.1.1, via fe80::1 dev eth0, fe80::2 dev eth1
`
	oneBetter = `BGP routing table entry for 10.0.2.2/32
Paths: (2 available, best #2, 1 used)
  65001 {7,8} 64512
    fe80::1 from fe80::1%eth0 (-)
      Origin incomplete, metric 10, localpref 100, valid, external
      Community: 65001:7 no-export
      Large Community: 64512:1:2
      Not used (AS Path): AS path of length 3, the best has 1
      Session up 1m30s
  65002
    fe80::2 from fe80::2%eth1 (-)
      Origin IGP, metric 0, localpref 100, valid, external, best (AS Path)
      Best: shortest AS path of those with the highest local preference
      Session up 1m30s
Kernel: installed, proto 199, metric 20, src 10.0.1.1, via fe80::2 dev eth1
`
)

func TestShowOneRoute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		w.addresses("10.0.1.1/32")
		time.Sleep(90 * time.Second)
		same(t, "as good as each other", equalPaths, w.route(t, "10.0.2.2/32"))

		w.says(leaf1, "10.0.2.2/32", bgp.Attributes{
			ASPath: []uint32{65001, 7, 8, 64512}, Sets: [][2]int{{1, 3}}, Origin: 2, MED: 10,
			Communities: []uint32{65001<<16 | 7, 0xffffff01}, LargeCommunities: [][3]uint32{{64512, 1, 2}},
		})
		same(t, "one better", oneBetter, w.route(t, "10.0.2.2/32"))
		same(t, "by address", oneBetter, w.route(t, "10.0.2.2"))

		w.addresses("10.0.1.1/32", "10.0.2.2/32")
		if got := w.route(t, "10.0.2.2"); !strings.Contains(got, "announced by this server") || !strings.Contains(got, "no best path, 0 used") ||
			strings.Count(got, "Not used (Local Route): this server has the address itself") != 2 || !strings.Contains(got, "Kernel: no route of ours") {
			t.Errorf("our own: %s", got)
		}
		same(t, "our own, of no leaf", `BGP routing table entry for 10.0.1.1/32
Paths: (0 available, no best path, 0 used)
  Local
    announced by this server, which uses no leaf's path to it
Kernel: no route of ours
`, w.route(t, "10.0.1.1"))
	})
}

// TestShowWhyEachLost has one path for each step of the decision.
func TestShowWhyEachLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		w.says(leaf1, "10.0.2.2/32", bgp.Attributes{ASPath: []uint32{1}, Origin: 1, MED: 5, LocalPref: 100})
		for text, other := range map[string]bgp.Attributes{
			"Not used (Local Pref): local preference 0, the best has 100":            {ASPath: []uint32{1}, Communities: []uint32{0xffff0000}},
			"Not used (AS Path): AS path of length 2, the best has 1":                {ASPath: []uint32{1, 2}},
			"Not used (Origin): origin incomplete, the best has EGP":                 {ASPath: []uint32{1}, Origin: 2},
			"Not used (MED): metric 9, a path that it compares with has a lower one": {ASPath: []uint32{1}, Origin: 1, MED: 9},
			"Best: lowest metric of those that are as good otherwise":                {ASPath: []uint32{1}, Origin: 1, MED: 4},
			"Best: lowest origin of those with the shortest AS path":                 {ASPath: []uint32{2}},
			"Best: highest local preference":                                         {ASPath: []uint32{2, 3}, LocalPref: 101},
			"Used: as good as the best, used beside it":                              {ASPath: []uint32{2}, Origin: 1, MED: 9},
		} {
			w.says(leaf2, "10.0.2.2/32", other)
			if got := w.route(t, "10.0.2.2/32"); !strings.Contains(got, text) {
				t.Errorf("%s is not in: %s", text, got)
			}
		}
		w.session(leaf2, bgp.Idle)
		if got := w.route(t, "10.0.2.2/32"); !strings.Contains(got, "best (First path received)\n      Best: the only path") {
			t.Errorf("alone: %s", got)
		}
	})
}

func TestShowLongestMatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		for _, p := range []string{"0.0.0.0/0", "10.0.0.0/8", "10.0.2.0/24", "c0d1::/32", "c0d1::2/128"} {
			w.announces(leaf1, 65001, p)
		}
		for of, want := range map[string]string{
			"10.0.2.2": "10.0.2.2/32", "10.0.2.3": "10.0.2.0/24", "10.1.1.1": "10.0.0.0/8", "11.1.1.1": "0.0.0.0/0", "0.0.0.0": "0.0.0.0/0",
			"c0d1::2": "c0d1::2/128", "c0d1::3": "c0d1::/32", "10.0.0.0/8": "10.0.0.0/8", "0.0.0.0/0": "0.0.0.0/0", "255.255.255.255": "0.0.0.0/0",
		} {
			if got := w.route(t, of); !strings.HasPrefix(got, "BGP routing table entry for "+want+"\n") {
				t.Errorf("%s: %s", of, got)
			}
		}
	})
}

func TestShowNoRoute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "eth*")
		w.cfg.AllowASIn = 0
		bad := func(text string) string {
			return fmt.Sprintf("400 %s is not allowed: a prefix such as 10.0.2.2/32 or c0d1::2/128, or an address, is wanted\n", text)
		}
		for of, want := range map[string]string{
			"10.7.7.7":                  "404 no route to 10.7.7.7: no leaf announces one that is accepted\n",
			"10.7.7.0/24":               "404 no route to 10.7.7.0/24: no leaf announces one that is accepted\n",
			"::1":                       "404 no route to ::1: no leaf announces one that is accepted\n",
			"":                          bad(`""`),
			"10.0.2.2/33":               bad(`"10.0.2.2/33"`),
			"fe80::1%eth0":              bad(`"fe80::1%eth0"`),
			"10.0.2.2/24":               "400 \"10.0.2.2/24\" is not allowed: bits are set behind the prefix; 10.0.2.0/24?\n",
			"\x00\n\x1b[2J":             bad(`"\x00\n\x1b[2J"`),
			strings.Repeat("1", 100000): bad(`"` + strings.Repeat("1", 80) + `..."`),
		} {
			if got := w.route(t, of); got != want {
				t.Errorf("%.100q: %q, want %q", of, got, want)
			}
		}
	})
}

func TestShowNoRouteSaysWhatWasRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		w.says(leaf1, "10.5.5.5/32", bgp.Attributes{ASPath: []uint32{1, 64512, 64512}})
		const want = "404 no route to 10.5.5.5: no leaf announces one that is accepted " +
			"(rejected since the session came up, of all prefixes: eth0: 0 by import rules, 1 as loops)\n"
		if got := w.route(t, "10.5.5.5"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

func TestShowWhatTheKernelRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		prefix := netip.MustParsePrefix("10.3.3.3/32")
		w.broken = true
		w.announces(leaf1, 65001, "10.3.3.3/32", "10.0.2.2/32")
		const general = "Kernel: no route of ours\nKernel: not as it should be, and tried again every second\n"
		if got := w.route(t, "10.3.3.3"); !strings.HasSuffix(got, general) {
			t.Errorf("the whole batch: %s", got)
		}
		if got := w.route(t, "10.0.2.2"); strings.Contains(got, "not as it should be") {
			t.Errorf("what is as ordered, of a batch that failed: %s", got)
		}
		w.noteRefused(fmt.Errorf("%w", errors.Join(&kernel.RouteError{Prefix: prefix, Err: errors.New("file exists")})))
		if got := w.route(t, "10.3.3.3"); !strings.HasSuffix(got, "tried again every second: file exists\n") {
			t.Errorf("refused: %s", got)
		}
		w.broken = false
		w.repair(w.ctx)
		if got := w.route(t, "10.3.3.3"); !strings.HasSuffix(got, "Kernel: installed, proto 199, metric 20, src -, via fe80::1 dev eth0\n") {
			t.Errorf("repaired: %s", got)
		}
	})
}

// TestShowAllRoutes has more routes than are looked up at a time.
func TestShowAllRoutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		const size = 2*lookedUp + 1
		for i := range size {
			w.announces(leaf1, 65001, fmt.Sprintf("10.1.%d.%d/32", i/256, i%256))
		}
		w.announces(leaf2, 65002, "c0d1::2/128")
		for query, want := range map[string]int{
			"": size + 3, "family=ipv4": size + 2, "family=ipv6": 1, "uplink=eth0": size + 1, "uplink=eth1&family=ipv4": 1, "uplink=eth0&family=ipv6": 0,
		} {
			answer := w.ask("routes?" + query)
			var all struct{ Routes map[string][]Path }
			if err := json.Unmarshal(answer.Body.Bytes(), &all); err != nil {
				t.Fatalf("%q: %v: %.200s", query, err, answer.Body)
			}
			paths := 0
			for _, p := range all.Routes {
				paths += len(p)
			}
			var text bytes.Buffer
			if err := WriteRoutes(&text, bytes.NewReader(answer.Body.Bytes())); err != nil {
				t.Fatal(err)
			}
			if rows := strings.Count(text.String(), "\n") - 1; paths != want || rows != want {
				t.Errorf("%q: %d paths in JSON, %d in text, want %d", query, paths, rows, want)
			}
			if query == "uplink=eth1&family=ipv4" {
				same(t, "text", "   PREFIX       UPLINK  NEXT HOP      AS PATH  NOT USED BECAUSE\n"+
					"=  10.0.2.2/32  eth1    fe80::2%eth1  65002    \n", text.String())
			}
			cut := answer.Body.Bytes()[:answer.Body.Len()-3]
			if err := WriteRoutes(&text, bytes.NewReader(cut)); err == nil {
				t.Errorf("%q: an answer that is cut off passes for a whole one", query)
			}
		}
		for query, want := range map[string]string{
			"family=ipx": `family "ipx" is not allowed: ipv4 or ipv6`, "uplink=eth9": `"eth9" is not an uplink: there are eth0, eth1`,
		} {
			if answer := w.ask("routes?" + query); answer.Code != http.StatusBadRequest || strings.TrimSpace(answer.Body.String()) != want {
				t.Errorf("%s: %d %s", query, answer.Code, answer.Body)
			}
		}
	})
}

// meter reads an answer as it comes, and how much memory is in use meanwhile.
type meter struct {
	header http.Header
	bytes  int
	next   int    // when to look again
	most   uint64 // bytes of the heap in use
}

func (m *meter) Header() http.Header { return m.header }
func (m *meter) WriteHeader(int)     {}
func (m *meter) Write(b []byte) (int, error) {
	if m.bytes += len(b); m.bytes > m.next {
		m.next = m.bytes + 10<<20
		m.most = max(m.most, heapInUse())
	}
	return len(b), nil
}

func heapInUse() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// TestShowAllRoutesInLittleMemory: the answer is 60 MB, and is never held.
func TestShowAllRoutesInLittleMemory(t *testing.T) {
	w := newWorld(t, "eth*")
	w.cfg.RouterID = netip.MustParseAddr("10.0.1.1")
	const size = 100_000
	routes := make([]rib.Route, size)
	path := &rib.Path{ASPath: []uint32{65001}, Length: 1, LocalPref: 100}
	for i := range routes {
		routes[i] = rib.Route{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{20, byte(i >> 16), byte(i >> 8), byte(i)}), 32), Path: path}
	}
	for _, leaf := range []string{leaf1, leaf2} {
		w.rib.Update(netip.MustParseAddr(leaf), routes, nil)
	}
	routes = nil
	before := heapInUse()
	m := &meter{header: http.Header{}}
	w.stream("routes", m)
	if m.bytes < size*2*100 {
		t.Fatalf("%d bytes are not the whole table", m.bytes)
	}
	if grown := int64(m.most) - int64(before); grown > 8<<20 {
		t.Errorf("%d bytes of memory for an answer of %d", grown, m.bytes)
	}
	t.Logf("%d bytes, for which %d more were in use", m.bytes, int64(m.most)-int64(before))
}
