package hostagent_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"lastmile/lab/netns"
)

// probes is a stream of numbered packets from the server to 10.9.9.9, which
// both leaves have, over many flows.
type probes struct {
	t        *testing.T
	stop     context.CancelFunc
	done     sync.WaitGroup
	mu       sync.Mutex
	sent     uint32
	failed   []error // of sending
	received map[uint32]bool
}

const probeFlows = 16

func (s *server) probe(t *testing.T) *probes {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	p := &probes{t: t, stop: stop, received: map[uint32]bool{}}
	to := &net.UDPAddr{IP: net.IPv4(10, 9, 9, 9), Port: 9000}
	for _, leaf := range s.leaves {
		c := listenIn(t, leaf, to)
		if err := c.SetReadBuffer(4 << 20); err != nil {
			t.Fatal(err)
		}
		p.done.Go(func() { p.receive(c) })
		context.AfterFunc(ctx, func() { c.SetReadDeadline(time.Now().Add(time.Second)) })
	}
	var flows []*net.UDPConn
	for range probeFlows {
		flows = append(flows, listenIn(t, s.ns, &net.UDPAddr{IP: net.IPv4zero}))
	}
	p.done.Go(func() { p.send(ctx, flows, to) })
	t.Cleanup(stop)
	return p
}

func listenIn(t *testing.T, ns *netns.NS, on *net.UDPAddr) (c *net.UDPConn) {
	t.Helper()
	err := ns.Do(func() (err error) {
		c, err = net.ListenUDP("udp4", on)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func (p *probes) send(ctx context.Context, flows []*net.UDPConn, to *net.UDPAddr) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		p.mu.Lock()
		n := p.sent
		p.sent++
		p.mu.Unlock()
		if _, err := flows[n%probeFlows].WriteTo(binary.BigEndian.AppendUint32(nil, n), to); err != nil {
			p.mu.Lock()
			p.failed = append(p.failed, err)
			p.mu.Unlock()
		}
	}
}

func (p *probes) receive(c *net.UDPConn) {
	packet := make([]byte, 16)
	for {
		n, _, err := c.ReadFrom(packet)
		if err != nil {
			return
		}
		if n == 4 {
			p.mu.Lock()
			p.received[binary.BigEndian.Uint32(packet)] = true
			p.mu.Unlock()
		}
	}
}

// awaitMore waits until so many more packets have gone out.
func (p *probes) awaitMore(n uint32) {
	p.t.Helper()
	count := func() uint32 {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.sent
	}
	until := count() + n
	await(p.t, func() error {
		if now := count(); now < until {
			return fmt.Errorf("%d packets sent, waiting for %d", now, until)
		}
		return nil
	})
}

// lost ends the stream and returns how many packets were sent and how many of
// them came to neither leaf.
func (p *probes) lost() (sent, lost int) {
	p.t.Helper()
	p.stop()
	p.done.Wait()
	for _, err := range p.failed[:min(len(p.failed), 3)] {
		p.t.Log("sending:", err)
	}
	return int(p.sent), int(p.sent) - len(p.received)
}

// restartUnder ends the daemon and starts it again while probes go.
func (s *server) restartUnder(t *testing.T, p *probes, end os.Signal, config []string) {
	t.Helper()
	p.awaitMore(200)
	if err := s.cmd.Process.Signal(end); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Wait(); err != nil && end != os.Kill {
		t.Error(err)
	}
	p.awaitMore(200) // nobody is there
	s.start(t, config...)
	s.awaitLogged(t, "restart is over")
	s.awaitLegs(t, "10.9.9.9", 2)
}

// TestRestartLosesNoPacket ends the daemon in every way that leaves its routes,
// and starts it again, while packets go out.
func TestRestartLosesNoPacket(t *testing.T) {
	tests := map[string]struct {
		config []string
		end    os.Signal
		compat string // nexthop_compat_mode after the last, orderly stop
	}{
		"killed":                  {nil, os.Kill, "0"},
		"killed, without objects": {[]string{"next_hop_objects: off"}, os.Kill, "0"},
		"killed, resilient":       {[]string{"resilient_ecmp: {buckets: 64}"}, os.Kill, "0"},
		"stopped for an upgrade":  {[]string{"keep_routes_on_stop: true"}, os.Interrupt, "1"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			config := append([]string{`uplinks: ["eth*"]`}, test.config...)
			s.start(t, config...)
			s.awaitLegs(t, "10.9.9.9", 2)
			p := s.probe(t)
			s.restartUnder(t, p, test.end, config)
			p.awaitMore(200)
			if sent, lost := p.lost(); lost > 0 {
				t.Errorf("%d of %d packets lost", lost, sent)
			}
			if err := s.stop(); err != nil {
				t.Error(err)
			}
			out, err := s.ns.Run(t.Context(), "sysctl", "-n", "net.ipv4.nexthop_compat_mode")
			if got := strings.TrimSpace(string(out)); err != nil || got != test.compat {
				t.Errorf("nexthop_compat_mode is %s, want %s (%v)", got, test.compat, err)
			}
			s.expectLogged(t, 1, `msg="restart is over" routes=2 removed=0 not_heard=[]`)
		})
	}
}

func TestWithoutNextHopObjects(t *testing.T) {
	s := newServer(t)
	s.start(t, `uplinks: ["eth*"]`, "next_hop_objects: off")
	for _, prefix := range []string{"10.9.9.9", "c0d1::9"} {
		s.awaitLegs(t, prefix, 2)
	}
	if err := s.leaves[0].SetDown("swp1"); err != nil {
		t.Fatal(err)
	}
	for _, prefix := range []string{"10.9.9.9", "c0d1::9"} {
		s.awaitLegs(t, prefix, 1)
	}
	if _, err := s.ns.Run(t.Context(), "ping", "-c1", "-W2", "10.9.9.9"); err != nil {
		t.Error(err)
	}
	if err := s.leaves[0].SetUp("swp1"); err != nil {
		t.Fatal(err)
	}
	s.remind(t, 0)
	s.awaitLegs(t, "10.9.9.9", 2)
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	s.expectLogged(t, 1, "no next-hop objects")
	for _, family := range []string{"-4", "-6"} {
		if out, err := s.ns.Run(t.Context(), "ip", family, "route", "show", "proto", "199"); err != nil || len(out) > 0 {
			t.Errorf("after the stop: %s (%v)", out, err)
		}
	}
}

// awaitLegs waits until the kernel's route has so many next hops, by objects or
// its own.
func (s *server) awaitLegs(t *testing.T, prefix string, want int) {
	t.Helper()
	await(t, func() error {
		family := "-4"
		if strings.Contains(prefix, ":") {
			family = "-6"
		}
		out, err := s.ns.Run(t.Context(), "ip", family, "route", "show", prefix, "proto", "199")
		if err != nil {
			return err
		}
		got := strings.Count(string(out), " via ")
		if strings.Contains(string(out), "nhid") {
			got = s.paths(t, prefix)
		}
		if got == want {
			return nil
		}
		return fmt.Errorf("want %d next hops: %s", want, out)
	})
}

// awaitLogged waits until the daemon that runs has said so.
func (s *server) awaitLogged(t *testing.T, words string) {
	t.Helper()
	await(t, func() error {
		if !strings.Contains(s.log.String(), words) {
			return fmt.Errorf("%q is not in the log yet", words)
		}
		return nil
	})
}
