package syslog

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	linkUp   = `<29>Nov 23 10:00:00 leaf1 mib2d[1234]: SNMP_TRAP_LINK_UP: ifIndex 526, ifAdminStatus up(1), ifOperStatus up(1), ifName ge-0/0/1.0`
	linkUp5  = `<29>1 2026-11-23T10:00:00.000Z leaf1 mib2d 1234 SNMP_TRAP_LINK_UP [junos@2636.1.1.1.2.18 snmp-interface-index="526" admin-status="up(1)" operational-status="up(1)" interface-name="xe-0/0/2:1"] ifIndex 526, ifName xe-0/0/2:1`
	lldpUp   = `<30>Nov 23 10:00:00 leaf1 l2cpd[99]: LLDP_NEIGHBOR_UP: A neighbor has come up for interface et-0/0/48. Local chassis`
	linkDown = `<28>Nov 23 10:00:00 leaf1 mib2d[1234]: SNMP_TRAP_LINK_DOWN: ifIndex 526, ifAdminStatus up(1), ifOperStatus down(2), ifName ge-0/0/1.0`
)

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		linkUp: "ge-0/0/1.0", linkUp5: "xe-0/0/2:1", lldpUp: "et-0/0/48", linkDown: "",
		"SNMP_TRAP_LINK_UP: ifName ae12": "ae12",
		"Nov 23 leaf1 SNMP_TRAP_LINK_UP: ifIndex 5, ifAdminStatus up(1), ifOperStatus up(1), ifName irb.100\n": "irb.100",
		"SNMP_TRAP_LINK_UP":                  "",
		"SNMP_TRAP_LINK_UP: ifName \x00":     "",
		"SNMP_TRAP_LINK_UP: ifName Ethernet": "",
		"ifName ge-0/0/1 SNMP_TRAP_LINK_UP":  "",
		"":                                   "",
		"sshd[1]: Accepted publickey":        "",
	} {
		if got := Parse([]byte(text)); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// heard is what a server has called.
type heard struct {
	mu      sync.Mutex
	ups     []string
	results map[string]int
}

func serve(t *testing.T, allow ...string) (*heard, string) {
	t.Helper()
	h := &heard{results: map[string]int{}}
	s := &Server{
		Up: func(ifname string) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.ups = append(h.ups, ifname)
		},
		Count: func(result string) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.results[result]++
		},
	}
	for _, prefix := range allow {
		s.Allow = append(s.Allow, netip.MustParsePrefix(prefix))
	}
	if err := s.Open("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		s.Serve(ctx)
		close(ended)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return h, s.Addr()
}

func (h *heard) await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		h.mu.Lock()
		done := holds()
		h.mu.Unlock()
		if done {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not in 20 s: %s: %q %v", what, h.ups, h.results)
		}
	}
}

func connect(t *testing.T, network, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestServer(t *testing.T) {
	h, addr := serve(t, "127.0.0.0/8")
	want := 0
	send := func(network, text string, ups int) {
		t.Helper()
		fmt.Fprint(connect(t, network, addr), text)
		want += ups
		h.await(t, text, func() bool { return len(h.ups) == want })
	}
	send("udp", linkUp, 1)
	send("udp", linkUp5+"\n", 1)
	send("tcp", linkUp+"\n"+linkDown+"\n"+lldpUp+"\n", 2)
	send("tcp", fmt.Sprintf("%d %s%d %s", len(linkUp), linkUp, len(linkUp5), linkUp5), 2)
	h.await(t, "counts", func() bool { return h.results[Kick] == 6 && h.results[Other] == 1 })
	if !slices.Equal(h.ups[4:], []string{"ge-0/0/1.0", "xe-0/0/2:1"}) {
		t.Errorf("heard %q", h.ups)
	}
}

// TestHostileSenders: none of them keeps the server from the next message.
func TestHostileSenders(t *testing.T) {
	h, addr := serve(t, "127.0.0.1/32")
	for i, text := range []string{
		strings.Repeat("x", maxMessage+1), "99999 x", "9x9 y", "123456789 z",
	} {
		fmt.Fprint(connect(t, "tcp", addr), text)
		h.await(t, text, func() bool { return h.results[Broken] == i+1 })
	}
	udp := connect(t, "udp", addr)
	for range 5000 { // some may be lost: that is what a flood is for
		fmt.Fprint(udp, linkDown)
	}
	var idle []net.Conn
	for range maxConnections + 3 {
		idle = append(idle, connect(t, "tcp", addr))
	}
	h.await(t, "too many connections", func() bool { return h.results[Refused] >= 1 })
	for _, c := range idle {
		c.Close()
	}
	before := len(h.ups)
	h.await(t, "a port came up after all that", func() bool {
		fmt.Fprint(udp, linkUp)
		return len(h.ups) > before
	})
}

// TestStrangers: who is not allowed is not heard.
func TestStrangers(t *testing.T) {
	h, addr := serve(t, "192.0.2.1/32")
	fmt.Fprint(connect(t, "udp", addr), linkUp)
	c := connect(t, "tcp", addr)
	fmt.Fprintln(c, linkUp)
	h.await(t, "both refused", func() bool { return h.results[Refused] == 2 })
	if len(h.ups) > 0 {
		t.Errorf("heard %q", h.ups)
	}
}

func TestTakenAddress(t *testing.T) {
	_, addr := serve(t, "127.0.0.1/32")
	if err := new(Server).Open(addr); err == nil || !strings.Contains(err.Error(), addr) {
		t.Errorf("got %v", err)
	}
}

// FuzzStream: no stream makes the reader panic or hold more than a message, and what it takes ends.
func FuzzStream(f *testing.F) {
	f.Add(linkUp + "\n" + linkDown + "\n")
	f.Add("5 <1>ab12 SNMP_TRAP_L")
	f.Add("0 \n99999999 ")
	f.Fuzz(func(t *testing.T, text string) {
		in := bufio.NewReaderSize(strings.NewReader(text), maxMessage)
		for taken := 0; ; {
			message, err := next(in)
			if err != nil {
				if !errors.Is(err, errBroken) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("%v", err)
				}
				return
			}
			if taken += len(message); taken > len(text) || len(message) > maxMessage {
				t.Fatalf("%d bytes of %d", taken, len(text))
			}
			if name := Parse(message); len(name) > 60 || strings.ContainsAny(name, " \n\"") {
				t.Errorf("interface %q", name)
			}
		}
	})
}
