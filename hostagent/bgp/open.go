package bgp

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// open is what an OPEN message says (RFC 4271 section 4.2), as far as it
// matters to us.
type open struct {
	as       uint32
	holdTime uint16 // seconds
	id       netip.Addr
	hostname string // ours; a peer's is not read

	capabilities
}

type capabilities struct {
	multiprotocol   bool    // names its families (RFC 4760 section 8)
	ipv4, ipv6      bool    // unicast, among those it names
	extendedNextHop bool    // IPv4 unicast with an IPv6 next hop (RFC 8950)
	fourOctetAS     bool    // RFC 6793
	routeRefresh    bool    // RFC 2918
	extendedMessage bool    // RFC 8654
	restart         restart // RFC 4724
}

// ourOpen is what we tell a peer, started being when Run was.
func ourOpen(cfg Config, options Options, started time.Time) open {
	hostname, _ := os.Hostname() // for the eyes of the leaf's operator only
	return open{
		as: cfg.AS, holdTime: uint16(cfg.HoldTime.Seconds()), id: cfg.RouterID, hostname: hostname,
		capabilities: capabilities{
			multiprotocol: true, ipv4: true, ipv6: true, extendedNextHop: true,
			fourOctetAS: true, routeRefresh: true, extendedMessage: true,
			restart: ourRestart(cfg, options, started),
		},
	}
}

// families returns the families of a session with the peer.
func (o open) families() []bgp.Family {
	var all []bgp.Family
	if o.ipv4 || !o.multiprotocol {
		all = append(all, bgp.RF_IPv4_UC)
	}
	if o.ipv6 {
		all = append(all, bgp.RF_IPv6_UC)
	}
	return all
}

// mayRefresh says if the body of a ROUTE-REFRESH asks for a family of the
// session. Others are passed over (RFC 2918 section 4), and so are the marks
// that RFC 7313 has in their place, which we do not offer.
func (o open) mayRefresh(body []byte) bool {
	family := bgp.NewFamily(binary.BigEndian.Uint16(body), body[3])
	return body[2] == 0 && slices.Contains(o.families(), family)
}

// parseOpen decodes the body of an OPEN message. The error is a *notification.
func parseOpen(body []byte) (open, error) {
	if version := body[0]; version != 4 {
		return open{}, &notification{code: errOpen, subcode: 1, data: []byte{0, 4},
			why: fmt.Sprintf("refused: the peer speaks BGP version %d, not 4", version)}
	}
	o := open{
		as:       uint32(binary.BigEndian.Uint16(body[1:])),
		holdTime: binary.BigEndian.Uint16(body[3:]),
		id:       netip.AddrFrom4([4]byte(body[5:9])),
	}
	malformed := &notification{code: errOpen, why: "refused: the peer's OPEN has malformed parameters"}
	parameters, lengthSize := body[10:], 1
	size := int(body[9])
	if size == 255 && len(parameters) >= 3 && parameters[0] == 255 { // RFC 9072 section 2
		size, lengthSize = int(binary.BigEndian.Uint16(parameters[1:])), 2
		parameters = parameters[3:]
	}
	if size != len(parameters) {
		return open{}, malformed
	}
	for len(parameters) > 0 {
		kind, value, rest, ok := cut(parameters, lengthSize)
		if !ok {
			return open{}, malformed
		}
		if kind != 2 { // RFC 5492 section 4
			return open{}, &notification{code: errOpen, subcode: 4,
				why: fmt.Sprintf("refused: the peer's OPEN has a parameter of the unknown type %d", kind)}
		}
		if !o.addCapabilities(value) {
			return open{}, malformed
		}
		parameters = rest
	}
	return o, nil
}

// cut takes the first type-length-value triple off b.
func cut(b []byte, lengthSize int) (kind byte, value, rest []byte, ok bool) {
	if len(b) < 1+lengthSize {
		return 0, nil, nil, false
	}
	size := int(b[1])
	if lengthSize == 2 {
		size = int(binary.BigEndian.Uint16(b[1:]))
	}
	value = b[1+lengthSize:]
	if size > len(value) {
		return 0, nil, nil, false
	}
	return b[0], value[:size], value[size:], true
}

// addCapabilities reads one capabilities parameter (RFC 5492 section 4) and
// says if it is well formed. What we do not know is passed over.
func (o *open) addCapabilities(b []byte) bool {
	for len(b) > 0 {
		code, value, rest, ok := cut(b, 1)
		if !ok {
			return false
		}
		switch bgp.BGPCapabilityCode(code) {
		case bgp.BGP_CAP_MULTIPROTOCOL:
			if len(value) != 4 {
				return false
			}
			o.multiprotocol = true
			switch bgp.NewFamily(binary.BigEndian.Uint16(value), value[3]) {
			case bgp.RF_IPv4_UC:
				o.ipv4 = true
			case bgp.RF_IPv6_UC:
				o.ipv6 = true
			}
		case bgp.BGP_CAP_EXTENDED_NEXTHOP:
			if len(value)%6 != 0 {
				return false
			}
			for ; len(value) > 0; value = value[6:] {
				if [6]byte(value) == [6]byte{0, bgp.AFI_IP, 0, bgp.SAFI_UNICAST, 0, bgp.AFI_IP6} {
					o.extendedNextHop = true
				}
			}
		case bgp.BGP_CAP_FOUR_OCTET_AS_NUMBER:
			if len(value) != 4 {
				return false
			}
			o.fourOctetAS, o.as = true, binary.BigEndian.Uint32(value)
		case bgp.BGP_CAP_GRACEFUL_RESTART:
			var ok bool
			if o.restart, ok = parseRestart(value); !ok {
				return false
			}
		case bgp.BGP_CAP_ROUTE_REFRESH:
			o.routeRefresh = true
		case bgp.BGP_CAP_EXTENDED_MESSAGE:
			o.extendedMessage = true
		}
		b = rest
	}
	return true
}

// check says what keeps us from a session with the peer whose OPEN this is, as
// a *notification (RFC 4271 section 6.2).
func (o open) check(ownAS uint32, options Options) error {
	if err := options.checkAS(o.as, ownAS); err != nil {
		return err
	}
	switch {
	case o.id.IsUnspecified(): // RFC 6286 section 2.1
		return &notification{code: errOpen, subcode: 3, why: "refused: the peer's BGP identifier is 0.0.0.0"}
	case o.holdTime == 1 || o.holdTime == 2:
		return &notification{code: errOpen, subcode: 6, why: fmt.Sprintf("refused: the peer's hold time is %d s, less than 3 s", o.holdTime)}
	case o.multiprotocol && !o.ipv4 && !o.ipv6:
		return &notification{code: errOpen, subcode: 7, why: "refused: the peer offers neither IPv4 nor IPv6 unicast"}
	}
	return nil
}

// message encodes an OPEN. It says no more than what stands in o, so that a
// peer's OPEN that is passed on holds nothing that was not understood here.
func (o open) message() (message, error) {
	var all []bgp.ParameterCapabilityInterface
	add := func(has bool, c bgp.ParameterCapabilityInterface) {
		if has {
			all = append(all, c)
		}
	}
	add(o.ipv4, bgp.NewCapMultiProtocol(bgp.RF_IPv4_UC))
	add(o.ipv6, bgp.NewCapMultiProtocol(bgp.RF_IPv6_UC))
	add(o.extendedNextHop, bgp.NewCapExtendedNexthop([]*bgp.CapExtendedNexthopTuple{
		bgp.NewCapExtendedNexthopTuple(bgp.RF_IPv4_UC, bgp.AFI_IP6),
	}))
	add(o.fourOctetAS, bgp.NewCapFourOctetASNumber(o.as))
	add(o.routeRefresh, bgp.NewCapRouteRefresh())
	add(o.extendedMessage, bgp.NewCapExtendedMessage())
	add(o.restart.present, o.restart.capability())
	add(o.hostname != "", bgp.NewCapFQDN(o.hostname, ""))
	as := uint16(bgp.AS_TRANS)
	if o.as < 1<<16 {
		as = uint16(o.as)
	}
	m, err := bgp.NewBGPOpenMessage(as, o.holdTime, o.id,
		[]bgp.OptionParameterInterface{bgp.NewOptionParameterCapability(all)})
	if err != nil {
		return nil, err
	}
	return m.Serialize()
}
