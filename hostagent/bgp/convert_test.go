package bgp

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/osrg/gobgp/v4/api"
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
	return &apiutil.Path{Family: family, Nlri: nlri, Attrs: attrs, PeerAddress: leaf}
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
		Peer: leaf,
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

func TestStateOf(t *testing.T) {
	type event = apiutil.WatchEventMessage_PeerEvent
	newEvent := func(state bgp.FSMState, why api.PeerState_DisconnectReason, message string) *event {
		return &event{
			Type: apiutil.PEER_EVENT_STATE,
			Peer: apiutil.Peer{State: apiutil.PeerState{
				NeighborAddress: leaf, SessionState: state, PeerASN: 65001,
				RouterID:         netip.MustParseAddr("10.255.255.1"),
				DisconnectReason: why, DisconnectMessage: message,
			}},
		}
	}
	const none = api.PeerState_DISCONNECT_REASON_UNSPECIFIED
	up := newEvent(bgp.BGP_FSM_ESTABLISHED, none, "open-msg-negotiated")
	up.Peer.State.RemoteCap = []bgp.ParameterCapabilityInterface{
		bgp.NewCapMultiProtocol(bgp.RF_EVPN),
		bgp.NewCapMultiProtocol(bgp.RF_IPv6_UC),
		bgp.NewCapExtendedNexthop([]*bgp.CapExtendedNexthopTuple{
			bgp.NewCapExtendedNexthopTuple(bgp.RF_IPv4_UC, bgp.AFI_IP6),
		}),
	}
	snapshot := newEvent(bgp.BGP_FSM_ESTABLISHED, none, "")
	snapshot.Type = apiutil.PEER_EVENT_INIT

	for name, test := range map[string]struct {
		event *event
		want  *transition // nil: not a transition
	}{
		"snapshot":      {event: snapshot},
		"deleted by us": {event: newEvent(bgp.BGP_FSM_IDLE, none, "")},
		"opening": {
			event: newEvent(bgp.BGP_FSM_OPENSENT, none, "new-connection"),
			want:  &transition{PeerState: PeerState{Peer: leaf, State: OpenSent}},
		},
		"established": {event: up, want: &transition{
			PeerState:       PeerState{Peer: leaf, State: Established, AS: 65001, RouterID: netip.MustParseAddr("10.255.255.1")},
			extendedNextHop: true,
			families:        []bgp.Family{bgp.RF_IPv6_UC},
		}},
		"established, no capabilities": {
			event: newEvent(bgp.BGP_FSM_ESTABLISHED, none, "open-msg-negotiated"),
			want: &transition{
				PeerState: PeerState{Peer: leaf, State: Established, AS: 65001, RouterID: netip.MustParseAddr("10.255.255.1")},
				families:  []bgp.Family{bgp.RF_IPv4_UC},
			},
		},
		"hold timer": {
			event: newEvent(bgp.BGP_FSM_IDLE, api.PeerState_DISCONNECT_REASON_HOLD_TIMER_EXPIRED, "hold-timer-expired"),
			want:  &transition{PeerState: PeerState{Peer: leaf, State: Idle, Reason: "hold timer expired"}},
		},
		"notification": {
			event: newEvent(bgp.BGP_FSM_IDLE, api.PeerState_DISCONNECT_REASON_NOTIFICATION_RECEIVED,
				"notification-received code 6(cease) subcode 2(administrative shutdown)"),
			want: &transition{PeerState: PeerState{Peer: leaf, State: Idle,
				Reason: "notification received: code 6(cease) subcode 2(administrative shutdown)"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := stateOf(test.event)
			if ok != (test.want != nil) {
				t.Fatalf("transition: %v", ok)
			}
			if !ok {
				return
			}
			if diff := cmp.Diff(*test.want, got, compare, cmp.AllowUnexported(transition{})); diff != "" {
				t.Error(diff)
			}
		})
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
