package uplink_test

import (
	"context"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"

	"lastmile/bpf/uplink"
	"lastmile/lab/netns"
)

// bench is a server with an uplink up0 to a leaf, whose answers may be mis-typed, and a bpf file system of its own.
type bench struct {
	t          testing.TB
	host, leaf *netns.NS
	root       string // of the pins
}

const hostAddress, leafAddress = "10.0.1.1", "10.255.255.1"

var leafLinkLocal = netip.MustParseAddr("fe80::1")

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{t: t, host: netns.ForTest(t, "host"), leaf: netns.ForTest(t, "leaf"), root: bpffs(t) + "/hostagent"}
	b.wire()
	return b
}

// wire plugs the link in, with addresses at both ends.
func (b *bench) wire() {
	b.t.Helper()
	if err := netns.Veth(b.host, "up0", b.leaf, "port"); err != nil {
		b.t.Fatal(err)
	}
	b.addresses()
}

func (b *bench) addresses() {
	b.t.Helper()
	b.run(b.host, "ip address add "+hostAddress+" peer "+leafAddress+" dev up0")
	b.run(b.leaf, "ip address add "+leafAddress+" peer "+hostAddress+" dev port")
}

// bpffs mounts a bpf file system for the time of the test.
func bpffs(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("bpf", dir, "bpf", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// run runs a command in the namespace and returns what it printed.
func (b *bench) run(ns *netns.NS, line string) string {
	b.t.Helper()
	words := strings.Fields(line)
	out, err := ns.Run(context.Background(), words[0], words[1:]...)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(out)
}

// open opens the hooks in the server's namespace.
func (b *bench) open(o uplink.Options) *uplink.Hooks {
	b.t.Helper()
	h := b.start(o)
	b.t.Cleanup(func() {
		if err := h.Close(); err != nil {
			b.t.Error(err)
		}
	})
	return h
}

// start opens them for a test that ends them itself.
func (b *bench) start(o uplink.Options) *uplink.Hooks {
	b.t.Helper()
	h, err := b.tryOpen(o)
	if err != nil {
		b.t.Fatal(err)
	}
	return h
}

// stop is the end of their process.
func (b *bench) stop(h *uplink.Hooks) {
	b.t.Helper()
	if err := h.Close(); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) tryOpen(o uplink.Options) (h *uplink.Hooks, err error) {
	if o.Dir == "" {
		o.Dir = b.root
	}
	err = b.host.Do(func() error {
		h, err = uplink.Open(o)
		return err
	})
	return h, err
}

// attach attaches to up0, which must work.
func (b *bench) attach(h *uplink.Hooks, mode uplink.Mode) uplink.State {
	b.t.Helper()
	s, err := b.tryAttach(h, mode)
	if err != nil {
		b.t.Fatal(err)
	}
	if mode != uplink.Off && s.Status != uplink.Attached {
		b.t.Fatalf("the state is %+v, want attached", s)
	}
	return s
}

func (b *bench) tryAttach(h *uplink.Hooks, mode uplink.Mode) (s uplink.State, err error) {
	b.t.Helper()
	index := b.index()
	err = b.host.Do(func() error {
		s, err = h.Attach("up0", index, mode)
		return err
	})
	return s, err
}

func (b *bench) index() (index int) {
	b.t.Helper()
	err := b.host.Do(func() error {
		i, err := net.InterfaceByName("up0")
		if err == nil {
			index = i.Index
		}
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return index
}

// pings says whether the leaf's answer to a ping arrives.
func (b *bench) pings(args ...string) bool {
	b.t.Helper()
	_, err := b.host.Run(context.Background(), "ping", append([]string{"-c1", "-W1"}, append(args, leafAddress)...)...)
	return err == nil
}

// shows is what iproute2 says of the XDP program on an interface, with its mode; empty if there is none.
func (b *bench) shows(ns *netns.NS, name string) string {
	b.t.Helper()
	var shown []string
	for line := range strings.Lines(b.run(ns, "ip -d link show "+name)) {
		for _, word := range strings.Fields(line) {
			if word == "xdp" || word == "xdpgeneric" {
				shown = append(shown, word)
			}
		}
		if strings.Contains(line, "prog/xdp") {
			shown = append(shown, strings.TrimSpace(line))
		}
	}
	return strings.Join(shown, " ")
}

// eventually polls until what holds.
func (b *bench) eventually(what string, holds func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("not in 20 s: %s", what)
		}
	}
}

// modes are those of the given that the kernel has.
func modes(t testing.TB, all ...uplink.Mode) []uplink.Mode {
	t.Helper()
	if older(t, 6, 6) {
		t.Log("this kernel has no tcx")
		all = slices.DeleteFunc(all, func(m uplink.Mode) bool { return m == uplink.TCX })
	}
	return all
}

// older says whether the kernel is from before a release.
func older(t testing.TB, major, minor uint32) bool {
	t.Helper()
	code, err := features.LinuxVersionCode()
	if err != nil {
		t.Fatal(err)
	}
	return code < major<<16|minor<<8
}

// lockedBuffer takes what a process says while it runs.
type lockedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestMain(m *testing.M) {
	if role := os.Getenv("UPLINK_TEST_ROLE"); role != "" {
		os.Exit(roles[role]())
	}
	os.Exit(m.Run())
}
