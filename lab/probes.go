package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sync/errgroup"
)

// A prober sends numbered UDP packets from one node to another, which sends
// them back, and keeps book of those that returned.
type prober struct {
	every  time.Duration
	client *net.UDPConn
	server *net.UDPConn
	probes []probe // by number; one goroutine writes each field
}

// A probe is one packet's fate.
type probe struct {
	sent     time.Time
	returned bool
}

// probeEvery is the time between two probes.
const probeEvery = 10 * time.Millisecond

// lingering is how long the last probes get to return.
const lingering = 500 * time.Millisecond

// newProber opens the sockets of a prober that sends from a node to addr, an
// address of the node to.
func (f *Fabric) newProber(from, to string, addr netip.AddrPort) (*prober, error) {
	p := &prober{every: probeEvery}
	err := f.spaces[to].Do(func() (err error) {
		p.server, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", to, err)
	}
	err = f.spaces[from].Do(func() (err error) {
		p.client, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(addr))
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", from, err), p.server.Close())
	}
	return p, nil
}

// Run probes until ctx ends and the last probes had time to return, and
// returns all of them. It closes the sockets.
func (p *prober) Run(ctx context.Context) ([]probe, error) {
	var returns []uint64
	var group errgroup.Group
	group.Go(p.reflect)
	group.Go(func() (err error) { returns, err = p.collect(); return err })
	p.send(ctx)
	past := time.Now().Add(lingering)
	errs := []error{p.client.SetReadDeadline(past), p.server.SetReadDeadline(past)}
	errs = append(errs, group.Wait(), p.client.Close(), p.server.Close())
	for _, n := range returns {
		if n < uint64(len(p.probes)) {
			p.probes[n].returned = true
		}
	}
	return p.probes, errors.Join(errs...)
}

func (p *prober) send(ctx context.Context) {
	tick := time.NewTicker(p.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		number := binary.BigEndian.AppendUint64(nil, uint64(len(p.probes)))
		p.probes = append(p.probes, probe{sent: time.Now()})
		// A packet that the kernel has no route for is lost like any other.
		_, _ = p.client.Write(number)
	}
}

// collect returns the numbers of the probes that come back, until the read
// deadline.
func (p *prober) collect() ([]uint64, error) {
	var numbers []uint64
	buf := make([]byte, 8)
	for {
		n, err := p.client.Read(buf)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return numbers, nil
		case errors.Is(err, net.ErrClosed):
			return numbers, err
		case err != nil || n != len(buf):
			continue // an ICMP error about a lost probe
		}
		numbers = append(numbers, binary.BigEndian.Uint64(buf))
	}
}

// reflect sends every probe back to where it came from, until the read
// deadline.
func (p *prober) reflect() error {
	buf := make([]byte, 8)
	for {
		n, from, err := p.server.ReadFromUDPAddrPort(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
		// One that cannot be sent back is lost like any other.
		_, _ = p.server.WriteToUDPAddrPort(buf[:n], from)
	}
}

// lost counts the probes sent in [from, to) that did not return; the zero to
// is the end of all time.
func lost(probes []probe, from, to time.Time) int {
	n := 0
	for _, p := range probes {
		if !p.returned && !p.sent.Before(from) && (to.IsZero() || p.sent.Before(to)) {
			n++
		}
	}
	return n
}
