package daemon

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type sample struct {
	Name     string         `yaml:"name"`
	AS       uint32         `yaml:"as"`
	Interval time.Duration  `yaml:"interval"`
	Prefixes []netip.Prefix `yaml:"prefixes"`
	Links    []link         `yaml:"links"`
	Strict   bool           `yaml:"strict"`
}

type link struct {
	Name   string `yaml:"name"`
	Weight int8   `yaml:"weight"`
}

func (s *sample) Validate(report func(key, problem string)) {
	for i, l := range s.Links {
		if l.Name == "lo" {
			report("links["+string(rune('0'+i))+"].name", `"lo" is no uplink`)
		}
	}
	if s.Name == "" {
		report("name", "missing; any text is allowed")
	}
}

// badFiles are files with something wrong, and all that is said of it.
var badFiles = []struct{ name, text, want string }{{
	name: "everything at once, with its place",
	text: "as: 4294967296\ninterval: 5\nprefixes: [10.0.0.0/33, 10.0.0.0/8]\ncolour: red\nlinks:\n- name: eth0\n  weight: 200\n  hight: 1\n- eth1\nstrict: maybe\n",
	want: `f.yaml:1:5: as: "4294967296" is not allowed: a whole number from 0 to 4294967295 is wanted
f.yaml:2:11: interval: "5" is not allowed: a duration with its unit is wanted, such as 300ms, 2s or 1m30s
f.yaml:3:12: prefixes[0]: "10.0.0.0/33" is not allowed: netip.ParsePrefix("10.0.0.0/33"): prefix length out of range
f.yaml:4:1: colour: unknown key; allowed: as, interval, links, name, prefixes, strict
f.yaml:7:11: links[0].weight: "200" is not allowed: a whole number of at most 8 bits is wanted
f.yaml:8:3: links[0].hight: unknown key; allowed: name, weight
f.yaml:9:3: links[1]: "eth1" is not a mapping; allowed keys: name, weight
f.yaml:10:9: strict: "maybe" is not allowed: true or false is wanted
f.yaml: name: missing; any text is allowed`,
}, {
	name: "what Validate reports has its place too",
	text: "links:\n- name: eth0\n- name: lo\n",
	want: "f.yaml:3:9: links[1].name: \"lo\" is no uplink\nf.yaml: name: missing; any text is allowed",
}, {
	name: "an empty file is all defaults",
	text: "",
	want: "f.yaml: name: missing; any text is allowed",
}, {
	name: "a list where a value is wanted",
	text: "name: [a]\n",
	want: "f.yaml:1:7: name: a single value is wanted, not a list or mapping",
}, {
	name: "a value where a list is wanted",
	text: "name: a\nprefixes: 10.0.0.0/8\n",
	want: `f.yaml:2:11: prefixes: "10.0.0.0/8" is not a list; write [10.0.0.0/8]`,
}, {
	name: "a mapping where a list of them is wanted",
	text: "name: a\nlinks:\n  name: eth0\n  weight: 1\n",
	want: `f.yaml:3:7: links: a list is wanted: put "- " before its first key`,
}, {
	name: "one in braces",
	text: "name: a\nlinks: {name: eth0}\n",
	want: `f.yaml:2:8: links: a list is wanted: put "- " before its first key`,
}, {
	name: "a word where a list of mappings is wanted",
	text: "name: a\nlinks: eth0\n",
	want: `f.yaml:2:8: links: a list of mappings is wanted; allowed keys: name, weight`,
}, {
	name: "a mapping where a list of words is wanted",
	text: "name: a\nprefixes:\n  first: 10.0.0.0/8\n",
	want: `f.yaml:3:8: prefixes: a list of single values is wanted, such as [a, b]`,
}, {
	name: "a key given twice",
	text: "name: a\nname: b\n",
	want: `f.yaml:2:1: mapping key "name" already defined at [1:1]`,
}, {
	name: "broken YAML",
	text: "name: [a\n",
	want: "f.yaml:1:7: sequence end token ']' not found",
}, {
	name: "two documents",
	text: "name: a\n---\nname: b\n",
	want: "f.yaml:3:5: a second YAML document; only one is allowed\nf.yaml: name: missing; any text is allowed",
}}

func TestDecode(t *testing.T) {
	for _, tt := range badFiles {
		t.Run(tt.name, func(t *testing.T) {
			err := decode("f.yaml", []byte(tt.text), &sample{})
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoadKeepsDefaults(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.yaml")
	text := "# a comment\nname: \"a b\"\nprefixes: [10.0.0.0/8]\nlinks: [{name: eth0, weight: -1}]\nstrict:\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got := sample{Interval: time.Second, Strict: true}
	if err := Load(path, &got); err != nil {
		t.Fatal(err)
	}
	want := sample{
		Name: "a b", Interval: time.Second, Strict: true,
		Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		Links:    []link{{"eth0", -1}},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("name: a\nlinks: [{name: eth0}]\n"))
	f.Add([]byte("? {a: b}\n: &x [*x]\n"))
	f.Fuzz(func(t *testing.T, text []byte) { decode("f.yaml", text, &sample{}) })
}

func TestServe(t *testing.T) {
	systemd := newSystemd(t)

	var unwell error
	var notes []string
	ctx, cancel := context.WithCancel(t.Context())
	ready := make(chan struct{})
	served := make(chan error, 1)
	listen := freeAddress(t)
	s := Service{
		Listen: listen, Registry: NewRegistry("sample"), Log: slog.New(slog.DiscardHandler),
		Health: func() error { return unwell },
		Notes:  func() []string { return notes },
		Run: func(ctx context.Context, up func()) error {
			up()
			close(ready)
			<-ctx.Done()
			return ctx.Err()
		},
	}
	go func() { served <- s.Serve(ctx) }()
	<-ready
	expectNotice(t, systemd, "READY=1")

	expectReply(t, listen+"/healthz", 200, "ok\n")
	if code, body := get(t, listen, "/metrics"); code != 200 || !strings.Contains(body, "sample_build_info{") {
		t.Errorf("/metrics: %d %q", code, body)
	}
	notes = []string{"eth0: repair occupied"}
	expectReply(t, listen+"/healthz", 200, "ok\neth0: repair occupied\n")
	unwell = errors.New("no leaf is heard")
	expectReply(t, listen+"/healthz", 503, "no leaf is heard\neth0: repair occupied\n")
	notes = nil
	expectReply(t, listen+"/healthz", 503, "no leaf is heard\n")
	cancel()
	if err := <-served; err != nil {
		t.Errorf("a stop that was asked for: %v", err)
	}
	expectNotice(t, systemd, "STOPPING=1")
}

func TestWatchdogIsToldOfLife(t *testing.T) {
	systemd := newSystemd(t)
	t.Setenv("WATCHDOG_USEC", "2000")
	asked := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	alive := func(ctx context.Context) error {
		select {
		case asked <- struct{}{}:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	served := make(chan error, 1)
	told := make(lines, 100)
	s := Service{
		Registry: NewRegistry("sample"), Log: slog.New(slog.NewTextHandler(told, nil)), Alive: alive,
		Run: func(ctx context.Context, _ func()) error { <-ctx.Done(); return nil },
	}
	go func() { served <- s.Serve(ctx) }()
	<-asked
	expectNotice(t, systemd, "WATCHDOG=1")
	told.drain()
	for range 3 { // from now on nobody asks, nobody lives
		if line := <-told; !strings.Contains(line, "no sign of life") {
			t.Errorf("logged: %s", line)
		}
	}
	systemd.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, _, err := systemd.ReadFrom(make([]byte, 100)); err == nil {
		t.Errorf("%d bytes of life from the dead", n)
	}
	cancel()
	for stopped := false; !stopped; {
		select {
		case err := <-served:
			if stopped = true; err != nil {
				t.Error(err)
			}
		case <-told:
		}
	}
}

// lines is a log whose lines can be waited for. What there is no room for is lost.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	select {
	case l <- string(line):
	default:
	}
	return len(line), nil
}

// drain takes what has been logged so far.
func (l lines) drain() {
	for len(l) > 0 {
		<-l
	}
}

func TestServeReportsFailures(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	broken := errors.New("port 179 is taken")
	s := Service{Log: log, Registry: NewRegistry("sample"), Run: func(context.Context, func()) error { return broken }}
	if err := s.Serve(t.Context()); !errors.Is(err, broken) {
		t.Errorf("Serve: %v, want %v", err, broken)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s.Listen = taken.Addr().String()
	if err := s.Serve(t.Context()); err == nil || !strings.HasSuffix(err.Error(), "(is another daemon.test running?)") {
		t.Errorf("Serve at an address that is taken: %v", err)
	}
	s.Listen = "127.0.0.1:1:1"
	if err := s.Serve(t.Context()); err == nil || !strings.Contains(err.Error(), "127.0.0.1:1:1") {
		t.Errorf("Serve at a bad address: %v, want an error naming it", err)
	}
}

func TestWatchdogInterval(t *testing.T) {
	for usec, want := range map[string]time.Duration{"": 0, "30000000": 30 * time.Second} {
		if got, err := watchdogInterval(usec); err != nil || got != want {
			t.Errorf("%q: %v %v, want %v", usec, got, err, want)
		}
	}
	for _, usec := range []string{"soon", "-1", "0"} {
		if got, err := watchdogInterval(usec); err == nil {
			t.Errorf("%q: %v, want an error", usec, got)
		}
	}
}

func TestNewLogger(t *testing.T) {
	var out strings.Builder
	log, err := NewLogger(&out, "warn")
	if err != nil {
		t.Fatal(err)
	}
	log.Info("quiet")
	log.Warn("loud", "link", "eth0")
	if got, want := out.String(), "level=WARN msg=loud link=eth0\n"; got != want {
		t.Errorf("logged %q, want %q", got, want)
	}
	if _, err := NewLogger(io.Discard, "chatty"); err == nil || !strings.Contains(err.Error(), "chatty") {
		t.Errorf("level chatty: %v", err)
	}
}

func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func expectNotice(t *testing.T, c net.PacketConn, want string) {
	t.Helper()
	buf := make([]byte, 100)
	c.SetReadDeadline(time.Now().Add(time.Minute))
	n, _, err := c.ReadFrom(buf)
	if err != nil || string(buf[:n]) != want {
		t.Errorf("systemd was told %q (%v), want %q", buf[:n], err, want)
	}
}

// newSystemd hears what the daemon has to say to systemd.
func newSystemd(t *testing.T) net.PacketConn {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "notify")
	systemd, err := net.ListenPacket("unixgram", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { systemd.Close() })
	t.Setenv("NOTIFY_SOCKET", socket)
	return systemd
}

// expectReply wants this and no other answer of a page.
func expectReply(t *testing.T, page string, code int, body string) {
	t.Helper()
	host, path, _ := strings.Cut(page, "/")
	if gotCode, got := get(t, host, "/"+path); gotCode != code || got != body {
		t.Errorf("/%s: %d %q, want %d %q", path, gotCode, got, code, body)
	}
}

func get(t *testing.T, host, path string) (code int, body string) {
	t.Helper()
	resp, err := http.Get("http://" + host + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}
