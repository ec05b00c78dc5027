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
	maxHops     = 255
	maxKey      = unix.TCP_MD5SIG_MAXKEYLEN
)

// tuning is what a socket towards a peer needs.
type tuning struct {
	Options
	peer netip.Addr
	key  string
}

func (p *peer) tuning(cfg Config) tuning {
	t := tuning{p.options, p.addr, p.key}
	if t.UserTimeout == 0 {
		t.UserTimeout = cfg.HoldTime
	}
	return t
}

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
func (at place) listen(port uint16, t tuning) (*net.TCPListener, error) {
	cfg := net.ListenConfig{Control: t.control, KeepAlive: -1}
	cfg.SetMultipathTCP(false)
	l, err := cfg.Listen(context.Background(), "tcp6", netip.AddrPortFrom(at.local, port).String())
	if err != nil {
		return nil, fmt.Errorf("listening on TCP port %d on link %s: %w%s", port, at.link, err, hint(err))
	}
	return l.(*net.TCPListener), nil
}

func (at place) dial(ctx context.Context, peer netip.Addr, t tuning) (*net.TCPConn, error) {
	d := net.Dialer{
		LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(at.local, 0)),
		Timeout:   dialTimeout,
		KeepAlive: -1, // BGP has its own
		Control:   t.control,
	}
	to := netip.AddrPortFrom(peer.WithZone(at.local.Zone()), defaultPort)
	c, err := d.DialContext(ctx, "tcp6", to.String())
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// control sets what a socket and those accepted from it need.
func (t tuning) control(_, _ string, c syscall.RawConn) error {
	var err error
	if e := c.Control(func(fd uintptr) { err = t.set(int(fd)) }); e != nil {
		return e
	}
	return err
}

func (t tuning) set(fd int) error {
	leastHops := 0
	if t.TTLSecurity {
		leastHops = maxHops
	}
	var errs []error
	for _, o := range []struct {
		name                 string
		level, option, value int
	}{
		{"IPV6_TCLASS", unix.IPPROTO_IPV6, unix.IPV6_TCLASS, int(t.DSCP) << 2},
		{"IPV6_UNICAST_HOPS", unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, maxHops},
		{"IPV6_MINHOPCOUNT", unix.IPPROTO_IPV6, unix.IPV6_MINHOPCOUNT, leastHops},
		{"TCP_USER_TIMEOUT", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(t.UserTimeout.Milliseconds())},
	} {
		if err := unix.SetsockoptInt(fd, o.level, o.option, o.value); err != nil {
			errs = append(errs, fmt.Errorf("setting %s to %d: %w", o.name, o.value, err))
		}
	}
	if t.key != "" {
		if err := unix.SetsockoptTCPMD5Sig(fd, unix.IPPROTO_TCP, unix.TCP_MD5SIG, t.signature()); err != nil {
			errs = append(errs, fmt.Errorf("setting the TCP MD5 key: %w", err))
		}
	}
	return errors.Join(errs...)
}

// signature is the key with the address that it is for. That of another link
// may be the same, but a socket is one link's: so the interface, which the
// kernel would take only if it were a VRF's, need not be named.
func (t tuning) signature() *unix.TCPMD5Sig {
	sig := &unix.TCPMD5Sig{Keylen: uint16(len(t.key))}
	sig.Addr.Family = unix.AF_INET6
	// struct sockaddr_in6 from the port on: two bytes of it, four of flow label.
	for i, b := range t.peer.As16() {
		sig.Addr.Data[2+4+i] = b
	}
	copy(sig.Key[:], t.key)
	return sig
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
