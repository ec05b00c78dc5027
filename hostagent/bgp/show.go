package bgp

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/osrg/gobgp/v4/api"
)

// Peer is what `show neighbors` says of one peer.
type Peer struct {
	PeerState
	// MessagesReceived and MessagesSent count BGP messages of every type on the
	// session's connection.
	MessagesReceived, MessagesSent uint64
	// PrefixesReceived counts the routes that the peer announces now, of both
	// address families.
	PrefixesReceived uint64
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
		prefixes, err := s.gobgp.prefixes()
		if err != nil {
			return fmt.Errorf("listing peers: %w", err)
		}
		for _, p := range s.peers {
			shown := Peer{
				PeerState:          p.PeerState,
				ExtendedNextHop:    p.extendedNextHop,
				ConnectionsRefused: p.strangers.Load(),
			}
			if c := p.session(); c != nil {
				shown.MessagesReceived, shown.MessagesSent = c.received.Load(), c.sent.Load()
				shown.PrefixesReceived = prefixes[c.machine]
			}
			all = append(all, shown)
		}
		return nil
	})
	slices.SortFunc(all, func(a, b Peer) int { return cmp.Compare(a.Peer.String(), b.Peer.String()) })
	return all, err
}

// prefixes returns how many each session's peer announces.
func (g *gobgp) prefixes() (map[netip.Addr]uint64, error) {
	all := make(map[netip.Addr]uint64)
	err := g.server.ListPeer(context.Background(), &api.ListPeerRequest{}, func(p *api.Peer) {
		addr, err := netip.ParseAddr(p.GetState().GetNeighborAddress())
		if err != nil {
			return // not one that we added
		}
		for _, family := range p.GetAfiSafis() {
			all[addr] += family.GetState().GetReceived()
		}
	})
	return all, err
}
