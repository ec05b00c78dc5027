package worker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"lastmile/hostagent/bfd"
)

// By custom, as FRR and BIRD do it: CS6, which is network control, and its band in
// every queue that has bands.
const (
	trafficClass   = 0xc0
	socketPriority = 7
)

// option is a socket option and what it is for, for the error.
type option struct {
	level, name, value int
	what               string
}

// open makes a UDP socket that sees one link only.
func open(link uint32, options ...option) (int, error) {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("opening a UDP socket: %w", err)
	}
	options = append(options,
		option{unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, int(link), "binding to the link"},
		option{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1, "IPv6 only"},
	)
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			unix.Close(fd)
			return -1, fmt.Errorf("%s: %w", o.what, err)
		}
	}
	return fd, nil
}

// openReceiver makes the socket that hears BFD on a link. Without SO_REUSEADDR:
// two BFD daemons on one link would each hear a part.
func openReceiver(link uint32) (int, error) {
	fd, err := open(link,
		// Not IPV6_MINHOPCOUNT: Linux does not look at it on UDP sockets.
		option{unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1, "asking for hop limits"},
		option{unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1, "asking for receive times"},
		option{unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1, "asking for losses"},
	)
	if err != nil {
		return -1, err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet6{Port: bfd.Port}); err != nil {
		unix.Close(fd)
		if errors.Is(err, unix.EADDRINUSE) {
			return -1, fmt.Errorf("UDP port %d: %w (does another BFD daemon run, such as bfdd or BIRD?)", bfd.Port, err)
		}
		return -1, fmt.Errorf("UDP port %d: %w", bfd.Port, err)
	}
	return fd, nil
}

// openSender makes the socket from which one session sends, and returns its
// port, which no other session has (RFC 5881 section 4).
func openSender(link uint32, taken func(port uint16) bool) (fd int, source uint16, err error) {
	fd, err = open(link,
		option{unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, bfd.HopLimit, "setting the hop limit"},
		option{unix.IPPROTO_IPV6, unix.IPV6_TCLASS, trafficClass, "setting the traffic class"},
		option{unix.SOL_SOCKET, unix.SO_RCVBUF, 0, "setting the receive buffer"}, // nobody reads it
	)
	if err != nil {
		return -1, 0, err
	}
	// Without CAP_NET_ADMIN 6 is the highest, which is still a band above all
	// others.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, socketPriority) != nil {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, socketPriority-1)
	}
	const numSources = bfd.LastSourcePort + 1 - bfd.FirstSourcePort
	first := rand.IntN(numSources)
	for n := 0; err == nil && n < numSources; n++ {
		source = uint16(bfd.FirstSourcePort + (first+n)%numSources)
		if taken(source) {
			continue
		}
		bindErr := unix.Bind(fd, &unix.SockaddrInet6{Port: int(source)})
		if bindErr == nil {
			return fd, source, nil
		}
		if !errors.Is(bindErr, unix.EADDRINUSE) {
			err = bindErr
		}
	}
	unix.Close(fd)
	if err == nil {
		err = unix.EADDRINUSE
	}
	return -1, 0, fmt.Errorf("a UDP source port from %d up: %w", bfd.FirstSourcePort, err)
}

// receiver reads packets, and what the kernel says of each, without
// allocating.
type receiver struct {
	msg     unix.Msghdr
	iov     unix.Iovec
	from    unix.RawSockaddrInet6
	body    [256]byte // a control packet has at most 255 bytes (RFC 5880 section 4.1)
	control [256]byte
}

// received is a packet that was read. body is valid until the next one.
type received struct {
	body     []byte
	source   [16]byte
	hopLimit int
	realtime time.Duration // when the kernel got it, CLOCK_REALTIME; 0 if it does not say
	lost     uint32        // packets that the socket had no room for since it was opened
	cut      bool          // it was longer than body
}

// read reads one packet. unix.EAGAIN: there is none.
func (r *receiver) read(fd int, p *received) error {
	r.iov.Base = &r.body[0]
	r.iov.SetLen(len(r.body))
	r.msg = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&r.from)), Iov: &r.iov, Control: &r.control[0]}
	r.msg.Namelen = unix.SizeofSockaddrInet6
	r.msg.SetIovlen(1)
	r.msg.SetControllen(len(r.control))
	// Not unix.Recvmsg: it allocates the sender's address. Raw: see wait.
	n, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&r.msg)), unix.MSG_DONTWAIT)
	if errno != 0 {
		return errno
	}
	*p = received{body: r.body[:n], source: r.from.Addr, hopLimit: -1, cut: r.msg.Flags&unix.MSG_TRUNC != 0}
	return p.annotate(r.control[:r.msg.Controllen])
}

// annotate reads the control messages that came with a packet.
func (p *received) annotate(control []byte) error {
	for len(control) >= unix.SizeofCmsghdr {
		h, data, rest, err := unix.ParseOneSocketControlMessage(control)
		if err != nil {
			return fmt.Errorf("reading a control message: %w", err)
		}
		control = rest
		switch {
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_HOPLIMIT && len(data) >= 4:
			p.hopLimit = int(int32(binary.NativeEndian.Uint32(data)))
		case h.Level == unix.SOL_SOCKET && h.Type == unix.SO_RXQ_OVFL && len(data) >= 4:
			p.lost = binary.NativeEndian.Uint32(data)
		case h.Level == unix.SOL_SOCKET && h.Type == unix.SO_TIMESTAMPNS && len(data) >= int(unsafe.Sizeof(unix.Timespec{})):
			p.realtime = time.Duration((*unix.Timespec)(unsafe.Pointer(&data[0])).Nano())
		}
	}
	return nil
}

// monotonic returns the time of CLOCK_MONOTONIC, in which all timers run.
func monotonic() time.Duration { return clock(unix.CLOCK_MONOTONIC) }

// realtime returns the time of CLOCK_REALTIME, in which the kernel stamps
// packets.
func realtime() time.Duration { return clock(unix.CLOCK_REALTIME) }

func clock(id int32) time.Duration {
	var ts unix.Timespec
	if _, _, errno := unix.RawSyscall(unix.SYS_CLOCK_GETTIME, uintptr(id), uintptr(unsafe.Pointer(&ts)), 0); errno != 0 {
		panic(errno) // the clock is one that every kernel has
	}
	return time.Duration(ts.Nano())
}

// addressOf is where BFD of a peer is sent to.
func addressOf(k key) unix.RawSockaddrInet6 {
	to := unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: k.Peer, Scope_id: k.Link}
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&to.Port))[:], bfd.Port)
	return to
}

// sendTo sends a packet that is not empty.
func sendTo(fd int, b []byte, to *unix.RawSockaddrInet6) unix.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
		unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(to)), unix.SizeofSockaddrInet6)
	return errno
}
