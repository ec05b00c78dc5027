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
	if err := g.listen(cfg); err != nil {
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

// stop sends every peer a Cease and waits until all of GoBGP has ended.
func (g *gobgp) stop() { g.server.Stop() }

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
