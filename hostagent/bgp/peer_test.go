package bgp

import (
	"net/netip"
	"testing"
	"time"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// climb takes a peer through the states, one after the other, at one time.
func climb(t *testing.T, p *peer, at time.Time, states ...State) {
	t.Helper()
	for _, s := range states {
		if !p.enter(transition{PeerState: PeerState{Peer: leaf, State: s, Since: at}}) {
			t.Fatalf("%s after %s is not entered", s, p.State)
		}
	}
}

func TestRetriesBackOffUntilASessionWasStable(t *testing.T) {
	now := time.Now()
	p := &peer{}
	for _, want := range []time.Duration{
		0, 100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond,
		1600 * time.Millisecond, 2 * time.Second, 2 * time.Second,
	} {
		climb(t, p, now, Active, OpenSent, OpenConfirm, Established)
		now = now.Add(stable - 1)
		climb(t, p, now, Idle)
		if got := p.retryAt.Sub(now); got != want {
			t.Errorf("retry after %v, want %v", got, want)
		}
	}
	climb(t, p, now, Active, OpenSent, OpenConfirm, Established)
	now = now.Add(stable)
	climb(t, p, now, Idle)
	if got := p.retryAt.Sub(now); got != 0 {
		t.Errorf("retry after a stable session: after %v, want at once", got)
	}
}

func TestLateStateOfADeletedMachineIsIgnored(t *testing.T) {
	p := &peer{}
	climb(t, p, time.Now(), Active)
	if p.enter(transition{PeerState: PeerState{Peer: leaf, State: Established}}) {
		t.Error("Established straight after Active")
	}
	if p.State != Active {
		t.Errorf("state %s, want Active still", p.State)
	}
}

func TestReasonStaysUntilTheNextSessionEnds(t *testing.T) {
	p := &peer{}
	p.enter(transition{PeerState: PeerState{State: Idle, Reason: "hold timer expired"}})
	climb(t, p, time.Now(), Active, OpenSent, OpenConfirm, Established)
	if p.Reason != "hold timer expired" {
		t.Errorf("reason %q", p.Reason)
	}
}

func TestEndOfRIBNeedsEveryFamily(t *testing.T) {
	p := &peer{PeerState: PeerState{State: OpenConfirm}}
	p.enter(transition{
		PeerState: PeerState{State: Established},
		families:  []bgp.Family{bgp.RF_IPv4_UC, bgp.RF_IPv6_UC},
	})
	for i, want := range []struct {
		family bgp.Family
		last   bool
	}{
		{bgp.RF_IPv6_UC, false},
		{bgp.RF_IPv6_UC, false},
		{bgp.RF_IPv4_UC, true},
		{bgp.RF_IPv4_UC, false}, // after a route refresh
	} {
		if got := p.endOfRIB(want.family); got != want.last {
			t.Errorf("marker %d of %v: last %v, want %v", i, want.family, got, want.last)
		}
	}
}

func TestEarliest(t *testing.T) {
	now := time.Now()
	waiting := func(d time.Duration) *peer { return &peer{retryAt: now.Add(d)} }
	if _, ok := earliest(map[netip.Addr]*peer{leaf: {}}); ok {
		t.Error("a peer that does not wait is waited for")
	}
	at, ok := earliest(map[netip.Addr]*peer{
		leaf:                    {},
		leaf.WithZone("eth1"):   waiting(2 * time.Second),
		leaf.WithZone("eth2"):   waiting(time.Second),
		leaf.WithZone("enp1s0"): waiting(3 * time.Second),
	})
	if !ok || at.Sub(now) != time.Second {
		t.Errorf("earliest after %v (%v), want 1s", at.Sub(now), ok)
	}
}
