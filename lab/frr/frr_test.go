package frr_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"lastmile/lab/frr"
	"lastmile/lab/netns"
)

const unnumbered = `router bgp %AS%
 bgp router-id %ID%
 no bgp ebgp-requires-policy
 neighbor eth0 interface remote-as external
 address-family ipv4 unicast
  redistribute connected
`

func start(t *testing.T, label, as, id string) (*netns.NS, *frr.Router) {
	ns := netns.ForTest(t, label)
	if err := ns.AddAddress("lo", id+"/32"); err != nil {
		t.Fatal(err)
	}
	return ns, frr.ForTest(t, frr.Config{
		NS:    ns,
		Zebra: "interface eth0\n no ipv6 nd suppress-ra\n ipv6 nd ra-interval 1\n",
		BGP:   strings.NewReplacer("%AS%", as, "%ID%", id).Replace(unnumbered),
	})
}

func TestTwoRoutersPeer(t *testing.T) {
	a, ra := start(t, "a", "65001", "192.0.2.1")
	b, _ := start(t, "b", "65002", "192.0.2.2")
	if err := netns.Veth(a, "eth0", b, "eth0"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		out, err := ra.Vtysh(t.Context(), "show ip route 192.0.2.2/32 json")
		if err != nil {
			t.Fatal(err)
		}
		var routes map[string][]struct{ Protocol string }
		if json.Unmarshal(out, &routes) == nil && len(routes["192.0.2.2/32"]) == 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no route to the other router: %s", out)
		}
	}
}

func TestConfigureReportsWhatIsRefused(t *testing.T) {
	_, r := start(t, "conf", "65001", "192.0.2.1")
	if err := r.Configure(t.Context(), "router bgp 65001", " neighbor 192.0.2.9 remote-as 65009"); err != nil {
		t.Fatal(err)
	}
	out, err := r.Vtysh(t.Context(), "show running-config")
	if err != nil || !strings.Contains(string(out), "neighbor 192.0.2.9 remote-as 65009") {
		t.Errorf("running configuration: %s (%v)", out, err)
	}
	err = r.Configure(t.Context(), "router bgp 65001", " neighbor 192.0.2.9 remote-as nonsense")
	if err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("refused line: %v, want an error naming it", err)
	}
}

func TestStartNamesWhatIsWrong(t *testing.T) {
	ns := netns.ForTest(t, "wrong")
	_, err := frr.Start(t.Context(), frr.Config{NS: ns, Dir: "/proc/nowhere"})
	if err == nil || !strings.Contains(err.Error(), "/proc/nowhere") {
		t.Errorf("unusable directory: %v, want an error naming it", err)
	}
}
