package bgp

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/osrg/gobgp/v4/pkg/apiutil"
	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

var (
	leaf    = netip.MustParseAddr("fe80::1%eth0")
	compare = cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})
)

func path(t *testing.T, prefix string, attrs ...bgp.PathAttributeInterface) *apiutil.Path {
	t.Helper()
	p := netip.MustParsePrefix(prefix)
	nlri, err := bgp.NewIPAddrPrefix(p)
	if err != nil {
		t.Fatal(err)
	}
	family := bgp.RF_IPv4_UC
	if p.Addr().Is6() {
		family = bgp.RF_IPv6_UC
	}
	return &apiutil.Path{Family: family, Nlri: nlri, Attrs: attrs}
}

func TestUpdate(t *testing.T) {
	const (
		set      = bgp.BGP_ASPATH_ATTR_TYPE_SET
		sequence = bgp.BGP_ASPATH_ATTR_TYPE_SEQ
		confed   = bgp.BGP_ASPATH_ATTR_TYPE_CONFED_SEQ
	)
	long := bgp.NewPathAttributeAsPath([]bgp.AsPathParamInterface{
		bgp.NewAs4PathParam(confed, []uint32{64600}),
		bgp.NewAs4PathParam(sequence, []uint32{65001, 4200000000}),
		bgp.NewAs4PathParam(set, []uint32{64512, 64513}),
	})
	withdrawn := path(t, "10.3.0.0/16")
	withdrawn.Withdrawal = true
	other := path(t, "10.4.0.0/16")
	other.Family = bgp.RF_IPv4_MC

	got := update([]*apiutil.Path{
		path(t, "10.1.0.0/16", bgp.NewPathAttributeOrigin(2), long, bgp.NewPathAttributeMultiExitDisc(7),
			bgp.NewPathAttributeLocalPref(500)),
		path(t, "2001:db8::/32", long),
		path(t, "10.2.0.0/16"),
		withdrawn,
		other,
	})
	all := []uint32{64600, 65001, 4200000000, 64512, 64513}
	want := Update{
		Announced: []Route{
			{Prefix: netip.MustParsePrefix("10.1.0.0/16"), ASPath: all, Length: 3, Origin: 2, MED: 7, LocalPref: 100},
			{Prefix: netip.MustParsePrefix("2001:db8::/32"), ASPath: all, Length: 3, LocalPref: 100},
			{Prefix: netip.MustParsePrefix("10.2.0.0/16"), LocalPref: 100},
		},
		Withdrawn: []netip.Prefix{netip.MustParsePrefix("10.3.0.0/16")},
	}
	if diff := cmp.Diff(want, got, compare); diff != "" {
		t.Error(diff)
	}
	if &got.Announced[0].ASPath[0] != &got.Announced[1].ASPath[0] {
		t.Error("routes of one UPDATE do not share their AS path")
	}
}

// Our states are GoBGP's by number.
func TestStatesAreRFC4271s(t *testing.T) {
	for state, name := range map[bgp.FSMState]string{
		bgp.BGP_FSM_IDLE: "Idle", bgp.BGP_FSM_CONNECT: "Connect", bgp.BGP_FSM_ACTIVE: "Active",
		bgp.BGP_FSM_OPENSENT: "OpenSent", bgp.BGP_FSM_OPENCONFIRM: "OpenConfirm",
		bgp.BGP_FSM_ESTABLISHED: "Established",
	} {
		if got := State(state).String(); got != name {
			t.Errorf("%v: %s, want %s", state, got, name)
		}
	}
}
