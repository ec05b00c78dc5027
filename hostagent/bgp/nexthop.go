package bgp

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// noNextHop stands in GoBGP's announcements for the address that a session is
// spoken from.
var noNextHop = netip.MustParseAddr("fe80::")

// setNextHop writes the next hop into an UPDATE of GoBGP's: 16 bytes, as Junos
// wants them, and draft-ietf-idr-linklocal-capability-05.
func setNextHop(update message, nextHop netip.Addr) error {
	body := update.body()
	malformed := fmt.Errorf("GoBGP's update is malformed: %x", body)
	withdrawn := 2 + int(binary.BigEndian.Uint16(body))
	if withdrawn+2 > len(body) {
		return malformed
	}
	size := int(binary.BigEndian.Uint16(body[withdrawn:]))
	attributes := body[withdrawn+2:]
	if size > len(attributes) {
		return malformed
	}
	for attributes = attributes[:size]; len(attributes) > 0; {
		lengthSize := 1
		if attributes[0]&uint8(bgp.BGP_ATTR_FLAG_EXTENDED_LENGTH) != 0 {
			lengthSize = 2
		}
		kind, value, rest, ok := cut(attributes[1:], lengthSize)
		if !ok {
			return malformed
		}
		if bgp.BGPAttrType(kind) == bgp.BGP_ATTR_TYPE_MP_REACH_NLRI {
			// AFI, SAFI, and the next hop with its size (RFC 4760 section 3).
			if len(value) < 4+16 || value[3] != 16 {
				return malformed
			}
			as16 := nextHop.As16()
			copy(value[4:], as16[:])
		}
		attributes = rest
	}
	return nil
}
