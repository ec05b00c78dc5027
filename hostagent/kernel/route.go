package kernel

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// rtaNHID is RTA_NH_ID of linux/rtnetlink.h: the next-hop object a route uses.
const rtaNHID = 30

// newRoute appends RTM_NEWROUTE for a unicast route of ours in the main table.
func (b *batch) newRoute(flags uint16, prefix netip.Prefix) {
	b.beginRoute(unix.RTM_NEWROUTE, flags, prefix, unix.RT_SCOPE_UNIVERSE, unix.RTN_UNICAST)
}

// delRoute appends RTM_DELROUTE for a route of ours in the main table, of any scope and type, and of any priority unless
// one is appended.
func (b *batch) delRoute(prefix netip.Prefix) {
	b.beginRoute(unix.RTM_DELROUTE, 0, prefix, unix.RT_SCOPE_NOWHERE, unix.RTN_UNSPEC)
}

func (b *batch) beginRoute(kind, flags uint16, prefix netip.Prefix, scopeAndType ...byte) {
	family := byte(unix.AF_INET6)
	if prefix.Addr().Is4() {
		family = unix.AF_INET
	}
	b.begin(kind, flags, family, byte(prefix.Bits()), 0, 0,
		unix.RT_TABLE_MAIN, Protocol, scopeAndType[0], scopeAndType[1], 0, 0, 0, 0)
	b.addr(unix.RTA_DST, prefix.Addr())
}

// multipath appends the next hops of a route that uses no object: by IPv6 addresses for IPv4 too (RTA_VIA, Linux 5.2).
func (b *batch) multipath(ipv4 bool, hops []hop) {
	nested := new(batch)
	nested.offsets = []int{0}
	nested.bytes = make([]byte, 4) // where a message has its length
	for _, h := range hops {
		start := len(nested.bytes)
		nested.bytes = append(nested.bytes, 0, 0, 0, 0) // struct rtnexthop: length, flags, weight less 1
		nested.bytes = binary.NativeEndian.AppendUint32(nested.bytes, uint32(h.link))
		nested.gateway(ipv4, h.addr)
		binary.NativeEndian.PutUint16(nested.bytes[start:], uint16(len(nested.bytes)-start))
	}
	b.attr(unix.RTA_MULTIPATH, nested.bytes[4:])
}

// gateway appends an IPv6 gateway of a route.
func (b *batch) gateway(ipv4 bool, a netip.Addr) {
	if !ipv4 {
		b.addr(unix.RTA_GATEWAY, a)
		return
	}
	raw := a.As16()
	b.bytes = binary.NativeEndian.AppendUint16(b.bytes, unix.SizeofRtAttr+2+16) // struct rtvia
	b.bytes = binary.NativeEndian.AppendUint16(b.bytes, unix.RTA_VIA)
	b.bytes = binary.NativeEndian.AppendUint16(b.bytes, unix.AF_INET6)
	b.bytes = append(b.bytes, raw[:]...)
	b.bytes = append(b.bytes, 0, 0) // padding
	b.end()
}

// listed is a route as the kernel lists it.
type listed struct {
	prefix        netip.Prefix
	source        netip.Addr // preferred, zero for none
	group, metric uint32
	hops          []hop // of a route that uses no object; without zones
	ours          bool
}

// parseRoute reads the body of RTM_NEWROUTE (struct rtmsg of linux/rtnetlink.h).
func parseRoute(body []byte) (listed, error) {
	if len(body) < unix.SizeofRtMsg {
		return listed{}, fmt.Errorf("route message of %d bytes: %w", len(body), unix.EBADMSG)
	}
	attrs := attributes(body[unix.SizeofRtMsg:])
	addr, ok := netip.AddrFromSlice(attrs[unix.RTA_DST])
	if !ok { // a default route carries no destination
		addr = netip.IPv6Unspecified()
		if body[0] == unix.AF_INET {
			addr = netip.IPv4Unspecified()
		}
	}
	table, ok := attrs.uint32(unix.RTA_TABLE)
	if !ok {
		table = uint32(body[4])
	}
	r := listed{
		prefix: netip.PrefixFrom(addr, int(body[1])),
		ours:   body[5] == Protocol && table == unix.RT_TABLE_MAIN,
		hops:   attrs.hops(),
	}
	r.source, _ = netip.AddrFromSlice(attrs[unix.RTA_PREFSRC])
	r.group, _ = attrs.uint32(rtaNHID)
	r.metric, _ = attrs.uint32(unix.RTA_PRIORITY)
	return r, nil
}

// hops returns the next hops that a route names itself: several, or one.
func (a attrs) hops() []hop {
	raw, ok := a[unix.RTA_MULTIPATH]
	if !ok {
		link, _ := a.uint32(unix.RTA_OIF)
		if gateway := a.gateway(); gateway.IsValid() {
			return []hop{{addr: gateway, link: int(link)}}
		}
		return nil
	}
	var hops []hop
	for len(raw) >= unix.SizeofRtNexthop {
		size := int(binary.NativeEndian.Uint16(raw))
		if size < unix.SizeofRtNexthop || size > len(raw) {
			break
		}
		link := int(int32(binary.NativeEndian.Uint32(raw[4:])))
		hops = append(hops, hop{addr: attributes(raw[unix.SizeofRtNexthop:size]).gateway(), link: link})
		raw = raw[min((size+3)&^3, len(raw)):]
	}
	return hops
}

// gateway returns the gateway, zero without one.
func (a attrs) gateway() netip.Addr {
	if via := a[unix.RTA_VIA]; len(via) > 2 {
		gateway, _ := netip.AddrFromSlice(via[2:])
		return gateway
	}
	gateway, _ := netip.AddrFromSlice(a[unix.RTA_GATEWAY])
	return gateway
}
