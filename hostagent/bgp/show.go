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
	// MessagesReceived and MessagesSent count BGP messages of every type since
	// the last session ended.
	MessagesReceived, MessagesSent uint64
	// PrefixesReceived counts the routes that the peer announces now, of both
	// address families.
	PrefixesReceived uint64
	// ExtendedNextHop says that the session carries IPv4 routes with IPv6 next
	// hops (RFC 8950).
	ExtendedNextHop bool
}

// Peers lists the peers, sorted by address and link.
func (s *Speaker) Peers(ctx context.Context) ([]Peer, error) {
	var all []Peer
	err := s.ask(ctx, func() error {
		counters := make(map[netip.Addr]Peer)
		if err := s.gobgp.count(counters); err != nil {
			return fmt.Errorf("listing peers: %w", err)
		}
		for addr, p := range s.peers {
			shown := counters[addr]
			shown.PeerState, shown.ExtendedNextHop = p.PeerState, p.extendedNextHop
			all = append(all, shown)
		}
		return nil
	})
	slices.SortFunc(all, func(a, b Peer) int { return cmp.Compare(a.Peer.String(), b.Peer.String()) })
	return all, err
}

// count fills in the counters of every peer that GoBGP has.
func (g *gobgp) count(peers map[netip.Addr]Peer) error {
	return g.server.ListPeer(context.Background(), &api.ListPeerRequest{}, func(p *api.Peer) {
		addr, err := netip.ParseAddr(p.GetState().GetNeighborAddress())
		if err != nil {
			return // not one that we added
		}
		messages := p.GetState().GetMessages()
		shown := Peer{
			MessagesReceived: messages.GetReceived().GetTotal(),
			MessagesSent:     messages.GetSent().GetTotal(),
		}
		for _, family := range p.GetAfiSafis() {
			shown.PrefixesReceived += family.GetState().GetReceived()
		}
		peers[addr] = shown
	})
}
