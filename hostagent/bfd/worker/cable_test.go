package worker_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"lastmile/hostagent/bfd"
	"lastmile/hostagent/bfd/worker"
	"lastmile/lab/netns"
)

// cable is a server and a leaf, each in a namespace, and the link between them.
type cable struct {
	server, leaf         *netns.NS
	serverAddr, leafAddr netip.Addr // link-local, with the link as its zone
}

func newCable(t testing.TB) *cable {
	t.Helper()
	c := &cable{
		server: netns.ForTest(t, "server"), leaf: netns.ForTest(t, "leaf"),
		serverAddr: netip.MustParseAddr("fe80::a%eth0"), leafAddr: netip.MustParseAddr("fe80::1%swp1"),
	}
	c.join(t)
	return c
}

// join plugs the cable in.
func (c *cable) join(t testing.TB) {
	t.Helper()
	for _, ns := range []*netns.NS{c.server, c.leaf} {
		for _, which := range []string{"all", "default"} {
			if err := ns.Sysctl("net.ipv6.conf."+which+".addr_gen_mode", "1"); err != nil {
				t.Fatal(err) // no address but ours
			}
		}
	}
	if err := netns.Veth(c.server, "eth0", c.leaf, "swp1"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.server.AddAddress("eth0", "fe80::a/64"), c.leaf.AddAddress("swp1", "fe80::1/64")); err != nil {
		t.Fatal(err)
	}
}

// peer is the leaf, as the server names it.
func (c *cable) peer() netip.Addr { return c.leafAddr.WithZone("eth0") }

// multiplier lets FRR and BIRD, which wait for the processor like everybody, miss
// a few packets on a busy machine. It is theirs too where it matters.
const multiplier = 10

func timers(interval time.Duration) bfd.Timers {
	return bfd.Timers{Transmit: interval, Receive: interval, Multiplier: multiplier}
}

// remote is what the peer said, as it is configured.
func remote(s worker.Session) bfd.Timers {
	return bfd.Timers{Transmit: s.Remote.DesiredMinTx, Receive: s.Remote.RequiredMinRx, Multiplier: s.Remote.Multiplier}
}
