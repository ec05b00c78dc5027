package bgp

import (
	"cmp"
	"context"
	"slices"
)

// Peer is what `show neighbors` says of one peer.
type Peer struct {
	PeerState
	// LastReset says why the latest session that had been Established ended;
	// empty if none has.
	LastReset string
	// MessagesReceived and MessagesSent count BGP messages of every type on the
	// session's connection.
	MessagesReceived, MessagesSent uint64
	// PrefixesReceived counts the routes that the peer announces now, of both
	// address families, accepted or not.
	PrefixesReceived uint64
	// UpdatesMalformed counts the UPDATEs of the session with an error that it
	// survived (RFC 7606).
	UpdatesMalformed uint64
	// ExtendedNextHop says that the session carries IPv4 routes with IPv6 next
	// hops (RFC 8950).
	ExtendedNextHop bool
	// ConnectionsRefused counts connections to our port on the link that came
	// from other addresses than the peer's.
	ConnectionsRefused uint64
}

// Peers lists the peers, sorted by address and link.
func (s *Speaker) Peers(ctx context.Context) ([]Peer, error) {
	var all []Peer
	err := s.ask(ctx, func() error {
		for _, p := range s.peers {
			shown := Peer{
				PeerState:          p.PeerState,
				LastReset:          p.reset,
				ExtendedNextHop:    p.extendedNextHop,
				ConnectionsRefused: p.strangers.Load(),
			}
			if c := p.session(); c != nil {
				shown.MessagesReceived, shown.MessagesSent = c.received.Load(), c.sent.Load()
				shown.PrefixesReceived, shown.UpdatesMalformed = c.prefixes.Load(), c.malformed.Load()
			}
			all = append(all, shown)
		}
		return nil
	})
	slices.SortFunc(all, func(a, b Peer) int { return cmp.Compare(a.Peer.String(), b.Peer.String()) })
	return all, err
}
