package bgp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// A link is short: who has not answered by then gets another SYN, earlier
	// than the kernel would send it.
	dialTimeout = 500 * time.Millisecond
	classCS6    = 48 << 2 // the traffic class of routing protocols (RFC 4594 section 3.1)
)

// place is where a peer is talked to from. Its zone is the interface's index:
// package net remembers names for a minute, in which they may come to stand
// for another interface.
type place struct {
	link  string
	local netip.Addr
}

// locate finds the address from which the kernel would talk to the peer.
func locate(peer netip.Addr) (place, error) {
	ifi, err := net.InterfaceByName(peer.Zone())
	if err != nil {
		return place{}, fmt.Errorf("looking up link %s: %w", peer.Zone(), err)
	}
	index := strconv.Itoa(ifi.Index)
	// To connect a UDP socket sends nothing.
	probe, err := net.DialUDP("udp6", nil, &net.UDPAddr{IP: peer.AsSlice(), Port: defaultPort, Zone: index})
	if err != nil {
		return place{}, fmt.Errorf("choosing our address towards %s: %w", peer, err)
	}
	defer probe.Close()
	local := probe.LocalAddr().(*net.UDPAddr).AddrPort().Addr()
	if !local.IsLinkLocalUnicast() {
		return place{}, fmt.Errorf("no link-local address on %s", peer.Zone())
	}
	return place{link: ifi.Name, local: local.WithZone(index)}, nil
}

// listen opens the port for what comes over the link: the kernel binds a socket
// to the interface together with a link-local address.
func (at place) listen(port uint16, userTimeout time.Duration) (*net.TCPListener, error) {
	cfg := net.ListenConfig{Control: control(userTimeout), KeepAlive: -1}
	cfg.SetMultipathTCP(false)
	l, err := cfg.Listen(context.Background(), "tcp6", netip.AddrPortFrom(at.local, port).String())
	if err != nil {
		return nil, fmt.Errorf("listening on TCP port %d on link %s: %w%s", port, at.link, err, hint(err))
	}
	return l.(*net.TCPListener), nil
}

func (at place) dial(ctx context.Context, peer netip.Addr, userTimeout time.Duration) (*net.TCPConn, error) {
	d := net.Dialer{
		LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(at.local, 0)),
		Timeout:   dialTimeout,
		KeepAlive: -1, // BGP has its own
		Control:   control(userTimeout),
	}
	to := netip.AddrPortFrom(peer.WithZone(at.local.Zone()), defaultPort)
	c, err := d.DialContext(ctx, "tcp6", to.String())
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// control sets what a socket and those accepted from it need.
func control(userTimeout time.Duration) func(string, string, syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var err error
		set := func(fd int) error {
			return errors.Join(
				unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, classCS6),
				// What the peer does not acknowledge for as long as the hold
				// time will not reach it any more.
				unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds())),
			)
		}
		if e := c.Control(func(fd uintptr) { err = set(int(fd)) }); e != nil {
			return e
		}
		return err
	}
}

// checkPort says why nobody can listen on the port, before there is a link to
// do so on.
func checkPort(port uint16) error {
	l, err := net.Listen("tcp6", netip.AddrPortFrom(netip.IPv6Unspecified(), port).String())
	if err != nil {
		return fmt.Errorf("starting BGP on TCP port %d: %w%s", port, err, hint(err))
	}
	return l.Close()
}

// hint names the likely cause of an error of listening.
func hint(err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return " (another BGP daemon, such as FRR or BIRD, has the port in this network namespace)"
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return " (the capability CAP_NET_BIND_SERVICE is needed)"
	}
	return ""
}
