package bgp

import (
	"net/netip"
	"testing"
	"time"
)

var leaf = netip.MustParseAddr("fe80::1%eth0")

func TestEarliest(t *testing.T) {
	now := time.Now()
	waiting := func(d time.Duration) *peer { return &peer{dialAt: now.Add(d)} }
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
