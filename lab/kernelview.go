package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"lastmile/lab/netns"
)

// A kernelView looks at the IPv4 routes and next-hop objects of a namespace by
// netlink, cheaply enough to be asked every millisecond. One goroutine uses it.
type kernelView struct {
	sockets map[int]*nl.SocketHandle
}

// devices is a set of interfaces, by index.
type devices map[int]bool

func newKernelView(ns *netns.NS) (*kernelView, error) {
	v := &kernelView{}
	err := ns.Do(func() error {
		s, err := nl.Subscribe(unix.NETLINK_ROUTE)
		v.sockets = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: s}}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: opening a netlink socket: %w", ns.Name, err)
	}
	return v, nil
}

func (v *kernelView) close() { v.sockets[unix.NETLINK_ROUTE].Close() }

func (v *kernelView) request(kind, flags int) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(kind, flags)
	req.Sockets = v.sockets
	return req
}

const (
	rtmFFibMatch = 0x2000 // RTM_F_FIB_MATCH
	rtaNHID      = 30     // RTA_NH_ID
	unusable     = 1 | 16 // RTNH_F_DEAD and RTNH_F_LINKDOWN, in the lowest byte of the flags
)

// routeTo returns over which devices the host route leads, nil if there is
// none.
func (v *kernelView) routeTo(prefix netip.Prefix) (devices, error) {
	req := v.request(unix.RTM_GETROUTE, unix.NLM_F_REQUEST)
	m := &nl.RtMsg{RtMsg: unix.RtMsg{Family: unix.AF_INET, Dst_len: 32, Flags: rtmFFibMatch}}
	req.AddData(m)
	req.AddData(nl.NewRtAttr(unix.RTA_DST, prefix.Addr().AsSlice()))
	answers, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWROUTE)
	if errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH) {
		return nil, nil
	}
	if err != nil || len(answers) == 0 {
		return nil, fmt.Errorf("asking for the route to %s: %w", prefix, err)
	}
	r := parseRoute(answers[0])
	if r.dst != prefix {
		return nil, nil
	}
	if r.group != 0 {
		return v.over(r.group)
	}
	return r.over, nil
}

// missing returns which of the table's host routes do not lead as they should.
func (v *kernelView) missing(size int, prefix func(int) netip.Prefix, right func(devices) bool) ([]int, error) {
	there := make([]bool, size)
	first := prefixNumber(prefix(0))
	groups := map[uint32]bool{}
	req := v.request(unix.RTM_GETROUTE, unix.NLM_F_DUMP)
	req.AddData(&nl.RtMsg{RtMsg: unix.RtMsg{Family: unix.AF_INET}})
	var routes []listedRoute
	err := req.ExecuteIter(unix.NETLINK_ROUTE, unix.RTM_NEWROUTE, func(b []byte) bool {
		r := parseRoute(b)
		if i := int(prefixNumber(r.dst)) - int(first); r.dst.Bits() == 32 && i >= 0 && i < size {
			if r.group != 0 {
				groups[r.group] = true
				routes = append(routes, listedRoute{number: i, group: r.group})
			} else {
				there[i] = right(r.over)
			}
		}
		return true
	})
	// Routes that changed meanwhile are looked at one by one, if they are missing.
	if err != nil && !errors.Is(err, nl.ErrDumpInterrupted) {
		return nil, fmt.Errorf("listing the routes: %w", err)
	}
	for g := range groups {
		over, err := v.over(g)
		if err != nil {
			return nil, err
		}
		groups[g] = right(over)
	}
	for _, r := range routes {
		there[r.number] = groups[r.group]
	}
	var missing []int
	for i, ok := range there {
		if !ok {
			missing = append(missing, i)
		}
	}
	return missing, nil
}

type listedRoute struct {
	number int
	group  uint32
}

func prefixNumber(p netip.Prefix) uint32 {
	if !p.Addr().Is4() {
		return 0
	}
	a := p.Addr().As4()
	return binary.BigEndian.Uint32(a[:])
}

// over returns the devices of a next-hop object or group; nil if it is gone.
func (v *kernelView) over(id uint32) (devices, error) {
	o, err := v.object(id)
	if err != nil || o.id == 0 {
		return nil, err
	}
	over := devices{}
	for _, member := range o.members {
		m, err := v.object(member)
		if err != nil {
			return nil, err
		}
		if m.device != 0 {
			over[m.device] = true
		}
	}
	if o.device != 0 {
		over[o.device] = true
	}
	return over, nil
}

// A nextHopObject is one of the kernel's: a next hop, or a group of them.
type nextHopObject struct {
	id      uint32
	device  int
	members []uint32
}

// object returns the one of that number, the zero value if it is gone.
func (v *kernelView) object(id uint32) (nextHopObject, error) {
	req := v.request(unix.RTM_GETNEXTHOP, unix.NLM_F_REQUEST)
	req.AddData(nhmsg{})
	req.AddData(nl.NewRtAttr(unix.NHA_ID, nl.Uint32Attr(id)))
	answers, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWNEXTHOP)
	if errors.Is(err, unix.ENOENT) {
		return nextHopObject{}, nil
	}
	if err != nil || len(answers) == 0 {
		return nextHopObject{}, fmt.Errorf("asking for next-hop object %d: %w", id, err)
	}
	return parseNextHop(answers[0]), nil
}

// objects lists all of them.
func (v *kernelView) objects() (map[uint32]nextHopObject, error) {
	req := v.request(unix.RTM_GETNEXTHOP, unix.NLM_F_DUMP)
	req.AddData(nhmsg{})
	answers, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWNEXTHOP)
	if err != nil {
		return nil, fmt.Errorf("listing next-hop objects: %w", err)
	}
	all := map[uint32]nextHopObject{}
	for _, a := range answers {
		o := parseNextHop(a)
		all[o.id] = o
	}
	return all, nil
}

const sizeofNhmsg = 8

// nhmsg is the header of a request for next-hop objects, all zero.
type nhmsg struct{}

func (nhmsg) Len() int          { return sizeofNhmsg }
func (nhmsg) Serialize() []byte { return make([]byte, sizeofNhmsg) }

// eachAttribute hands the attributes of a message to each.
func eachAttribute(b []byte, each func(kind uint16, value []byte)) {
	for len(b) >= unix.SizeofRtAttr {
		size, kind := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])
		if size < unix.SizeofRtAttr || size > len(b) {
			return
		}
		each(kind, b[unix.SizeofRtAttr:size])
		b = b[min((size+3)&^3, len(b)):]
	}
}

type kernelRoute struct {
	dst   netip.Prefix
	group uint32
	over  devices // without a group
}

// parseRoute reads the body of RTM_NEWROUTE; the zero value if it is none of
// the main table.
func parseRoute(b []byte) kernelRoute {
	if len(b) < unix.SizeofRtMsg || b[0] != unix.AF_INET || b[4] != unix.RT_TABLE_MAIN {
		return kernelRoute{}
	}
	r := kernelRoute{over: devices{}}
	bits := int(b[1])
	eachAttribute(b[unix.SizeofRtMsg:], func(kind uint16, value []byte) {
		switch {
		case kind == unix.RTA_DST && len(value) == 4:
			r.dst = netip.PrefixFrom(netip.AddrFrom4([4]byte(value)), bits)
		case kind == rtaNHID && len(value) == 4:
			r.group = binary.NativeEndian.Uint32(value)
		case kind == unix.RTA_OIF && len(value) == 4 && b[8]&unusable == 0:
			r.over[int(binary.NativeEndian.Uint32(value))] = true
		case kind == unix.RTA_MULTIPATH:
			for len(value) >= unix.SizeofRtNexthop {
				size := int(binary.NativeEndian.Uint16(value))
				if size < unix.SizeofRtNexthop || size > len(value) {
					return
				}
				if value[2]&unusable == 0 {
					r.over[int(binary.NativeEndian.Uint32(value[4:]))] = true
				}
				value = value[min((size+3)&^3, len(value)):]
			}
		}
	})
	return r
}

// parseNextHop reads the body of RTM_NEWNEXTHOP or RTM_DELNEXTHOP.
func parseNextHop(b []byte) nextHopObject {
	var o nextHopObject
	if len(b) < sizeofNhmsg {
		return o
	}
	eachAttribute(b[sizeofNhmsg:], func(kind uint16, value []byte) {
		switch {
		case kind == unix.NHA_ID && len(value) == 4:
			o.id = binary.NativeEndian.Uint32(value)
		case kind == unix.NHA_OIF && len(value) == 4:
			o.device = int(binary.NativeEndian.Uint32(value))
		case kind == unix.NHA_GROUP:
			for member := range slices.Chunk(value, 8) { // struct nexthop_grp
				o.members = append(o.members, binary.NativeEndian.Uint32(member))
			}
		}
	})
	return o
}
