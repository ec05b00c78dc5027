package bgp

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// short writes a *notification as code/subcode data, and nil as "".
func short(err error) string {
	var n *notification
	if !errors.As(err, &n) {
		return ""
	}
	return fmt.Sprintf("%d/%d %x", n.code, n.subcode, n.data)
}

// body is an OPEN of AS 65001, 10.255.255.1, hold time 9 s, with these optional
// parameters.
func body(parameters ...byte) []byte {
	return append([]byte{4, 0xfd, 0xe9, 0, 9, 10, 255, 255, 1, byte(len(parameters))}, parameters...)
}

func TestParseOpen(t *testing.T) {
	plain := open{as: 65001, holdTime: 9, id: netip.MustParseAddr("10.255.255.1")}
	with := func(change func(*open)) open { o := plain; change(&o); return o }
	extended := body()
	extended[9] = 255
	extended = append(extended, 255, 0, 5, 2, 0, 2, 2, 0)
	for name, test := range map[string]struct {
		body []byte
		want open
	}{
		"nothing": {body(), plain},
		"families": {body(2, 12, 1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1),
			with(func(o *open) { o.multiprotocol, o.ipv4, o.ipv6 = true, true, true })},
		"another family": {body(2, 6, 1, 4, 0, 25, 0, 70), with(func(o *open) { o.multiprotocol = true })},
		"AS in four octets": {body(2, 6, 65, 4, 0xfa, 0x56, 0xea, 0),
			with(func(o *open) { o.fourOctetAS, o.as = true, 4200000000 })},
		"extended next hop": {body(2, 14, 5, 12, 0, 1, 0, 2, 0, 2, 0, 1, 0, 1, 0, 2),
			with(func(o *open) { o.extendedNextHop = true })},
		"extended next hop, VPN only": {body(2, 8, 5, 6, 0, 1, 0, 128, 0, 2), plain},
		"several parameters": {body(2, 2, 2, 0, 2, 2, 6, 0),
			with(func(o *open) { o.routeRefresh, o.extendedMessage = true, true })},
		"helper": {body(2, 4, 64, 2, 0x0f, 0xff), with(func(o *open) { o.restart = restart{present: true, seconds: 4095} })},
		"restarted": {body(2, 16, 64, 14, 0x80, 120, 0, 1, 1, 0x80, 0, 2, 1, 0, 0, 1, 128, 0x80), with(func(o *open) {
			o.restart = restart{present: true, restarting: true, seconds: 120, ipv4: true, keepsIPv4: true, ipv6: true}
		})},
		"unknown capability": {body(2, 5, 99, 3, 1, 2, 3), plain},
		"long form":          {extended, with(func(o *open) { o.routeRefresh = true })},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseOpen(test.body)
			if err != nil || got != test.want {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func TestParseOpenRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		body []byte
		want string
	}{
		"version":                     {slices.Concat([]byte{3}, body()[1:]), "2/1 0004"},
		"parameters cut short":        {body(2, 6, 1, 4, 0, 1, 0, 1)[:15], "2/0 "},
		"bytes behind":                {append(body(), 2, 0), "2/0 "},
		"parameter over the end":      {body(2, 7, 1, 4, 0, 1, 0, 1), "2/0 "},
		"capability over the end":     {body(2, 6, 1, 5, 0, 1, 0, 1), "2/0 "},
		"half a parameter":            {body(2), "2/0 "},
		"authentication":              {body(1, 1, 0), "2/4 "},
		"family of three bytes":       {body(2, 5, 1, 3, 0, 1, 0), "2/0 "},
		"AS of two bytes":             {body(2, 4, 65, 2, 0xfd, 0xe9), "2/0 "},
		"graceful restart, 1 byte":    {body(2, 3, 64, 1, 0), "2/0 "},
		"half a restarting family":    {body(2, 6, 64, 4, 0, 120, 0, 1), "2/0 "},
		"extended next hop, 5 bytes":  {body(2, 7, 5, 5, 0, 1, 0, 1, 0), "2/0 "},
		"long form over the end":      {slices.Concat(body()[:9], []byte{255, 255, 0, 9, 2, 0, 0}), "2/0 "},
		"long form, short parameters": {slices.Concat(body()[:9], []byte{255, 255, 0}), "2/0 "},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseOpen(test.body)
			if short(err) != test.want {
				t.Errorf("%+v, %v, want %q", got, err, test.want)
			}
		})
	}
}

func TestFamilies(t *testing.T) {
	for _, test := range []struct {
		capabilities
		want []bgp.Family
	}{
		{capabilities{}, []bgp.Family{bgp.RF_IPv4_UC}},
		{capabilities{multiprotocol: true, ipv6: true}, []bgp.Family{bgp.RF_IPv6_UC}},
		{capabilities{multiprotocol: true, ipv4: true, ipv6: true}, []bgp.Family{bgp.RF_IPv4_UC, bgp.RF_IPv6_UC}},
	} {
		if got := (open{capabilities: test.capabilities}).families(); !slices.Equal(got, test.want) {
			t.Errorf("%+v: %v", test.capabilities, got)
		}
	}
	if err := (open{as: 1, id: netip.MustParseAddr("10.0.0.1"),
		capabilities: capabilities{multiprotocol: true}}).check(2, Options{}); short(err) != "2/7 " {
		t.Errorf("no family of ours: %v", err)
	}
}

// What we say ourselves comes back from our decoder, and means the same to
// GoBGP's.
func TestOurOpen(t *testing.T) {
	for _, as := range []uint32{64512, 4200000000} {
		cfg := Config{AS: as, RouterID: netip.MustParseAddr("10.0.1.1"), HoldTime: defaultHoldTime, RestartTime: 4095 * time.Second, Restarted: true}
		ours := ourOpen(cfg, DefaultOptions(), time.Now())
		m, err := ours.message()
		if err != nil {
			t.Fatal(err)
		}
		back, err := parseOpen(m.body())
		back.hostname = ours.hostname
		if err != nil || back != ours {
			t.Errorf("%+v, %v", back, err)
		}
		theirs, err := bgp.ParseBGPMessage(m)
		if err != nil {
			t.Fatal(err)
		}
		body := theirs.Body.(*bgp.BGPOpen)
		if _, err := bgp.ValidateOpenMsg(body, as, 1, netip.MustParseAddr("10.9.9.9")); err != nil || body.HoldTime != 9 {
			t.Errorf("GoBGP: %+v, %v", body, err)
		}
	}
}

// A peer's OPEN that we take is told to GoBGP in our words: they mean what it
// said, and GoBGP takes them too.
func FuzzOpen(f *testing.F) {
	f.Add(body())
	f.Add(body(2, 12, 1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1))
	f.Add(body(2, 14, 5, 6, 0, 1, 0, 1, 0, 2, 65, 4, 0xfa, 0x56, 0xea, 0))
	f.Add(slices.Concat(body()[:9], []byte{255, 255, 0, 5, 2, 0, 2, 2, 0}))
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) < 10 {
			return // the framer's business
		}
		before := bytes.Clone(body)
		o, err := parseOpen(body)
		if err == nil {
			err = o.check(64512, Options{})
		}
		if !bytes.Equal(before, body) {
			t.Fatal("the message was changed")
		}
		if err != nil {
			if short(err) == "" {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		m, err := o.message()
		if err != nil {
			t.Fatal(err)
		}
		back, err := parseOpen(m.body())
		if err != nil || back != o {
			t.Fatalf("%+v, %v, want %+v", back, err, o)
		}
		theirs, err := bgp.ParseBGPMessage(m)
		if err == nil {
			_, err = bgp.ValidateOpenMsg(theirs.Body.(*bgp.BGPOpen), o.as, 64512, netip.MustParseAddr("10.0.1.1"))
		}
		if err != nil {
			t.Fatalf("GoBGP: %v", err)
		}
	})
}
