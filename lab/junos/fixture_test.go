package junos_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/scrapli/scrapligo/driver/netconf"
	"github.com/scrapli/scrapligo/driver/options"
	"golang.org/x/crypto/ssh"

	"lastmile/lab/frr"
	"lastmile/lab/junos"
	"lastmile/lab/sshkey"
)

// static is the configuration that the tests' leaf boots with.
const static = `
set system host-name leaf1
set system services netconf ssh
set system configuration-database ephemeral instance lastmile
set routing-options router-id 10.255.255.1
set routing-options autonomous-system 65001
set policy-options policy-statement own term lo from protocol direct
set policy-options policy-statement own term lo from route-filter 10.255.255.1/32 exact
set policy-options policy-statement own term lo then accept
set protocols bgp group servers type external
set protocols bgp group servers peer-as 64512
set protocols bgp group servers advertise-peer-as
set protocols bgp group servers multipath multiple-as
set protocols bgp group servers family inet unicast extended-nexthop
set protocols bgp group servers family inet6 unicast
set protocols bgp group servers export own
`

// vtysh adapts frr.Router.
type vtysh struct{ *frr.Router }

func (v vtysh) Show(ctx context.Context, command string) ([]byte, error) {
	return v.Vtysh(ctx, command)
}

func (v vtysh) Configure(ctx context.Context, lines []string) error {
	return v.Router.Configure(ctx, lines...)
}

// here is the namespace that the test runs in.
type here struct{}

func (here) Do(fn func() error) error { return fn() }

// deaf is a router that takes every configuration and shows nothing.
type deaf struct{}

func (deaf) Show(context.Context, string) ([]byte, error)  { return []byte("{}"), nil }
func (deaf) Configure(_ context.Context, _ []string) error { return nil }

// config is a device without a router, in the test's own namespace.
func config() junos.Config {
	return junos.Config{
		NS: here{}, Router: deaf{}, HostName: "leaf1", Model: "qfx5120-48y-8c", Version: "21.4R3.15",
		Static: static, Interfaces: map[string]string{"ge-0/0/1": "ge-0-0-1"},
		Users: []junos.User{{Name: "lab", Password: "lab123"}, {Name: "looker", Password: "lab123", ReadOnly: true}},
	}
}

// serve starts a device and returns where it listens.
func serve(t testing.TB, cfg junos.Config) (*junos.Device, string) {
	t.Helper()
	cfg.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	d, err := junos.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return d, l.Addr().String()
}

// dial opens a session with a client that is not ours.
func dial(t testing.TB, address string) *netconf.Driver {
	t.Helper()
	return dialAs(t, address, "lab", "1.0")
}

func dialAs(t testing.TB, address, user, version string) *netconf.Driver {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	number := 0
	fmt.Sscan(port, &number)
	d, err := netconf.NewDriver(host, options.WithPort(number),
		options.WithAuthUsername(user), options.WithAuthPassword("lab123"), options.WithAuthNoStrictKey(),
		options.WithTransportType("standard"), options.WithNetconfPreferredVersion(version),
		options.WithTimeoutOps(20*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Open(); err != nil {
		t.Fatalf("opening a session: %v", err)
	}
	closeAtEnd(t, d)
	return d
}

// closeAtEnd closes a driver of scrapligo's, whose Close never returns when the device has gone first.
func closeAtEnd(t testing.TB, d io.Closer) {
	t.Cleanup(func() {
		closed := make(chan struct{})
		go func() { d.Close(); close(closed) }()
		select {
		case <-closed:
		case <-time.After(time.Second):
		}
	})
}

// rpc sends one request and returns the reply's text.
func rpc(t testing.TB, d *netconf.Driver, request string) string {
	t.Helper()
	r, err := d.RPC(withFilter(request))
	if err != nil {
		t.Fatalf("%s: %v", request, err)
	}
	return r.Result
}

// mustHold sends a request whose reply must contain every one of the parts.
func mustHold(t testing.TB, d *netconf.Driver, request string, parts ...string) string {
	t.Helper()
	reply := rpc(t, d, request)
	for _, part := range parts {
		if !strings.Contains(reply, part) {
			t.Errorf("%s:\n%s\nwant %q in it", request, reply, part)
		}
	}
	return reply
}

// eventually polls until holds does.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in 30 s: %s", what)
		}
	}
}

func newKey(t testing.TB) (ssh.Signer, ssh.PublicKey) {
	t.Helper()
	key := sshkey.ForTest(t, sshkey.Ed25519, "")
	return key.Signer, key.PublicKey()
}
