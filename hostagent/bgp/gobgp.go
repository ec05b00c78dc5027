package bgp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"syscall"
	"time"

	"github.com/osrg/gobgp/v4/api"
	"github.com/osrg/gobgp/v4/pkg/apiutil"
	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
	"github.com/osrg/gobgp/v4/pkg/server"
)

// gobgp is a running GoBGP that knows our configuration: what is set here is
// all that is ever asked of it.
type gobgp struct {
	server *server.BgpServer
	hold   time.Duration
}

// startGoBGP starts a server that listens and has no peer yet.
func startGoBGP(cfg Config) (*gobgp, error) {
	ctx := context.Background() // nothing here waits
	logger := slog.New(demoted{cfg.Log.Handler()})
	g := &gobgp{server: server.NewBgpServer(server.LoggerOption(logger, nil)), hold: cfg.HoldTime}
	go g.server.Serve()
	err := g.server.StartBgp(ctx, &api.StartBgpRequest{Global: &api.Global{
		Asn:             cfg.AS,
		RouterId:        cfg.RouterID.String(),
		ListenPort:      int32(cfg.ListenPort),
		ListenAddresses: []string{"::"},
		Families:        []uint32{0, 1}, // oc.AfiSafiTypeToIntMap: IPv4 and IPv6 unicast
	}})
	if err != nil {
		err = listenError(cfg.ListenPort, err)
	} else {
		err = g.localOnly(ctx)
	}
	if err != nil {
		g.stop()
		return nil, err
	}
	return g, nil
}

func listenError(port uint16, err error) error {
	hint := ""
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		hint = " (another BGP daemon, such as FRR or BIRD, has the port in this network namespace)"
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		hint = " (the capability CAP_NET_BIND_SERVICE is needed)"
	}
	return fmt.Errorf("starting BGP on TCP port %d: %w%s", port, err, hint)
}

// localOnly makes the table hold, and the peers hear, nothing but what we
// announce ourselves. Received routes are read before this policy.
func (g *gobgp) localOnly(ctx context.Context) error {
	local := &api.Policy{Name: "local-only", Statements: []*api.Statement{{
		Name:       "local-only",
		Conditions: &api.Conditions{RouteType: api.Conditions_ROUTE_TYPE_LOCAL},
		Actions:    &api.Actions{RouteAction: api.RouteAction_ROUTE_ACTION_ACCEPT},
	}}}
	if err := g.server.AddPolicy(ctx, &api.AddPolicyRequest{Policy: local}); err != nil {
		return fmt.Errorf("adding policy %s: %w", local.Name, err)
	}
	for _, direction := range []api.PolicyDirection{
		api.PolicyDirection_POLICY_DIRECTION_IMPORT,
		api.PolicyDirection_POLICY_DIRECTION_EXPORT,
	} {
		err := g.server.SetPolicyAssignment(ctx, &api.SetPolicyAssignmentRequest{
			Assignment: &api.PolicyAssignment{
				Name:          "global",
				Direction:     direction,
				Policies:      []*api.Policy{{Name: local.Name}},
				DefaultAction: api.RouteAction_ROUTE_ACTION_REJECT,
			},
		})
		if err != nil {
			return fmt.Errorf("assigning policy %s: %w", local.Name, err)
		}
	}
	return nil
}

// stop sends every peer a Cease and waits until all of GoBGP has ended.
func (g *gobgp) stop() { g.server.Stop() }

// endOfRIB is the End-of-RIB marker of one family.
type endOfRIB struct {
	peer   netip.Addr
	family bgp.Family
}

// watch hands every transition, Update and endOfRIB to emit, one at a time and
// in order, until ctx ends. GoBGP queues without bound, so that emit may block.
func (g *gobgp) watch(ctx context.Context, emit func(any)) error {
	return g.server.WatchEvent(ctx, server.WatchEventMessageCallbacks{
		OnPeerUpdate: func(ev *apiutil.WatchEventMessage_PeerEvent, at time.Time) {
			if t, ok := stateOf(ev); ok {
				t.Since = at
				emit(t)
			}
		},
		OnPathUpdate: func(paths []*apiutil.Path, _ time.Time) { emit(update(paths)) },
		OnPathEor: func(p *apiutil.Path, _ time.Time) {
			emit(endOfRIB{peer: p.PeerAddress, family: p.Family})
		},
	}, server.WatchPeer(), server.WatchUpdate(false, "", ""), server.WatchEor(false))
}

func (g *gobgp) addPeer(peer netip.Addr) error {
	family := func(afi api.Family_Afi) *api.AfiSafi {
		return &api.AfiSafi{Config: &api.AfiSafiConfig{
			Family:  &api.Family{Afi: afi, Safi: api.Family_SAFI_UNICAST},
			Enabled: true,
		}}
	}
	hold := uint64(g.hold / time.Second)
	return g.server.AddPeer(context.Background(), &api.AddPeerRequest{Peer: &api.Peer{
		Conf: &api.PeerConf{
			NeighborAddress: peer.String(),
			// The most it can be told: a path that GoBGP finds looped it
			// drops without a word, and the older path would stay with us.
			AllowOwnAsn: 255,
		},
		Timers: &api.Timers{Config: &api.TimersConfig{
			ConnectRetry:      1,
			HoldTime:          hold,
			KeepaliveInterval: hold / 3,
		}},
		// Whichever link-local address the kernel chooses is the next hop that
		// we announce.
		Transport: &api.Transport{LocalAddress: "::"},
		AfiSafis:  []*api.AfiSafi{family(api.Family_AFI_IP), family(api.Family_AFI_IP6)},
	}})
}

// deletePeer ends the session with a Cease, without waiting for it to be sent.
func (g *gobgp) deletePeer(peer netip.Addr) error {
	return g.server.DeletePeer(context.Background(), &api.DeletePeerRequest{Address: peer.String()})
}

func (g *gobgp) announce(prefix netip.Prefix) error {
	path, err := localPath(prefix)
	if err == nil {
		_, err = g.server.AddPath(apiutil.AddPathRequest{Paths: []*apiutil.Path{path}})
	}
	return err
}

func (g *gobgp) withdraw(prefix netip.Prefix) error {
	path, err := localPath(prefix)
	if err == nil {
		err = g.server.DeletePath(apiutil.DeletePathRequest{Paths: []*apiutil.Path{path}})
	}
	return err
}

// localPath is a route of our own. Its unspecified next hop becomes, on each
// session, the session's own link-local address: 16 bytes, as Junos wants them.
func localPath(prefix netip.Prefix) (*apiutil.Path, error) {
	nlri, err := bgp.NewIPAddrPrefix(prefix)
	if err != nil {
		return nil, err
	}
	path := &apiutil.Path{
		Family: bgp.RF_IPv4_UC,
		Nlri:   nlri,
		Attrs:  []bgp.PathAttributeInterface{bgp.NewPathAttributeOrigin(bgp.BGP_ORIGIN_ATTR_TYPE_IGP)},
	}
	var nextHop bgp.PathAttributeInterface
	if prefix.Addr().Is4() {
		nextHop, err = bgp.NewPathAttributeNextHop(netip.IPv4Unspecified())
	} else {
		path.Family = bgp.RF_IPv6_UC
		nextHop, err = bgp.NewPathAttributeMpReachNLRI(path.Family,
			[]bgp.PathNLRI{{NLRI: nlri}}, netip.IPv6Unspecified())
	}
	path.Attrs = append(path.Attrs, nextHop)
	return path, err
}

// demoted passes GoBGP's log lines on one level lower: its notices are our
// details, and its debug lines, one a message, are nobody's.
type demoted struct{ slog.Handler }

const oneLevel = slog.LevelInfo - slog.LevelDebug

func (h demoted) Enabled(ctx context.Context, l slog.Level) bool {
	return l > slog.LevelDebug && h.Handler.Enabled(ctx, l-oneLevel)
}

func (h demoted) Handle(ctx context.Context, r slog.Record) error {
	r.Level -= oneLevel
	return h.Handler.Handle(ctx, r)
}

func (h demoted) WithAttrs(attrs []slog.Attr) slog.Handler {
	return demoted{h.Handler.WithAttrs(attrs)}
}

func (h demoted) WithGroup(name string) slog.Handler { return demoted{h.Handler.WithGroup(name)} }
