package hostagent

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"lastmile/hostagent/rib"
)

// TestImport is the default route alone from eth1, at a low preference, and short paths from eth0.
func TestImport(t *testing.T) {
	cfg := DefaultConfig()
	defaultRoute := netip.MustParsePrefix("0.0.0.0/0")
	cfg.Import = []ImportRule{
		{Uplinks: []string{"eth1"}, Prefixes: []rib.Range{{Prefix: defaultRoute}}, LocalPref: new(uint32(50))},
		{Uplinks: []string{"eth1"}, Reject: true},
		{MaxASPath: 2},
	}
	table := rib.New(cfg.table())
	host, far := netip.MustParsePrefix("10.0.2.2/32"), netip.MustParsePrefix("10.0.3.3/32")
	for _, leaf := range []string{"fe80::1%eth0", "fe80::2%eth1"} {
		table.Update(netip.MustParseAddr(leaf), []rib.Route{
			{Prefix: defaultRoute, Path: &rib.Path{Length: 2, LocalPref: 100}},
			{Prefix: host, Path: &rib.Path{Length: 2, LocalPref: 100}},
			{Prefix: far, Path: &rib.Path{Length: 3, LocalPref: 100}},
		}, nil)
	}
	var got []string
	for prefix := range table.Prefixes().All() {
		e, _ := table.Lookup(prefix)
		for _, p := range e.Paths {
			got = append(got, fmt.Sprint(e.Prefix, " ", p.Peer, " ", p.Path.LocalPref, " ", p.Best))
		}
	}
	want := []string{"0.0.0.0/0 fe80::1%eth0 100 true", "0.0.0.0/0 fe80::2%eth1 50 false", "10.0.2.2/32 fe80::1%eth0 100 true"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
