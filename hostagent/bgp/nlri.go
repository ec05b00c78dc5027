package bgp

import (
	"net/netip"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// nlri is a list of prefixes as it stands on the wire (RFC 4271 section 4.3,
// RFC 4760 section 5).
type nlri struct {
	family    bgp.Family
	bytes     []byte
	count     int    // of prefixes, once they have been checked
	attribute []byte // that the list is in, nil for a field of the message
}

// check counts the prefixes and says if they are well formed (RFC 7606 section
// 5.3). Those of other families than ours are not looked at.
func (n *nlri) check() bool {
	most := 32
	switch n.family {
	case bgp.RF_IPv4_UC:
	case bgp.RF_IPv6_UC:
		most = 128
	default:
		return true
	}
	for b := n.bytes; len(b) > 0; n.count++ {
		bits := int(b[0])
		size := 1 + (bits+7)/8
		if bits > most || size > len(b) {
			return false
		}
		b = b[size:]
	}
	return true
}

// cutPrefix takes the first prefix off a list that has been checked. Bits
// beyond its length are of no meaning (RFC 4271 section 4.3), even if they are
// those of the next prefix.
func (n *nlri) cutPrefix(b []byte) (netip.Prefix, []byte) {
	bits, bytes := int(b[0]), b[1:]
	var addr netip.Addr
	if n.family == bgp.RF_IPv4_UC {
		var a [4]byte
		if len(bytes) < len(a) {
			copy(a[:], bytes)
		} else {
			a = [4]byte(bytes) // which is faster
		}
		addr = netip.AddrFrom4(a)
	} else {
		var a [16]byte
		if len(bytes) < len(a) {
			copy(a[:], bytes)
		} else {
			a = [16]byte(bytes)
		}
		addr = netip.AddrFrom16(a)
	}
	prefix, _ := addr.Prefix(bits) // it is neither too long nor has it a zone
	return prefix, bytes[(bits+7)/8:]
}

func (n *nlri) appendTo(list []netip.Prefix) []netip.Prefix {
	for b := n.bytes; len(b) > 0; {
		var prefix netip.Prefix
		prefix, b = n.cutPrefix(b)
		list = append(list, prefix)
	}
	return list
}

// appendRoutes appends the prefixes that can be routed (RFC 4271 section 6.3:
// others are passed over).
func (n *nlri) appendRoutes(list []Route, attrs *Attributes) []Route {
	for b := n.bytes; len(b) > 0; {
		var prefix netip.Prefix
		prefix, b = n.cutPrefix(b)
		if a := prefix.Addr(); a.IsMulticast() || a.IsLoopback() || a.Is6() && a.IsLinkLocalUnicast() {
			continue
		}
		list = list[:len(list)+1]
		r := &list[len(list)-1]
		r.Prefix, r.Attributes = prefix, attrs
	}
	return list
}
