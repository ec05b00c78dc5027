package bgp_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"sort"
	"testing"
	"time"

	"github.com/mdlayher/ndp"

	"lastmile/hostagent/bgp"
	"lastmile/lab/frr"
	"lastmile/lab/netns"
)

func sendRA(t testing.TB, ns *netns.NS, link string) {
	t.Helper()
	err := ns.Do(func() error {
		ifi, err := net.InterfaceByName(link)
		if err != nil {
			return err
		}
		c, _, err := ndp.Listen(ifi, ndp.LinkLocal)
		if err != nil {
			return err
		}
		defer c.Close()
		return c.WriteTo(&ndp.RouterAdvertisement{Options: []ndp.Option{
			&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: ifi.HardwareAddr},
		}}, nil, netip.IPv6LinkLocalAllNodes())
	})
	if err != nil {
		t.Fatal(err)
	}
}

func linkLocal(t testing.TB, ns *netns.NS, link string) netip.Addr {
	t.Helper()
	var found netip.Addr
	err := ns.Do(func() error {
		ifi, err := net.InterfaceByName(link)
		if err != nil {
			return err
		}
		addrs, err := ifi.Addrs()
		for _, a := range addrs {
			p, _ := netip.ParsePrefix(a.String())
			if p.Addr().IsLinkLocalUnicast() && p.Addr().Is6() {
				found = p.Addr()
			}
		}
		return err
	})
	if err != nil || !found.IsValid() {
		t.Fatalf("no link-local on %s: %v", link, err)
	}
	return found
}

func TestMeasureBringup(t *testing.T) {
	mode := os.Getenv("MEASURE")
	if mode == "" {
		t.Skip()
	}
	var times []time.Duration
	for i := range 20 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			host, leaf := netns.ForTest(t, "h"), netns.ForTest(t, "l")
			for _, n := range []*netns.NS{host, leaf} {
				n.Sysctl("net.ipv6.conf.default.accept_dad", "0")
			}
			if err := netns.Veth(host, "eth0", leaf, "swp1"); err != nil {
				t.Fatal(err)
			}
			neigh := ""
			if mode == "unnumbered" {
				neigh = " neighbor swp1 interface remote-as external\n"
			}
			r := frr.ForTest(t, frr.Config{NS: leaf,
				Zebra: "interface swp1\n no ipv6 nd suppress-ra\n ipv6 nd ra-interval 30\n",
				BGP: "router bgp 65001\n bgp router-id 10.255.255.1\n no bgp ebgp-requires-policy\n" + neigh +
					" address-family ipv4 unicast\n  redistribute connected\n"})
			time.Sleep(1500 * time.Millisecond)
			ll := linkLocal(t, leaf, "swp1").WithZone("eth0")
			me := linkLocal(t, host, "eth0")
			var from time.Time
			s := startSpeaker(t, host, speakerConfig{AS: 64512, RouterID: netip.MustParseAddr("10.0.1.1")})
			if mode == "unnumbered" {
				from = time.Now()
				s.add(ll)
				sendRA(t, host, "eth0")
			} else {
				s.add(ll)
				time.Sleep(2000*time.Millisecond + time.Duration(i)*100*time.Millisecond)
				from = time.Now()
				err := r.Configure(t.Context(), "router bgp 65001",
					fmt.Sprintf("neighbor %s remote-as 64512", me),
					fmt.Sprintf("neighbor %s interface swp1", me),
					fmt.Sprintf("neighbor %s capability extended-nexthop", me))
				if err != nil {
					t.Fatal(err)
				}
				t.Log("configure took", time.Since(from))
			}
			up := s.awaitState(ll, bgp.Established)
			times = append(times, up.At.Sub(from))
		})
	}
	sort.Slice(times, func(i, j int) bool { return times[i] < times[j] })
	t.Log(mode, "median", times[len(times)/2], "worst", times[len(times)-1], times)
}
