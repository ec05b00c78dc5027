package bgp

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/osrg/gobgp/v4/api"
)

// A machine is the connection to a state machine of GoBGP's that lives for one
// session. So none is ever met in Idle, where it would refuse connections for
// five seconds after a session, and no route of one session is taken for one of
// the next.
//
// GoBGP tells its peers by their source address. Each session has one of its
// own out of 2^23 that nobody else can know, and the machine is there only from
// just before we connect. That it sends its OPEN on our connection proves that
// it has taken no other, as it takes but one. So a local process can get
// between GoBGP and us neither by guessing nor by being faster.
type machine struct {
	tcp *net.TCPConn
	*framer
}

// attachTimeout is for a GoBGP that does not answer.
const attachTimeout = 2 * time.Second

// newMachineAddress returns a loopback address that nobody can guess.
func newMachineAddress() netip.Addr {
	var r [3]byte
	rand.Read(r[:])
	return netip.AddrFrom4([4]byte{127, r[0] | 1<<7, r[1], r[2]}) // not among those that are in common use
}

// attach makes GoBGP expect the peer whose OPEN is theirs, and connects to it.
func (g *gobgp) attach(ctx context.Context, addr netip.Addr, theirs open) (_ *machine, err error) {
	if err := g.addPeer(addr, theirs.as); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			g.detach(addr)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, attachTimeout)
	defer cancel()
	hello, err := theirs.message()
	if err != nil {
		return nil, err
	}
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)), KeepAlive: -1}
	for {
		conn, err := d.DialContext(ctx, "tcp4", g.at.String())
		if err != nil {
			return nil, err
		}
		m := &machine{tcp: conn.(*net.TCPConn), framer: newFramer(conn)}
		if err = m.greet(ctx, hello); err == nil {
			return m, nil
		}
		m.tcp.Close()
		if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
			return nil, err
		}
		// It is still on its way from Idle to Active.
	}
}

// greet takes the machine's OPEN, which says what ours to the peer has said,
// and gives it the peer's.
func (m *machine) greet(ctx context.Context, hello message) error {
	stop := context.AfterFunc(ctx, func() { m.tcp.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := m.next(); err != nil {
		return err
	}
	_, err := m.tcp.Write(hello)
	return err
}

func (g *gobgp) addPeer(addr netip.Addr, as uint32) error {
	family := func(afi api.Family_Afi) *api.AfiSafi {
		return &api.AfiSafi{Config: &api.AfiSafiConfig{
			Family:  &api.Family{Afi: afi, Safi: api.Family_SAFI_UNICAST},
			Enabled: true,
		}}
	}
	hold := uint64(g.hold / time.Second)
	return g.server.AddPeer(context.Background(), &api.AddPeerRequest{Peer: &api.Peer{
		Conf:      &api.PeerConf{NeighborAddress: addr.String(), PeerAsn: as},
		Timers:    &api.Timers{Config: &api.TimersConfig{HoldTime: hold, KeepaliveInterval: hold / 3}},
		Transport: &api.Transport{PassiveMode: true},
		// For the End-of-RIB markers. What else there is to it is up to us.
		GracefulRestart: &api.GracefulRestart{Enabled: true, HelperOnly: true},
		AfiSafis:        []*api.AfiSafi{family(api.Family_AFI_IP), family(api.Family_AFI_IP6)},
	}})
}

// detach ends what attach has begun.
func (g *gobgp) detach(addr netip.Addr) {
	// The error would be that it is not there.
	_ = g.server.DeletePeer(context.Background(), &api.DeletePeerRequest{Address: addr.String()})
}
