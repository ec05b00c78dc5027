package bgp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
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
	at     netip.AddrPort // where it listens
}

// startGoBGP starts a server that listens on a loopback address, where other
// machines cannot reach it, and has no peer yet.
func startGoBGP(cfg Config) (*gobgp, error) {
	logger := slog.New(demoted{cfg.Log.Handler()})
	g := &gobgp{server: server.NewBgpServer(server.LoggerOption(logger, nil)), hold: cfg.HoldTime}
	go g.server.Serve()
	err := g.listen(cfg)
	if err == nil {
		err = g.localOnly(context.Background()) // nothing waits for its end
	}
	if err != nil {
		g.stop()
		return nil, fmt.Errorf("starting GoBGP: %w", err)
	}
	return g, nil
}

// listen starts BGP on a free port. GoBGP wants to be told which, so that
// another process may be faster.
func (g *gobgp) listen(cfg Config) error {
	for tries := 1; ; tries++ {
		free, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return err
		}
		g.at = free.Addr().(*net.TCPAddr).AddrPort()
		free.Close()
		err = g.server.StartBgp(context.Background(), &api.StartBgpRequest{Global: &api.Global{
			Asn:             cfg.AS,
			RouterId:        cfg.RouterID.String(),
			ListenPort:      int32(g.at.Port()),
			ListenAddresses: []string{g.at.Addr().String()},
			Families:        []uint32{0, 1}, // oc.AfiSafiTypeToIntMap: IPv4 and IPv6 unicast
		}})
		if !errors.Is(err, syscall.EADDRINUSE) || tries == 5 {
			return err
		}
	}
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

// endOfRIB is the End-of-RIB marker of one family in one session.
type endOfRIB struct {
	machine netip.Addr
	family  bgp.Family
}

// routes are what one UPDATE of one session says. The peer is not filled in.
type routes struct {
	machine netip.Addr
	Update
}

// watch hands all routes and endOfRIB to emit, one at a time and in order,
// until ctx ends. GoBGP queues without bound, so that emit may block.
func (g *gobgp) watch(ctx context.Context, emit emitter) error {
	return g.server.WatchEvent(ctx, server.WatchEventMessageCallbacks{
		OnPathUpdate: func(paths []*apiutil.Path, _ time.Time) {
			emit(ctx, routes{machine: paths[0].PeerAddress, Update: update(paths)})
		},
		OnPathEor: func(p *apiutil.Path, _ time.Time) {
			emit(ctx, endOfRIB{machine: p.PeerAddress, family: p.Family})
		},
	}, server.WatchUpdate(false, "", ""), server.WatchEor(false))
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

// localPath is a route of our own.
func localPath(prefix netip.Prefix) (*apiutil.Path, error) {
	nlri, err := bgp.NewIPAddrPrefix(prefix)
	if err != nil {
		return nil, err
	}
	family := bgp.RF_IPv4_UC
	if prefix.Addr().Is6() {
		family = bgp.RF_IPv6_UC
	}
	reach, err := bgp.NewPathAttributeMpReachNLRI(family, []bgp.PathNLRI{{NLRI: nlri}}, noNextHop)
	if err != nil {
		return nil, err
	}
	return &apiutil.Path{
		Family: family,
		Nlri:   nlri,
		Attrs: []bgp.PathAttributeInterface{
			bgp.NewPathAttributeOrigin(bgp.BGP_ORIGIN_ATTR_TYPE_IGP), reach,
		},
	}, nil
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
