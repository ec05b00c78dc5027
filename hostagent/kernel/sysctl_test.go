package kernel_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lastmile/hostagent/kernel"
	"lastmile/lab/frr"
)

func (b *bench) sysctls(uplinks ...string) (changed []string, err error) {
	b.t.Helper()
	err = b.host.Do(func() error {
		changed, err = b.settings.Set(uplinks)
		return err
	})
	return changed, err
}

func TestSysctls(t *testing.T) {
	b := newBench(t)
	b.ip("link set up1 down")
	b.ip("link set up1 name up1.7")
	for key, value := range map[string]string{
		"net.ipv4.conf.all.rp_filter": "0", "net.ipv4.conf.up0.rp_filter": "1", "net/ipv4/conf/up1.7/rp_filter": "0",
	} {
		if err := b.host.Sysctl(key, value); err != nil {
			t.Fatal(err)
		}
	}
	changed, err := b.sysctls("up0", "up1.7")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"net.ipv4.fib_multipath_hash_policy: 0 -> 1",
		"net.ipv6.fib_multipath_hash_policy: 0 -> 1",
		"net.ipv4.nexthop_compat_mode: 1 -> 0",
		"net.ipv4.conf.up0.rp_filter: 1 -> 0",
		"net.ipv6.conf.up0.accept_ra_defrtr: 1 -> 0",
		"net.ipv6.conf.up0.router_solicitations: -1 -> 0",
		"net.ipv6.conf.up0.optimistic_dad: 0 -> 1",
		"net.ipv6.conf.up0.use_optimistic: 0 -> 1",
		"net.ipv6.conf.up1/7.accept_ra_defrtr: 1 -> 0",
		"net.ipv6.conf.up1/7.router_solicitations: -1 -> 0",
		"net.ipv6.conf.up1/7.optimistic_dad: 0 -> 1",
		"net.ipv6.conf.up1/7.use_optimistic: 0 -> 1",
	}
	if diff := cmp.Diff(want, changed); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
	for _, line := range changed { // as sysctl(8) names and reads them
		key, values, _ := strings.Cut(line, ": ")
		_, value, _ := strings.Cut(values, " -> ")
		if got := strings.TrimSpace(string(b.run(b.host, "sysctl -n "+key))); got != value {
			t.Errorf("%s is %s, want %s", key, got, value)
		}
	}
	if changed, err = b.sysctls("up0", "up1.7"); err != nil || len(changed) != 0 {
		t.Errorf("the second time: %v, %v", changed, err)
	}
}

// TestOtherLinksFilterAsBefore starts with loose filtering for all, as some distributions have it.
func TestOtherLinksFilterAsBefore(t *testing.T) {
	b := newBench(t)
	for key, value := range map[string]string{"all": "2", "default": "0", "lo": "0", "up0": "0", "up1": "1"} {
		if err := b.host.Sysctl("net.ipv4.conf."+key+".rp_filter", value); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.sysctls("up0"); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"all": "0", "default": "2", "lo": "2", "up0": "0", "up1": "2"} {
		if got := strings.TrimSpace(string(b.run(b.host, "sysctl -n net.ipv4.conf."+key+".rp_filter"))); got != want {
			t.Errorf("rp_filter of %s is %s, want %s", key, got, want)
		}
	}
	if changed, err := b.sysctls("up0"); err != nil || len(changed) != 0 {
		t.Errorf("the second time: %v, %v", changed, err)
	}
}

func TestSysctlsNamesWhatFails(t *testing.T) {
	b := newBench(t)
	changed, err := b.sysctls("none", "../all", "up0")
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"net.ipv4.conf.none.rp_filter", "net.ipv6.conf.none.accept_ra_defrtr", `"../all"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not in: %v", want, err)
		}
	}
	if len(changed) < 4 {
		t.Errorf("only %v changed", changed)
	}
}

// TestAdvertisementMakesNoDefaultRoute has a real router on each uplink, and the settings on one.
func TestAdvertisementMakesNoDefaultRoute(t *testing.T) {
	b := newBench(t)
	if _, err := b.sysctls("up0"); err != nil {
		t.Fatal(err)
	}
	for _, leaf := range b.leaves {
		b.run(leaf, "sysctl -qw net.ipv6.conf.all.forwarding=1")
		frr.ForTest(t, frr.Config{NS: leaf, Zebra: `
interface port
 no ipv6 nd suppress-ra
 ipv6 nd ra-interval 1
 ipv6 nd prefix 2001:db8:7::/64
`})
	}
	for _, uplink := range []string{"up0", "up1"} {
		b.eventually("advertisement on "+uplink, func() bool {
			return strings.Contains(string(b.ip("-6 address show dev "+uplink)), "2001:db8:7:")
		})
	}
	b.eventually("default route of up1", func() bool { return strings.Contains(string(b.ip("-6 route show default")), "dev up1") })
	if got := string(b.ip("-6 route show default")); strings.Contains(got, "dev up0") {
		t.Errorf("the advertisement made a default route: %s", got)
	}
}

func TestLinkLocalIsUsableDuringDetection(t *testing.T) {
	b := newBench(t)
	if _, err := b.sysctls("up0"); err != nil {
		t.Fatal(err)
	}
	for _, uplink := range []string{"up0", "up1"} {
		b.ip("link set " + uplink + " down")
		if err := b.host.Sysctl("net.ipv6.conf."+uplink+".dad_transmits", "1000"); err != nil {
			t.Fatal(err)
		}
		b.ip("link set " + uplink + " up")
	}
	await(t, watch(t, b.host), "an address", func(s kernel.State) bool {
		if s.Links["up1"].LinkLocal.IsValid() {
			t.Errorf("address that is tentative: %+v", s.Links["up1"])
		}
		return s.Links["up0"].LinkLocal.IsValid()
	})
}

func TestRestoreSysctls(t *testing.T) {
	const key = "net.ipv4.nexthop_compat_mode"
	tests := map[string]struct {
		before, since, want string // since: set by another, after us
	}{
		"was on":             {"1", "", "1"},
		"was off":            {"0", "", "0"},
		"set by another":     {"1", "1", "1"},
		"off before, on now": {"0", "1", "1"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			set := func(value string) {
				if err := b.host.Sysctl(key, value); err != nil {
					t.Fatal(err)
				}
			}
			get := func() string { return strings.TrimSpace(string(b.run(b.host, "sysctl -n "+key))) }
			set(test.before)
			for range 2 {
				if _, err := b.sysctls(); err != nil {
					t.Fatal(err)
				}
			}
			if got := get(); got != "0" {
				t.Errorf("while in use: %s", got)
			}
			if test.since != "" {
				set(test.since)
			}
			if err := b.host.Do(b.settings.Restore); err != nil {
				t.Fatal(err)
			}
			if got := get(); got != test.want {
				t.Errorf("restored: %s, want %s", got, test.want)
			}
		})
	}
}

// TestRestoreAfterAFight gives back what another has set in between, and we have set back.
func TestRestoreAfterAFight(t *testing.T) {
	b := newBench(t)
	for _, value := range []string{"0", "1"} {
		if err := b.host.Sysctl("net.ipv4.nexthop_compat_mode", value); err != nil {
			t.Fatal(err)
		}
		if _, err := b.sysctls(); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.host.Do(b.settings.Restore); err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(string(b.run(b.host, "sysctl -n net.ipv4.nexthop_compat_mode"))); got != "1" {
		t.Errorf("restored: %s", got)
	}
}

func TestPlainSysctls(t *testing.T) {
	b := newBench(t)
	b.settings.Plain = true
	if _, err := b.sysctls("up0"); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"net.ipv4.conf.up0.ignore_routes_with_linkdown": "1", "net.ipv6.conf.up0.ignore_routes_with_linkdown": "1",
		"net.ipv4.conf.up1.ignore_routes_with_linkdown": "0",
	} {
		if got := strings.TrimSpace(string(b.run(b.host, "sysctl -n "+key))); got != want {
			t.Errorf("%s is %s, want %s", key, got, want)
		}
	}
}
