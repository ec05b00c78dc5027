package bgp

import (
	"net/netip"
	"time"
)

// State is a state of the session's finite state machine (RFC 4271 section
// 8.2.2).
type State uint8

// The states, in the order in which a session comes up.
const (
	Idle State = iota
	Connect
	Active
	OpenSent
	OpenConfirm
	Established
)

// String names the state as FRR's `show bgp neighbors` does.
func (s State) String() string {
	names := [...]string{"Idle", "Connect", "Active", "OpenSent", "OpenConfirm", "Established"}
	if int(s) >= len(names) {
		return "Unknown"
	}
	return names[s]
}

// News is what a Speaker tells: a PeerState or an Update. For one peer the
// order is the order in which things happened: Updates come only between the
// PeerState that says Established and the next one.
type News interface{ of() netip.Addr }

// PeerState is a change of one session. Any state but Established means that
// no route of the peer is valid any more, but for Stale.
type PeerState struct {
	Peer     netip.Addr // link-local, with the link as its zone
	State    State
	AS       uint32     // of the peer; 0 unless Established
	RouterID netip.Addr // of the peer; the zero Addr unless Established
	Since    time.Time
	Reason   string // why the last session ended, or none can be opened; empty if there was none
	// Stale is for how long the routes of an Established session that has ended
	// may be kept while the peer restarts (RFC 4724 section 4.2); 0 for not at
	// all. Those that the peer has not announced again by its End-of-RIB are
	// gone.
	Stale time.Duration
	// Kept says, of an Established session, that the peer's forwarding goes on
	// while it restarts. Otherwise stale routes are not good.
	Kept bool
}

// Update is one UPDATE message (RFC 4271 section 4.3) of an Established
// session, before any policy. A prefix that is in both lists is announced.
type Update struct {
	Peer      netip.Addr // link-local, with the link as its zone
	Announced []Route
	Withdrawn []netip.Prefix
	// EndOfRIB says that the peer has now sent all it had when the session
	// came up, in every address family of the session (RFC 4724 section 2). For
	// a peer that does not say so it comes after half a minute.
	EndOfRIB bool
}

func (s PeerState) of() netip.Addr { return s.Peer }
func (u Update) of() netip.Addr    { return u.Peer }

// Route is a prefix and the attributes of its path. Routes of one UPDATE share
// their attributes, which nobody may change.
type Route struct {
	Prefix netip.Prefix // masked
	*Attributes
}

// Attributes are those path attributes that decide (RFC 4271 section 5.1). The
// next hop is not among them: on a point-to-point uplink it is the peer,
// whatever was announced.
type Attributes struct {
	// ASPath holds the AS numbers of all segments in order, for loop
	// detection.
	ASPath []uint32
	// Sets are the parts of ASPath, from and up to, that are an AS_SET each.
	Sets [][2]int
	// Length counts as the decision process does: a set is one (RFC 4271
	// section 9.1.2.2 a).
	Length    int
	Origin    uint8  // 0 IGP, 1 EGP, 2 INCOMPLETE
	MED       uint32 // 0 if absent (RFC 4271 section 9.1.2.2 c)
	LocalPref uint32 // always 100: no external peer may set it (RFC 4271 section 5.1.5)
	// Communities are in the order they came in (RFC 1997), the AS in the
	// upper half: 0xffff0000 is GRACEFUL_SHUTDOWN (RFC 8326).
	Communities []uint32
	// LargeCommunities are in the order they came in (RFC 8092).
	LargeCommunities [][3]uint32
}

// defaultLocalPref is RFC 4271's by custom.
const defaultLocalPref = 100
