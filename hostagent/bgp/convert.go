package bgp

import (
	"net/netip"
	"strings"

	"github.com/osrg/gobgp/v4/api"
	"github.com/osrg/gobgp/v4/pkg/apiutil"
	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

const defaultLocalPref = 100

// update turns the paths of one UPDATE, all of one peer, into our words. Paths
// that are not unicast prefixes are left out.
func update(paths []*apiutil.Path) Update {
	u := Update{Peer: paths[0].PeerAddress}
	var seen asPath
	for _, p := range paths {
		prefix, ok := prefixOf(p)
		if !ok {
			continue
		}
		if p.Withdrawal {
			u.Withdrawn = append(u.Withdrawn, prefix)
			continue
		}
		u.Announced = append(u.Announced, route(prefix, p.Attrs, &seen))
	}
	return u
}

func prefixOf(p *apiutil.Path) (netip.Prefix, bool) {
	if p.Family != bgp.RF_IPv4_UC && p.Family != bgp.RF_IPv6_UC {
		return netip.Prefix{}, false
	}
	nlri, ok := p.Nlri.(*bgp.IPAddrPrefix)
	if !ok || !nlri.Prefix.IsValid() {
		return netip.Prefix{}, false
	}
	return nlri.Prefix.Masked(), true
}

// asPath is the AS_PATH seen last: routes of one UPDATE share the attribute,
// and so its converted form.
type asPath struct {
	of     *bgp.PathAttributeAsPath
	list   []uint32
	length int
}

func route(prefix netip.Prefix, attrs []bgp.PathAttributeInterface, seen *asPath) Route {
	r := Route{Prefix: prefix, LocalPref: defaultLocalPref}
	for _, attr := range attrs {
		switch a := attr.(type) {
		case *bgp.PathAttributeOrigin:
			r.Origin = a.Value
		case *bgp.PathAttributeMultiExitDisc:
			r.MED = a.Value
		case *bgp.PathAttributeAsPath:
			if a != seen.of {
				*seen = flatten(a)
			}
			r.ASPath, r.Length = seen.list, seen.length
		}
	}
	return r
}

func flatten(a *bgp.PathAttributeAsPath) asPath {
	p := asPath{of: a}
	for _, segment := range a.Value {
		p.list = append(p.list, segment.GetAS()...)
		p.length += segment.ASLen()
	}
	return p
}

// transition is a state that GoBGP's state machine of a peer entered.
type transition struct {
	PeerState
	extendedNextHop bool         // negotiated for IPv4 unicast (RFC 8950)
	families        []bgp.Family // negotiated, in an Established session
}

// stateOf turns GoBGP's event into our words. It reports false for what is no
// transition: the snapshot that a watch begins with, and the event that
// GoBGP raises when we delete a peer, the only one without a reason.
func stateOf(ev *apiutil.WatchEventMessage_PeerEvent) (transition, bool) {
	s := ev.Peer.State
	if ev.Type != apiutil.PEER_EVENT_STATE || s.DisconnectMessage == "" {
		return transition{}, false
	}
	t := transition{PeerState: PeerState{Peer: s.NeighborAddress, State: State(s.SessionState)}}
	switch t.State {
	case Established:
		t.AS, t.RouterID = s.PeerASN, s.RouterID
		t.families = families(s.RemoteCap)
		t.extendedNextHop = extendedNextHop(s.RemoteCap)
	case Idle:
		t.Reason = reason(s.DisconnectReason, s.DisconnectMessage)
	}
	return t, true
}

// families returns which of ours a peer's capabilities offer. A peer that names
// none speaks IPv4 unicast (RFC 4760 section 8).
func families(caps []bgp.ParameterCapabilityInterface) []bgp.Family {
	named := false
	var both []bgp.Family
	for _, c := range caps {
		mp, ok := c.(*bgp.CapMultiProtocol)
		if !ok {
			continue
		}
		named = true
		if f := mp.CapValue; f == bgp.RF_IPv4_UC || f == bgp.RF_IPv6_UC {
			both = append(both, f)
		}
	}
	if !named {
		return []bgp.Family{bgp.RF_IPv4_UC}
	}
	return both
}

func extendedNextHop(caps []bgp.ParameterCapabilityInterface) bool {
	for _, c := range caps {
		enh, ok := c.(*bgp.CapExtendedNexthop)
		if !ok {
			continue
		}
		for _, t := range enh.Tuples {
			if t.NLRIAFI == bgp.AFI_IP && t.NLRISAFI == bgp.SAFI_UNICAST && t.NexthopAFI == bgp.AFI_IP6 {
				return true
			}
		}
	}
	return false
}

// reason says in words why GoBGP's state machine fell back to Idle.
func reason(why api.PeerState_DisconnectReason, message string) string {
	switch why {
	case api.PeerState_DISCONNECT_REASON_HOLD_TIMER_EXPIRED:
		return "hold timer expired"
	case api.PeerState_DISCONNECT_REASON_READ_FAILED:
		return "connection closed by the peer"
	case api.PeerState_DISCONNECT_REASON_WRITE_FAILED:
		return "writing to the connection failed"
	case api.PeerState_DISCONNECT_REASON_INVALID_MSG:
		return "invalid message received"
	case api.PeerState_DISCONNECT_REASON_NOTIFICATION_RECEIVED:
		// "notification-received code 6(cease) subcode 2(administrative shutdown)"
		return strings.Replace(message, "notification-received", "notification received:", 1)
	case api.PeerState_DISCONNECT_REASON_NOTIFICATION_SENT:
		return strings.Replace(message, "notification-sent", "notification sent:", 1)
	}
	return message
}
