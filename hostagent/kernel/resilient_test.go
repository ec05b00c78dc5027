package kernel_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lastmile/hostagent/kernel"
	"lastmile/lab/netns"
)

const flows = 400

// paths asks the kernel for the uplink of each of many flows to 10.0.2.2, by source port.
func (b *bench) paths() []string {
	b.t.Helper()
	var lines strings.Builder
	for i := range flows {
		fmt.Fprintf(&lines, "route get 10.0.2.2 ipproto udp sport %d dport 9\n", 20_000+i)
	}
	file := filepath.Join(b.t.TempDir(), "flows")
	if err := os.WriteFile(file, []byte(lines.String()), 0o600); err != nil {
		b.t.Fatal(err)
	}
	var devices []string
	for line := range strings.Lines(string(b.ip("-batch " + file))) {
		if _, after, ok := strings.Cut(line, " dev "); ok {
			devices = append(devices, strings.Fields(after)[0])
		}
	}
	if len(devices) != flows {
		b.t.Fatalf("%d answers for %d flows", len(devices), flows)
	}
	return devices
}

// moved counts the flows that are elsewhere now, and not because their uplink went.
func moved(before, after []string, lost string) (n int) {
	for i := range before {
		if before[i] != after[i] && before[i] != lost {
			n++
		}
	}
	return n
}

// fourLeaves is a bench with two more uplinks.
func fourLeaves(t *testing.T) (b *bench, leaves []netip.Addr) {
	b = newBench(t)
	leaves = []netip.Addr{leaf0, leaf1}
	for i := 2; i < 4; i++ {
		name := fmt.Sprint("up", i)
		if err := netns.Veth(b.host, name, netns.ForTest(t, fmt.Sprint("leaf", i)), "port"); err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, netip.MustParseAddr(fmt.Sprintf("fe80::%d%%%s", i+1, name)))
	}
	if err := b.host.Sysctl("net.ipv4.fib_multipath_hash_policy", "1"); err != nil {
		t.Fatal(err)
	}
	return b, leaves
}

// isBefore513 says whether the kernel is from before there were resilient groups, and then expects to be told so.
func (b *bench) isBefore513() bool {
	b.t.Helper()
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		b.t.Fatal(err)
	}
	var major, minor int
	if _, err := fmt.Sscanf(string(release), "%d.%d", &major, &minor); err != nil {
		b.t.Fatal(err)
	}
	if major > 5 || major == 5 && minor >= 13 {
		return false
	}
	b.t.Log("this kernel has no resilient next-hop groups")
	b.options = kernel.Options{Resilient: kernel.Resilient{Buckets: 128}}
	if _, err := b.tryOpen(); err == nil || !strings.Contains(err.Error(), "Linux 5.13 or later is needed") {
		b.t.Errorf("opened with resilient groups: %v", err)
	}
	return true
}

// tick is the longest that a kernel's clock has: CONFIG_HZ is 100 or more.
const tick = 10 * time.Millisecond

// TestResilientGroupKeepsFlows compares both kinds of groups when a leaf goes.
func TestResilientGroupKeepsFlows(t *testing.T) {
	moves := map[bool]int{}
	for _, resilient := range []bool{false, true} {
		b, leaves := fourLeaves(t)
		if b.isBefore513() {
			return
		}
		if resilient {
			b.options.Resilient = kernel.Resilient{Buckets: 128, Idle: time.Minute}
		}
		fib := b.open()
		b.apply(fib, via("10.0.2.2/32", leaves...))
		before := b.paths()
		b.expectSpread(before, leaves)
		fib.LeafLost(leaf0)
		lost := time.Now()
		after := b.paths()
		for _, device := range after {
			if device == "up0" {
				t.Fatal("a flow still goes to the leaf that is lost")
			}
		}
		moves[resilient] = moved(before, after, "up0")
		t.Logf("resilient %v: %d flows over the other leaves moved", resilient, moves[resilient])
		if resilient {
			b.expectQuietReturn(fib, lost, leaves)
		}
	}
	if moves[true] != 0 {
		t.Errorf("%d flows moved though their leaf was there", moves[true])
	}
	if moves[false] == 0 {
		t.Error("no flow moved in a group without buckets: the comparison shows nothing")
	}
}

// expectSpread wants a fair share of the flows on each leaf.
func (b *bench) expectSpread(paths []string, leaves []netip.Addr) {
	b.t.Helper()
	on := map[string]int{}
	for _, device := range paths {
		on[device]++
	}
	b.t.Logf("of %d flows: %v", flows, on)
	for i := range leaves {
		if n := on[fmt.Sprint("up", i)]; n < flows/4/3 {
			b.t.Errorf("%d of %d flows over up%d", n, flows, i)
		}
	}
}

// expectQuietReturn has the first leaf come back. Only idle buckets move, and none is.
func (b *bench) expectQuietReturn(fib *kernel.FIB, lost time.Time, leaves []netip.Addr) {
	b.t.Helper()
	after := b.paths()
	// A bucket that is used in the tick of the clock in which it was moved counts as never used since: idle.
	b.eventually("every flow is used in a later tick", func() bool {
		start := time.Now()
		after = b.paths()
		return start.Sub(lost) > tick
	})
	fib.LossesKnown()
	b.apply(fib, via("10.0.2.2/32", leaves...))
	if n := moved(after, b.paths(), ""); n > 0 {
		b.t.Errorf("%d flows moved when the leaf came back", n)
	}
	if n := len(b.objects()); n != 5 {
		b.t.Errorf("%d objects, want four next hops and one group", n)
	}
}

func TestResilientGroupAfterCarrierLoss(t *testing.T) {
	b, leaves := fourLeaves(t)
	if b.isBefore513() {
		return
	}
	b.options.Resilient = kernel.Resilient{Buckets: 128, Idle: time.Minute}
	fib := b.open()
	b.apply(fib, via("10.0.2.2/32", leaves...))
	before := b.paths()
	b.carrier(0, "down")
	b.eventually("up0 out of the group", func() bool { return len(b.objects()) == 4 })
	if n := moved(before, b.paths(), "up0"); n > 0 {
		t.Errorf("%d flows moved though their leaf was there", n)
	}
	fib.LinkLost("up0")
	b.apply(fib, via("10.0.2.2/32", leaves[1:]...))
	if n := moved(before, b.paths(), "up0"); n > 0 {
		t.Errorf("%d flows moved by the order", n)
	}
}

// TestResilientGroupAfterARestart changes the kind of the group and back, without a moment without a route.
func TestResilientGroupAfterARestart(t *testing.T) {
	b, leaves := fourLeaves(t)
	if b.isBefore513() {
		return
	}
	orders := append(hostRoutes(200, leaves...), via("10.0.2.2/32", leaves...))
	for _, buckets := range []uint16{0, 128, 128, 32, 0} {
		b.options.Resilient = kernel.Resilient{Buckets: buckets, Idle: time.Minute}
		fib := b.openSourced()
		b.apply(fib, orders...)
		b.sweep(fib, orders...)
		if got := string(b.ip("nexthop show proto 199")); strings.Contains(got, "resilient") != (buckets > 0) || strings.Count(got, "group") != 1 {
			t.Errorf("%d buckets: %s", buckets, got)
		}
		if got := string(b.ip("nexthop show proto 199")); buckets > 0 && !strings.Contains(got, fmt.Sprint("buckets ", buckets)) {
			t.Errorf("want %d buckets: %s", buckets, got)
		}
		if n := len(b.list("-4")); n != 201 {
			t.Errorf("%d buckets: %d routes", buckets, n)
		}
		if changed, err := fib.Audit(); changed || err != nil {
			t.Errorf("audit: %v, %v", changed, err)
		}
		if err := fib.Leave(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestResilientGroupsNeedObjects(t *testing.T) {
	b := newBench(t)
	b.options = kernel.Options{NoObjects: true, Resilient: kernel.Resilient{Buckets: 128}}
	if _, err := b.tryOpen(); err == nil || !strings.Contains(err.Error(), "resilient next-hop groups need next-hop objects") {
		t.Errorf("opened: %v", err)
	}
	if b.isBefore513() {
		return
	}
	b.options = kernel.Options{Resilient: kernel.Resilient{Buckets: 128}}
	b.open()
	if left := b.objects(); len(left) != 0 {
		t.Errorf("left of the trial: %v", left)
	}
}
