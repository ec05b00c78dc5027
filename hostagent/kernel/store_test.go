package kernel_test

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lastmile/hostagent/kernel"
)

// TestKernelLeavesOutLinksWithoutCarrier is what stands in for the pruning of groups: the kernel does it before anybody
// could tell it.
func TestKernelLeavesOutLinksWithoutCarrier(t *testing.T) {
	b := newBench(t)
	b.options.NoObjects, b.settings.Plain = true, true
	if _, err := b.sysctls("up0", "up1"); err != nil {
		t.Fatal(err)
	}
	fib := b.open()
	b.apply(fib, via("10.0.2.2/32", leaf0, leaf1))
	if got := b.paths(); !slices.Contains(got, "up0") || !slices.Contains(got, "up1") {
		t.Fatalf("not over both: %v", got)
	}
	b.carrier(0, "down")
	b.eventually("no flow over up0", func() bool { return !slices.Contains(b.paths(), "up0") })
	b.carrier(0, "up")
	b.eventually("flows over up0", func() bool { return slices.Contains(b.paths(), "up0") })
}

func TestOpenWithoutCapability(t *testing.T) {
	b := newBench(t)
	err := b.host.Do(func() error { // on a thread of its own, which ends with it
		header := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(header, &none[0]); err != nil {
			return err
		}
		_, err := kernel.OpenFIB(slog.New(slog.DiscardHandler), kernel.Options{})
		return err
	})
	if !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "CAP_NET_ADMIN") {
		t.Errorf("opened without a capability: %v", err)
	}
}
