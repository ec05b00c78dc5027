package nd_test

import (
	"bytes"
	"context"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/ndp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv6"

	"lastmile/hostagent/nd"
	"lastmile/lab/frr"
	"lastmile/lab/netns"
)

const patience = 20 * time.Second

// link is a server's eth0 and the leaf's swp1 at its other end.
type link struct {
	server, leaf *netns.NS
}

func newLink(t *testing.T) link {
	t.Helper()
	l := link{netns.ForTest(t, "server"), netns.ForTest(t, "leaf")}
	if err := l.leaf.Sysctl("net.ipv6.conf.all.forwarding", "1"); err != nil {
		t.Fatal(err)
	}
	// The leaf may send at once.
	if err := l.leaf.Sysctl("net.ipv6.conf.default.accept_dad", "0"); err != nil {
		t.Fatal(err)
	}
	if err := netns.Veth(l.server, "eth0", l.leaf, "swp1"); err != nil {
		t.Fatal(err)
	}
	return l
}

// speak runs a Speaker on the server until the test ends, and returns its news
// and its counters.
func (l link) speak(t *testing.T) (<-chan nd.Heard, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewRegistry()
	s := nd.New(nd.Config{Link: "eth0", Metrics: nd.NewMetrics(reg)})
	ctx, cancel := context.WithCancel(context.Background())
	news, ended := make(chan nd.Heard), make(chan error, 1)
	go func() {
		ended <- l.server.Do(func() error { return s.Run(ctx, news) })
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return news, reg
}

// awaitRouter waits until the leaf's kernel knows a router at its end of the
// link, which takes an advertisement.
func (l link) awaitRouter(t *testing.T) {
	t.Helper()
	deadline := time.After(patience)
	for {
		out, err := l.leaf.Run(t.Context(), "ip", "-6", "neigh", "show", "dev", "swp1")
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(out), " router ") {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("no router in the leaf's neighbour table for %v: %s", patience, out)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func hear(t *testing.T, news <-chan nd.Heard) nd.Heard {
	t.Helper()
	select {
	case h := <-news:
		return h
	case <-time.After(patience):
		t.Fatalf("heard nothing for %v", patience)
		return nd.Heard{}
	}
}

// The address is tentative at first: the link has just been made.
func TestLeafSeesARouterAndNoDefaultRouter(t *testing.T) {
	l := newLink(t)
	l.speak(t)
	l.awaitRouter(t)
	out, err := l.leaf.Run(t.Context(), "ip", "-6", "route", "show", "default")
	if err != nil || len(out) != 0 {
		t.Errorf("the leaf's default route: %s (%v)", out, err)
	}
	out, err = l.leaf.Run(t.Context(), "rdisc6", "-1", "-w", "5000", "swp1")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Stateful address conf.    :           No",
		"Router lifetime           :            0",
		"Source link-layer address: ",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("rdisc6 does not say %q:\n%s", want, out)
		}
	}
	if strings.Contains(string(out), "Prefix") {
		t.Errorf("rdisc6 sees a prefix:\n%s", out)
	}
}

func TestFRRLeafIsHeard(t *testing.T) {
	l := newLink(t)
	frr.ForTest(t, frr.Config{
		NS:    l.leaf,
		Zebra: "interface swp1\n no ipv6 nd suppress-ra\n ipv6 nd ra-interval 1800\n",
	})
	news, _ := l.speak(t)
	h := hear(t, news)
	out, err := l.leaf.Run(t.Context(), "ip", "-j", "addr", "show", "dev", "swp1")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{h.Router.WithZone("").String(), h.MAC.String()} {
		if !strings.Contains(string(out), `"`+want+`"`) {
			t.Errorf("heard %+v, want an address and a MAC of %s", h, out)
		}
	}
	if h.Link != "eth0" || h.Router.Zone() != "eth0" || h.Lifetime != 5400*time.Second {
		t.Errorf("heard %+v, want link eth0 and a lifetime of three times FRR's interval", h)
	}
}

// sender is a raw ICMPv6 socket on the leaf's end of the link.
type sender struct {
	t    *testing.T
	conn *ipv6.PacketConn
	swp1 *net.Interface
}

func (l link) sender(t *testing.T) sender {
	t.Helper()
	s := sender{t: t}
	err := l.leaf.Do(func() (err error) {
		if s.swp1, err = net.InterfaceByName("swp1"); err != nil {
			return err
		}
		c, err := icmp.ListenPacket("ip6:ipv6-icmp", "::")
		if err != nil {
			return err
		}
		s.conn = c.IPv6PacketConn()
		return s.conn.SetChecksum(true, 2)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.conn.Close() })
	return s
}

func (s sender) send(body []byte, hopLimit int) {
	s.t.Helper()
	if err := s.trySend(body, hopLimit); err != nil {
		s.t.Fatal(err)
	}
}

func (s sender) trySend(body []byte, hopLimit int) error {
	cm := &ipv6.ControlMessage{HopLimit: hopLimit, IfIndex: s.swp1.Index}
	to := &net.IPAddr{IP: net.ParseIP("ff02::1"), Zone: strconv.Itoa(s.swp1.Index)}
	_, err := s.conn.WriteTo(body, cm, to)
	return err
}

// advertising is a router advertisement without options.
func advertising(t *testing.T, lifetime time.Duration) []byte {
	t.Helper()
	body, err := ndp.MarshalMessage(&ndp.RouterAdvertisement{RouterLifetime: lifetime})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestMalformedAdvertisementsAreDroppedAndCounted(t *testing.T) {
	l := newLink(t)
	news, reg := l.speak(t)
	l.awaitRouter(t) // the speaker's socket is open
	good := advertising(t, 9*time.Second)
	code := bytes.Clone(good)
	code[1] = 1
	s := l.sender(t)
	s.send(good, 64)
	s.send(code, 255)
	s.send(good[:12], 255)
	s.send(append(bytes.Clone(good), 1, 0, 0, 0, 0, 0, 0, 0), 255)
	s.send(good, 255)
	if h := hear(t, news); h.Lifetime != 9*time.Second || h.MAC != nil {
		t.Errorf("heard %+v, want the good one", h)
	}
	want := `
# HELP hostagent_nd_dropped_total Router discovery messages dropped as RFC 4861 section 6.1 demands, by link and reason.
# TYPE hostagent_nd_dropped_total counter
hostagent_nd_dropped_total{link="eth0",reason="code"} 1
hostagent_nd_dropped_total{link="eth0",reason="hop_limit"} 1
hostagent_nd_dropped_total{link="eth0",reason="length"} 1
hostagent_nd_dropped_total{link="eth0",reason="option"} 1
hostagent_nd_dropped_total{link="eth0",reason="source"} 0
hostagent_nd_dropped_total{link="eth0",reason="type"} 0
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "hostagent_nd_dropped_total"); err != nil {
		t.Error(err)
	}
}

// TestOtherLinksAreNotHeard starts a speaker many times while another link is
// flooded: a raw socket hears all links until it is bound to one.
func TestOtherLinksAreNotHeard(t *testing.T) {
	l := newLink(t)
	other := link{l.server, netns.ForTest(t, "other")}
	if err := other.leaf.Sysctl("net.ipv6.conf.default.accept_dad", "0"); err != nil {
		t.Fatal(err)
	}
	if err := netns.Veth(l.server, "eth1", other.leaf, "swp1"); err != nil {
		t.Fatal(err)
	}
	theirs, ours := other.sender(t), l.sender(t)
	flooding, stop := context.WithCancel(context.Background())
	flooded := make(chan struct{})
	body := advertising(t, 7*time.Second)
	go func() {
		defer close(flooded)
		for flooding.Err() == nil {
			theirs.trySend(body, 255)
		}
	}()
	defer func() { stop(); <-flooded }()
	for range 30 {
		t.Run("start", func(t *testing.T) {
			news, _ := l.speak(t)
			for deadline := time.After(patience); ; {
				// It fails until the leaf has its address.
				_ = ours.trySend(advertising(t, 9*time.Second), 255)
				select {
				case h := <-news:
					if h.Lifetime != 9*time.Second {
						t.Errorf("heard %+v, which came in on eth1", h)
					}
					return
				case <-deadline:
					t.Fatal("heard nothing")
				case <-time.After(5 * time.Millisecond):
				}
			}
		})
	}
}

func TestRunWaitsForAnAddress(t *testing.T) {
	l := newLink(t)
	if _, err := l.server.Run(t.Context(), "ip", "-6", "addr", "flush", "dev", "eth0"); err != nil {
		t.Fatal(err)
	}
	l.speak(t)
	if err := l.server.AddAddress("eth0", "fe80::5/64"); err != nil {
		t.Fatal(err)
	}
	l.awaitRouter(t)
	out, err := l.leaf.Run(t.Context(), "ip", "-6", "neigh", "show", "dev", "swp1")
	if err != nil || !strings.HasPrefix(string(out), "fe80::5 ") {
		t.Errorf("the leaf's neighbours: %s (%v), want fe80::5", out, err)
	}
}

func TestRunSaysThatTheLinkIsMissing(t *testing.T) {
	ns := netns.ForTest(t, "empty")
	err := ns.Do(func() error {
		return nd.New(nd.Config{Link: "eth7"}).Run(t.Context(), nil)
	})
	if err == nil || !strings.Contains(err.Error(), "eth7") {
		t.Errorf("Run on a link that is not there: %v", err)
	}
}
