package bgp

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestNewRefuses(t *testing.T) {
	good := Config{AS: 64512, RouterID: netip.MustParseAddr("10.0.1.1")}
	if s, err := New(good); err != nil || s.cfg.HoldTime != 9*time.Second || s.cfg.ListenPort != 179 {
		t.Errorf("a good configuration: %v", err)
	}
	for name, test := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no AS":           {func(c *Config) { c.AS = 0 }, "AS 0:"},
		"AS_TRANS":        {func(c *Config) { c.AS = 23456 }, "AS 23456:"},
		"last AS":         {func(c *Config) { c.AS = 1<<32 - 1 }, "AS 4294967295:"},
		"no router ID":    {func(c *Config) { c.RouterID = netip.Addr{} }, "router ID invalid IP:"},
		"IPv6 router ID":  {func(c *Config) { c.RouterID = netip.MustParseAddr("2001:db8::1") }, "router ID 2001:db8::1:"},
		"short hold time": {func(c *Config) { c.HoldTime = 2 * time.Second }, "hold time 2s:"},
		"long hold time":  {func(c *Config) { c.HoldTime = 20 * time.Hour }, "hold time 20h0m0s:"},
		"half a second":   {func(c *Config) { c.HoldTime = 3500 * time.Millisecond }, "hold time 3.5s:"},
	} {
		cfg := good
		test.change(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want an error with %q", name, err, test.want)
		}
	}
}

func TestOrdersAreChecked(t *testing.T) {
	s, err := New(Config{AS: 64512, RouterID: netip.MustParseAddr("10.0.1.1")})
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{"fe80::1", "2001:db8::1", "10.0.0.1", "ff02::1%eth0"} {
		err := s.AddPeer(t.Context(), netip.MustParseAddr(addr), Options{})
		if err == nil || !strings.Contains(err.Error(), "adding peer "+addr) {
			t.Errorf("AddPeer %s: %v", addr, err)
		}
	}
	for _, prefix := range []netip.Prefix{{}, netip.MustParsePrefix("10.0.1.1/24")} {
		err := s.Announce(t.Context(), []netip.Prefix{prefix})
		if err == nil || !strings.Contains(err.Error(), "announcing "+prefix.String()) {
			t.Errorf("Announce %s: %v", prefix, err)
		}
	}
}

func TestOrdersEndWithTheirContextAndWithRun(t *testing.T) {
	s, err := New(Config{AS: 64512, RouterID: netip.MustParseAddr("10.0.1.1")})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.AddPeer(ctx, leaf, Options{}); err != context.Canceled {
		t.Errorf("before Run: %v", err)
	}
	close(s.stopped)
	if err := s.AddPeer(t.Context(), leaf, Options{}); err != errStopped {
		t.Errorf("after Run: %v", err)
	}
}
