package hostagent_test

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

// probeIn sends packets from both leaves to the server.
func (s *server) probeIn(t *testing.T) *probes {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	p := &probes{t: t, stop: stop, received: map[uint32]bool{}}
	to := &net.UDPAddr{IP: net.IPv4(10, 0, 1, 1), Port: 9000}
	c := listenIn(t, s.ns, to)
	if err := c.SetReadBuffer(4 << 20); err != nil {
		t.Fatal(err)
	}
	p.done.Go(func() { p.receive(c) })
	context.AfterFunc(ctx, func() { c.SetReadDeadline(time.Now().Add(time.Second)) })
	var flows []*net.UDPConn
	for i := range probeFlows {
		flows = append(flows, listenIn(t, s.leaves[i%len(s.leaves)], &net.UDPAddr{IP: net.IPv4zero}))
	}
	p.done.Go(func() { p.send(ctx, flows, to) })
	t.Cleanup(stop)
	return p
}

// The leaves keep their routes to the server while hostagent restarts, so that
// no packet to it is lost either.
func TestRestartLosesNoPacketToTheServer(t *testing.T) {
	for name, test := range map[string]struct {
		config []string
		end    os.Signal
	}{
		"killed":                 {nil, os.Kill},
		"stopped for an upgrade": {[]string{"keep_routes_on_stop: true"}, os.Interrupt},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			config := append([]string{`uplinks: ["eth*"]`}, test.config...)
			s.start(t, config...)
			s.awaitLegs(t, "10.9.9.9", 2)
			for _, r := range s.frr {
				await(t, func() error { return hasRoute(t.Context(), r, "10.0.1.1/32") })
				await(t, func() error { return hasRoute(t.Context(), r, "c0d1::1/128") })
			}
			for _, leaf := range s.leaves { // the leaf's kernel has it a little later
				await(t, func() error {
					out, err := leaf.Run(t.Context(), "ip", "route", "show", "10.0.1.1")
					if err == nil && len(out) == 0 {
						err = errors.New("the leaf's kernel has no route to the server")
					}
					return err
				})
			}
			p := s.probeIn(t)
			s.restartUnder(t, p, test.end, config)
			p.awaitMore(1000)
			if sent, lost := p.lost(); lost > 0 {
				t.Errorf("%d of %d packets lost", lost, sent)
			}
			if err := s.stop(); err != nil {
				t.Error(err)
			}
		})
	}
}
