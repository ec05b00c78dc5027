package blast

import (
	"errors"
	"net"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/ipv6"
)

// advertiseEvery is how often a leaf advertises itself: a whole table is what
// is measured here, not how a leaf is found.
const advertiseEvery = 200 * time.Millisecond

// An advertiser sends router advertisements (RFC 4861 section 4.2).
type advertiser struct {
	conn   net.PacketConn
	to     *net.IPAddr
	packet []byte
	end    chan struct{}
	once   sync.Once
}

// newAdvertiser is to be called in the namespace of the link.
func newAdvertiser(ifi *net.Interface) (*advertiser, error) {
	conn, err := net.ListenPacket("ip6:ipv6-icmp", "::")
	if err != nil {
		return nil, err
	}
	p := ipv6.NewPacketConn(conn)
	var none ipv6.ICMPFilter
	none.SetAll(true) // we do not listen
	if err := errors.Join(p.SetMulticastHopLimit(255), p.SetICMPFilter(&none)); err != nil {
		conn.Close()
		return nil, err
	}
	// Type, code, checksum by the kernel; hop limit, flags, a lifetime of 1800 s; two
	// timers that are not specified; the source link-layer address.
	packet := append([]byte{134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1}, ifi.HardwareAddr...)
	to := &net.IPAddr{IP: net.IPv6linklocalallnodes, Zone: strconv.Itoa(ifi.Index)}
	return &advertiser{conn: conn, to: to, packet: packet, end: make(chan struct{})}, nil
}

func (a *advertiser) run() {
	tick := time.NewTicker(advertiseEvery)
	defer tick.Stop()
	for {
		select {
		case <-a.end:
			return
		case <-tick.C:
			// One that is lost is followed by others.
			_, _ = a.conn.WriteTo(a.packet, a.to)
		}
	}
}

func (a *advertiser) close() {
	a.once.Do(func() { close(a.end); a.conn.Close() })
}
