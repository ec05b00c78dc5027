package bgp

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// attribute is a path attribute as it stands on the wire (RFC 4271 section 4.3).
type attribute struct {
	flags bgp.BGPAttrFlag
	kind  bgp.BGPAttrType
	value []byte
	raw   []byte // all of it
}

const (
	wellKnown   = bgp.BGP_ATTR_FLAG_TRANSITIVE
	ofOneHop    = bgp.BGP_ATTR_FLAG_OPTIONAL
	passedAlong = bgp.BGP_ATTR_FLAG_OPTIONAL | bgp.BGP_ATTR_FLAG_TRANSITIVE
)

// flagsOf returns the category of an attribute that we know.
func flagsOf(t bgp.BGPAttrType) (flags bgp.BGPAttrFlag, known bool) {
	switch t {
	case bgp.BGP_ATTR_TYPE_ORIGIN, bgp.BGP_ATTR_TYPE_AS_PATH, bgp.BGP_ATTR_TYPE_NEXT_HOP,
		bgp.BGP_ATTR_TYPE_LOCAL_PREF, bgp.BGP_ATTR_TYPE_ATOMIC_AGGREGATE:
		return wellKnown, true
	case bgp.BGP_ATTR_TYPE_MULTI_EXIT_DISC, bgp.BGP_ATTR_TYPE_ORIGINATOR_ID, bgp.BGP_ATTR_TYPE_CLUSTER_LIST,
		bgp.BGP_ATTR_TYPE_MP_REACH_NLRI, bgp.BGP_ATTR_TYPE_MP_UNREACH_NLRI:
		return ofOneHop, true
	case bgp.BGP_ATTR_TYPE_AGGREGATOR, bgp.BGP_ATTR_TYPE_AS4_PATH, bgp.BGP_ATTR_TYPE_AS4_AGGREGATOR,
		bgp.BGP_ATTR_TYPE_COMMUNITIES, bgp.BGP_ATTR_TYPE_EXTENDED_COMMUNITIES,
		bgp.BGP_ATTR_TYPE_IP6_EXTENDED_COMMUNITIES, bgp.BGP_ATTR_TYPE_LARGE_COMMUNITY:
		return passedAlong, true
	}
	return 0, false
}

func nameOf(t bgp.BGPAttrType) string {
	if name, ok := strings.CutPrefix(t.String(), "BGP_ATTR_TYPE_"); ok {
		return name
	}
	return fmt.Sprintf("attribute %d", t)
}

// describe says what is wrong with an attribute.
func (a attribute) describe(problem string) string { return nameOf(a.kind) + " " + problem }

// cutAttribute takes the first attribute off b.
func cutAttribute(b []byte) (a attribute, rest []byte, ok bool) {
	header, size := 3, 0
	if len(b) < header {
		return attribute{}, nil, false
	}
	a = attribute{flags: bgp.BGPAttrFlag(b[0]), kind: bgp.BGPAttrType(b[1])}
	if size = int(b[2]); a.flags&bgp.BGP_ATTR_FLAG_EXTENDED_LENGTH != 0 {
		if header++; len(b) < header {
			return a, nil, false
		}
		size = int(binary.BigEndian.Uint16(b[2:]))
	}
	if size > len(b)-header {
		return a, nil, false
	}
	a.raw, a.value = b[:header+size], b[header:header+size]
	return a, b[header+size:], true
}

// attributes reads the attributes of an UPDATE, in whatever order they come.
func (p *parsing) attributes(b []byte) error {
	for len(b) > 0 {
		a, rest, ok := cutAttribute(b)
		if !ok { // RFC 7606 section 4
			a.raw = b
			if a.isMultiprotocol() {
				return p.malformed(a, "is longer than the attributes' field")
			}
			p.tolerate(treatAsWithdrawal, "an attribute is longer than the attributes' field")
			return nil
		}
		b = rest
		p.found++
		if p.has(a.kind) { // RFC 7606 section 3 g
			if a.isMultiprotocol() {
				return resetSession(subAttributeList, nil, a.describe("is there twice"))
			}
			p.tolerate(discardAttribute, a.describe("is there twice"))
			continue
		}
		p.seen[a.kind/64] |= 1 << (a.kind % 64)
		if err := p.attribute(a); err != nil {
			return err
		}
	}
	return nil
}

// attribute reads one attribute. One that is optional and that we do not know
// is passed over: we pass no route on.
func (p *parsing) attribute(a attribute) error {
	want, known := flagsOf(a.kind)
	switch {
	case !known && a.flags&bgp.BGP_ATTR_FLAG_OPTIONAL == 0: // RFC 4271 section 6.3
		return resetSession(subUnrecognized, a.raw, a.describe("is well-known, but not to us"))
	case !known:
		return nil
	case a.flags&(bgp.BGP_ATTR_FLAG_OPTIONAL|bgp.BGP_ATTR_FLAG_TRANSITIVE) != want: // RFC 7606 section 3 c
		return p.malformed(a, "has the wrong flags")
	case !p.read(a):
		return p.malformed(a, "is malformed")
	}
	return nil
}

func (a attribute) isMultiprotocol() bool {
	return a.kind == bgp.BGP_ATTR_TYPE_MP_REACH_NLRI || a.kind == bgp.BGP_ATTR_TYPE_MP_UNREACH_NLRI
}

// malformed does what RFC 7606 section 7 asks for, attribute by attribute.
func (p *parsing) malformed(a attribute, problem string) error {
	switch a.kind {
	case bgp.BGP_ATTR_TYPE_MP_REACH_NLRI, bgp.BGP_ATTR_TYPE_MP_UNREACH_NLRI: // sections 5.3, 7.11 and 7.12
		return resetSession(subOptionalAttribute, a.raw, a.describe(problem))
	case bgp.BGP_ATTR_TYPE_ATOMIC_AGGREGATE, bgp.BGP_ATTR_TYPE_AGGREGATOR, // section 3 f
		bgp.BGP_ATTR_TYPE_AS4_PATH, bgp.BGP_ATTR_TYPE_AS4_AGGREGATOR: // RFC 6793 section 6
		p.tolerate(discardAttribute, a.describe(problem))
	default:
		p.tolerate(treatAsWithdrawal, a.describe(problem))
	}
	return nil
}

// read takes what matters out of an attribute and says if it is well formed
// (RFC 7606 section 7).
func (p *parsing) read(a attribute) bool {
	v := a.value
	switch a.kind {
	case bgp.BGP_ATTR_TYPE_ORIGIN:
		if len(v) != 1 || v[0] > bgp.BGP_ORIGIN_ATTR_TYPE_INCOMPLETE {
			return false
		}
		p.attrs.Origin = v[0]
	case bgp.BGP_ATTR_TYPE_AS_PATH:
		return p.readASPath(v)
	case bgp.BGP_ATTR_TYPE_NEXT_HOP:
		return len(v) == 4
	case bgp.BGP_ATTR_TYPE_MULTI_EXIT_DISC:
		if len(v) != 4 {
			return false
		}
		p.attrs.MED = binary.BigEndian.Uint32(v)
	case bgp.BGP_ATTR_TYPE_LOCAL_PREF, bgp.BGP_ATTR_TYPE_ORIGINATOR_ID, bgp.BGP_ATTR_TYPE_CLUSTER_LIST:
		p.tolerate(discardAttribute, a.describe("comes from an external peer"))
	case bgp.BGP_ATTR_TYPE_ATOMIC_AGGREGATE:
		return len(v) == 0
	case bgp.BGP_ATTR_TYPE_AGGREGATOR:
		return p.readAggregator(v)
	case bgp.BGP_ATTR_TYPE_COMMUNITIES:
		return p.readCommunities(v)
	case bgp.BGP_ATTR_TYPE_MP_REACH_NLRI:
		return p.readReach(a)
	case bgp.BGP_ATTR_TYPE_MP_UNREACH_NLRI:
		return p.readUnreach(a)
	case bgp.BGP_ATTR_TYPE_EXTENDED_COMMUNITIES:
		return len(v) > 0 && len(v)%8 == 0
	case bgp.BGP_ATTR_TYPE_AS4_PATH:
		return p.readAS4Path(v)
	case bgp.BGP_ATTR_TYPE_AS4_AGGREGATOR:
		return p.readAS4Aggregator(v)
	case bgp.BGP_ATTR_TYPE_IP6_EXTENDED_COMMUNITIES:
		return len(v) > 0 && len(v)%20 == 0
	case bgp.BGP_ATTR_TYPE_LARGE_COMMUNITY: // RFC 8092 section 6
		return p.readLargeCommunities(v)
	}
	return true
}

func (p *parsing) readCommunities(v []byte) bool {
	if len(v) == 0 || len(v)%4 != 0 {
		return false
	}
	p.attrs.Communities = make([]uint32, 0, len(v)/4)
	for ; len(v) > 0; v = v[4:] {
		p.attrs.Communities = append(p.attrs.Communities, binary.BigEndian.Uint32(v))
	}
	return true
}

func (p *parsing) readLargeCommunities(v []byte) bool {
	if len(v) == 0 || len(v)%12 != 0 {
		return false
	}
	p.attrs.LargeCommunities = make([][3]uint32, 0, len(v)/12)
	for ; len(v) > 0; v = v[12:] {
		p.attrs.LargeCommunities = append(p.attrs.LargeCommunities, [3]uint32{
			binary.BigEndian.Uint32(v), binary.BigEndian.Uint32(v[4:]), binary.BigEndian.Uint32(v[8:])})
	}
	return true
}

// readReach reads MP_REACH_NLRI (RFC 4760 section 3). The next hop is the
// session's neighbour, whatever stands here; but it says where the prefixes
// begin.
func (p *parsing) readReach(a attribute) bool {
	v := a.value
	if len(v) < 5 {
		return false
	}
	family, hop := familyIn(v), int(v[3])
	if len(v) < 4+hop+1 || !validNextHop(family, hop) {
		return false
	}
	p.announced[1] = nlri{family: family, bytes: v[4+hop+1:], attribute: a.raw}
	return true
}

// validNextHop checks the length of a next hop in MP_REACH_NLRI: an address, or
// a global and a link-local one (RFC 2545 section 3, RFC 8950 section 4).
func validNextHop(family bgp.Family, size int) bool {
	switch family {
	case bgp.RF_IPv4_UC:
		return size == 4 || size == 16 || size == 32
	case bgp.RF_IPv6_UC:
		return size == 16 || size == 32
	}
	return true // not one of ours
}

// readUnreach reads MP_UNREACH_NLRI (RFC 4760 section 4).
func (p *parsing) readUnreach(a attribute) bool {
	v := a.value
	if len(v) < 3 {
		return false
	}
	p.withdrawn[1] = nlri{family: familyIn(v), bytes: v[3:], attribute: a.raw}
	return true
}

func familyIn(v []byte) bgp.Family { return bgp.NewFamily(binary.BigEndian.Uint16(v), v[2]) }
