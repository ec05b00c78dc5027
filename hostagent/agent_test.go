package hostagent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"lastmile/hostagent/bgp"
	"lastmile/hostagent/kernel"
)

func TestLossOfALink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		w.link("eth0", false, 1)
		w.expect(t, "lost eth0", "route 10.0.2.2/32 via fe80::2%eth1", "peer -fe80::1%eth0")
		w.expectDiscovery(t, "eth1")
		w.session(leaf1, bgp.Idle) // what BGP had to say of the old session
		w.announces(leaf1, 65001, "10.0.9.9/32")
		w.hear(leaf1) // as said before the loss
		w.expect(t)
		w.link("eth0", true, 1)
		w.hear(leaf1)
		w.expect(t, "discover eth0", "peer +fe80::1%eth0")
	})
}

func TestLossTooQuickToBeSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		w.link("eth0", true, 1)
		w.expect(t, "lost eth0", "route 10.0.2.2/32 via fe80::2%eth1", "peer -fe80::1%eth0", "discover eth0")
		w.expectDiscovery(t, "eth0", "eth1")
	})
}

func TestLinkIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		w.unplug("eth1")
		w.expect(t, "lost eth1", "route 10.0.2.2/32 via fe80::1%eth0", "peer -fe80::2%eth1")
		w.expectDiscovery(t, "eth0")
		if _, ok := w.uplinks["eth1"]; ok {
			t.Error("the agent still knows eth1")
		}
	})
}

func TestLossOfASession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		w.session(leaf1, bgp.Idle)
		w.expect(t, "lost fe80::1%eth0", "route 10.0.2.2/32 via fe80::2%eth1", "discover eth0")
		w.session(leaf2, bgp.Idle)
		w.expect(t, "lost fe80::2%eth1", "route 10.0.2.2/32 via", "discover eth1")
		w.announces(leaf1, 65001, "10.0.2.2/32") // late news of a session that is gone
		w.expect(t)
	})
}

func TestLeafInGracefulShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		w.onBGP(w.ctx, bgp.Update{Peer: netip.MustParseAddr(leaf1), Announced: []bgp.Route{{
			Prefix: netip.MustParsePrefix("10.0.2.2/32"),
			Attributes: &bgp.Attributes{
				ASPath: []uint32{65001}, Length: 1, LocalPref: 100, Communities: []uint32{0xffff0000},
			},
		}}})
		w.expect(t, "route 10.0.2.2/32 via fe80::2%eth1")
	})
}

func TestNewsThatChangeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		w.onKernel(w.ctx, w.state)
		w.hear(leaf1)
		w.session(leaf1, bgp.Established)
		w.announces(leaf1, 65001, "10.0.2.2/32")
		w.repair(w.ctx)
		w.expect(t)
	})
}

func TestAnotherRouterOnTheLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		time.Sleep(time.Minute)
		w.hear(other)
		w.expect(t) // a working session is never given up for it
		w.session(leaf1, bgp.Idle)
		w.expect(t, "lost fe80::1%eth0", "route 10.0.2.2/32 via fe80::2%eth1", "peer -fe80::1%eth0", "peer +fe80::bad%eth0", "discover eth0")
		w.hear(leaf1)
		w.expect(t) // it has just been given its chance
		time.Sleep(leafTrial)
		w.hear(leaf1)
		w.expect(t, "peer -fe80::bad%eth0", "peer +fe80::1%eth0")
	})
}

func TestFirstRouterComesBackByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		time.Sleep(time.Minute)
		w.hear(other)
		w.session(leaf1, bgp.Idle)
		w.expect(t, "lost fe80::1%eth0", "route 10.0.2.2/32 via fe80::2%eth1", "peer -fe80::1%eth0", "peer +fe80::bad%eth0", "discover eth0")
		w.repair(w.ctx)
		w.expect(t)
		time.Sleep(leafTrial)
		w.repair(w.ctx) // minutes may pass until leaf1 advertises again
		w.expect(t, "peer -fe80::bad%eth0", "peer +fe80::1%eth0")
		w.session(leaf1, bgp.Established)
		time.Sleep(time.Minute)
		w.session(leaf1, bgp.Idle) // and the other one has been silent since
		w.repair(w.ctx)
		w.expect(t, "lost fe80::1%eth0", "discover eth0")
	})
}

func TestManyInventedRouters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		for i := range 1000 {
			w.hear(fmt.Sprintf("fe80::bad:%x%%eth0", i))
		}
		w.expect(t)
		if n := strings.Count(w.log.String(), "fe80::bad"); n != 1 {
			t.Errorf("%d lines", n)
		}
		w.expectCount(t, "nd_other_router_advertisements_total", 1000)
	})
}

func TestAddressesOnLoopback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "eth*")
		w.addresses("10.0.1.1/32", "c0d1::1/128")
		w.expect(t, "source 10.0.1.1 c0d1::1", "announce 10.0.1.1/32 c0d1::1/128")
		w.addresses("10.0.1.1/32", "192.168.0.250/32", "c0d1::1/128")
		w.expect(t, "announce 10.0.1.1/32 192.168.0.250/32 c0d1::1/128")
		w.addresses("10.0.0.53/32", "10.0.1.1/32", "c0d1::1/128")
		w.expect(t, "announce 10.0.0.53/32 10.0.1.1/32 c0d1::1/128") // the router ID stays the source
		w.addresses("10.0.0.53/32", "c0d1::1/128")
		w.expect(t, "source 10.0.0.53 c0d1::1", "announce 10.0.0.53/32 c0d1::1/128")
		w.addresses("c0d1::1/128")
		w.expect(t, "source invalid IP c0d1::1", "announce c0d1::1/128")
		w.broken = true
		w.addresses("10.0.1.1/32")
		w.repair(w.ctx)
		w.expect(t)
		w.broken = false
		w.repair(w.ctx)
		w.expect(t, "source 10.0.1.1 invalid IP", "announce 10.0.1.1/32")
		w.repair(w.ctx)
		w.expect(t)
	})
}

func TestAnnouncedPrefixesAreNotRouted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		w.addresses("10.0.1.1/32", "10.0.2.2/32") // an anycast address that the other server has too
		w.expect(t, "source 10.0.1.1 invalid IP", "announce 10.0.1.1/32 10.0.2.2/32", "route 10.0.2.2/32 via")
		w.addresses("10.0.1.1/32")
		w.expect(t, "announce 10.0.1.1/32", "route 10.0.2.2/32 via fe80::1%eth0 fe80::2%eth1")
	})
}

func TestRefusedRoutesAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		w.broken = true
		w.session(leaf1, bgp.Idle)
		w.expect(t, "lost fe80::1%eth0", "discover eth0")
		for range 2 {
			if n := strings.Count(w.log.String(), "no buffer space"); n != 1 {
				t.Errorf("told %d times", n)
			}
			w.repair(w.ctx)
		}
		w.expectCount(t, "fib_errors_total", 3)
		w.broken = false
		w.repair(w.ctx)
		w.expect(t, "route 10.0.2.2/32 via fe80::2%eth1")
		w.repair(w.ctx)
		w.expect(t)
	})
}

func TestWhatOthersUndo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		w.repair(w.ctx)
		w.damaged, w.prepared = true, nil
		w.repair(w.ctx) // too early
		w.expect(t)
		time.Sleep(auditEvery)
		w.repair(w.ctx)
		w.expect(t, "route 10.0.2.2/32 via fe80::1%eth0 fe80::2%eth1")
		w.expectCount(t, "fib_repairs_total", 1)
		if diff := cmp.Diff([]string{"eth0 eth1"}, w.prepared); diff != "" {
			t.Errorf("parameters set for (-want +got):\n%s", diff)
		}
		w.damaged = true
		w.state.Removals++ // an address that is back already
		w.onKernel(w.ctx, w.state)
		w.expect(t, "route 10.0.2.2/32 via fe80::1%eth0 fe80::2%eth1")
	})
}

func TestWhatOthersUndoIsSeenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		tamper := func() {
			w.damaged = true
			w.state.Tampered++
			w.onKernel(w.ctx, w.state)
		}
		tamper()
		w.expect(t, "route 10.0.2.2/32 via fe80::1%eth0 fe80::2%eth1")
		tamper()
		w.repair(w.ctx)
		w.expect(t) // not more often than once a second, whatever they do
		time.Sleep(retryAfter)
		w.repair(w.ctx)
		w.expect(t, "route 10.0.2.2/32 via fe80::1%eth0 fe80::2%eth1")
	})
}

func TestErrorsOfManyRoutesAreBrief(t *testing.T) {
	var many []error
	for i := range 100_000 {
		many = append(many, fmt.Errorf("route %d: no", i))
	}
	for want, err := range map[string]error{
		"": nil, "route 0: no": many[0], "route 0: no\nroute 1: no": errors.Join(many[:2]...),
		"route 0: no; route 1: no; route 2: no; and 99997 more": errors.Join(many...),
	} {
		if got := brief(err); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "eth*", "ens1")
		expect := func(want string) {
			t.Helper()
			w.report()
			if err := w.Health(); want == "" && err != nil || want != "" && (err == nil || err.Error() != want) {
				t.Errorf("health: %v, want %q", err, want)
			}
		}
		w.onKernel(w.ctx, w.state)
		expect("no uplink has a session: ens1: interface does not exist")
		w.link("ens1", false, 0)
		w.link("eth0", true, 0)
		expect("no uplink has a session: ens1: down or no carrier; eth0: no leaf heard")
		w.hear(leaf1)
		w.session(leaf1, bgp.Active)
		expect("no uplink has a session: ens1: down or no carrier; eth0: Active")
		w.session(leaf1, bgp.Established)
		expect("")
	})
}

// The watcher and BGP close their news on their way out, at every stop and
// before they can say what went wrong.
func TestNewsThatEndAreNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "eth*")
		links, news := make(chan kernel.State), make(chan bgp.News)
		close(links)
		close(news)
		ctx, cancel := context.WithCancel(w.ctx)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			w.loop(ctx, sources{links: links, bgp: news})
		}()
		synctest.Wait()
		select {
		case <-ended:
			t.Error("the loop ended before its context")
		default:
		}
		cancel()
		<-ended
		if _, ok := w.awaitRouterID(ctx, links); ok {
			t.Error("a router ID from nowhere")
		}
	})
}

func TestGaugesFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := bothLeaves(t)
		w.report()
		w.link("eth0", false, 1)
		w.unplug("eth1")
		want := map[string]float64{"uplink_up eth0": 0, "bgp_session_up eth0": 0, "bgp_prefixes_received eth0": 0, "bgp_routes_kept eth0": 0}
		if diff := cmp.Diff(want, w.gauges(t)); diff != "" {
			t.Errorf("gauges (-want +got):\n%s", diff)
		}
	})
}

// Counters are there before what they count.
func TestCountersBeginAtZero(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "eth0", "ens1")
		w.link("eth0", true, 0)
		for name, want := range map[string]int{
			"hostagent_faults_total":                         2 * 4,
			"hostagent_fault_to_kernel_seconds":              4,
			"hostagent_bgp_session_transitions_total":        2 * 2,
			"hostagent_nd_other_router_advertisements_total": 2,
			"hostagent_bgp_announcements_rejected_total":     2,
		} {
			if n, err := testutil.GatherAndCount(w.registry, name); err != nil || n != want {
				t.Errorf("%s has %d series, want %d (%v)", name, n, want, err)
			}
		}
	})
}

func TestMissingUplinkIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "eth0", "ens1")
		w.link("eth0", true, 0)
		w.link("eth0", false, 1)
		w.addresses("10.0.1.1/32")
		if n := strings.Count(w.log.String(), "ens1"); n != 1 {
			t.Errorf("ens1 stands in %d lines:\n%s", n, w.log.String())
		}
	})
}

func TestKernelParametersOfNewLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "eth*")
		for _, name := range []string{"eth0", "eth1"} {
			w.state.Links[name] = kernel.Link{Name: name, Index: 2}
		}
		w.onKernel(w.ctx, w.state)
		w.link("eth0", true, 0)
		if len(w.prepared) != 1 {
			t.Errorf("parameters set %d times for links that are new together", len(w.prepared))
		}
		w.state.Links["eth1"] = kernel.Link{Name: "eth1", Index: 7} // made anew, unseen
		w.onKernel(w.ctx, w.state)
		if diff := cmp.Diff([]string{"eth0 eth1", "eth0 eth1"}, w.prepared); diff != "" {
			t.Errorf("parameters set for (-want +got):\n%s", diff)
		}
	})
}

func TestMetricsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/hostagent.md")
	if err != nil {
		t.Fatal(err)
	}
	descriptions := make(chan *prometheus.Desc, 100)
	reg := collecting{Registerer: prometheus.NewRegistry(), to: descriptions}
	New(DefaultConfig(), slog.New(slog.DiscardHandler), reg)
	close(descriptions)
	name := regexp.MustCompile(`fqName: "(\w+)".*variableLabels: \{([^}]*)\}`)
	count := 0
	for d := range descriptions {
		m := name.FindStringSubmatch(d.String())
		if m == nil {
			t.Fatalf("no name in %s", d)
		}
		want := "`" + m[1] + "{" + m[2] + "}`"
		if want = strings.Replace(want, "{}", "", 1); !strings.Contains(string(text), want) {
			t.Errorf("docs/hostagent.md does not explain %s", want)
		}
		count++
	}
	if count < 10 {
		t.Errorf("%d metrics seen", count)
	}
}

// collecting writes down what is registered.
type collecting struct {
	prometheus.Registerer
	to chan *prometheus.Desc
}

func (c collecting) MustRegister(all ...prometheus.Collector) {
	for _, one := range all {
		one.Describe(c.to)
	}
}

// A leaf that restarts stays in the routes, until it has said what is left of
// them, or its time is over, or its link is lost.
func TestLeafThatRestarts(t *testing.T) {
	peer := netip.MustParseAddr(leaf1)
	const without = "route 10.0.2.2/32 via fe80::2%eth1"
	for name, test := range map[string]struct {
		then func(*world)
		want []string
	}{
		"it says them all again": {func(w *world) {
			w.onBGP(w.ctx, bgp.PeerState{Peer: peer, State: bgp.Established, Kept: true})
			w.announces(leaf1, 65001, "10.0.2.2/32")
			w.onBGP(w.ctx, bgp.Update{Peer: peer, EndOfRIB: true})
		}, nil},
		"it says nothing again": {func(w *world) {
			w.onBGP(w.ctx, bgp.PeerState{Peer: peer, State: bgp.Established, Kept: true})
			w.expect(t)
			w.onBGP(w.ctx, bgp.Update{Peer: peer, EndOfRIB: true})
		}, []string{without}},
		"it has not forwarded": {func(w *world) {
			w.onBGP(w.ctx, bgp.PeerState{Peer: peer, State: bgp.Established})
		}, []string{without}},
		"it does not come back": {func(w *world) {
			time.Sleep(59 * time.Second)
			w.repair(w.ctx)
			w.expect(t)
			time.Sleep(time.Second)
			w.repair(w.ctx)
			w.repair(w.ctx)
		}, []string{"lost fe80::1%eth0", without}},
		"it is unplugged": {func(w *world) { w.link("eth0", false, 1) },
			[]string{"lost eth0", without, "peer -fe80::1%eth0"}},
		"another router is heard": {func(w *world) {
			w.hear(other)
			time.Sleep(leafTrial)
			w.repair(w.ctx)
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := bothLeaves(t)
				w.onBGP(w.ctx, bgp.PeerState{Peer: peer, State: bgp.Idle, Stale: time.Minute})
				w.expect(t, "discover eth0")
				if got := w.gauges(t)["bgp_routes_kept eth0"]; got != 1 {
					t.Errorf("bgp_routes_kept is %v", got)
				}
				w.session(leaf1, bgp.Active)
				test.then(w)
				w.expect(t, test.want...)
				if got := w.gauges(t)["bgp_routes_kept eth0"]; got != 0 && name != "another router is heard" {
					t.Errorf("in the end, bgp_routes_kept is %v", got)
				}
			})
		})
	}
}
