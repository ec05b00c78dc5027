package bgp

import (
	"encoding/binary"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// asPath is what a path attribute of that kind holds.
type asPath struct {
	numbers []uint32 // of all segments, without those of a confederation
	sets    [][2]int // see Attributes.Sets
	length  int      // see Attributes.Length
	// confederation says that there are segments of one (RFC 5065).
	confederation bool
}

// parseASPath reads AS_PATH, or AS4_PATH, with AS numbers of that many bytes.
// It says no to what is malformed (RFC 7606 section 7.2, RFC 7607 section 2).
func parseASPath(b []byte, asSize int) (asPath, bool) {
	p := asPath{numbers: make([]uint32, 0, len(b)/asSize)}
	for len(b) > 0 {
		kind, numbers, rest, ok := cutSegment(b, asSize)
		if !ok {
			return asPath{}, false
		}
		b = rest
		switch kind {
		case bgp.BGP_ASPATH_ATTR_TYPE_SET:
			p.length++
			p.sets = append(p.sets, [2]int{len(p.numbers), len(p.numbers) + len(numbers)/asSize})
		case bgp.BGP_ASPATH_ATTR_TYPE_SEQ:
			p.length += len(numbers) / asSize
		case bgp.BGP_ASPATH_ATTR_TYPE_CONFED_SEQ, bgp.BGP_ASPATH_ATTR_TYPE_CONFED_SET:
			p.confederation = true
			continue
		default:
			return asPath{}, false
		}
		for ; len(numbers) > 0; numbers = numbers[asSize:] {
			as := asNumber(numbers, asSize)
			if as == 0 {
				return asPath{}, false
			}
			p.numbers = append(p.numbers, as)
		}
	}
	return p, true
}

// cutSegment takes the first segment off an AS path.
func cutSegment(b []byte, asSize int) (kind byte, numbers, rest []byte, ok bool) {
	if len(b) < 2 {
		return 0, nil, nil, false
	}
	kind, size := b[0], int(b[1])*asSize
	if b = b[2:]; size == 0 || size > len(b) {
		return 0, nil, nil, false
	}
	return kind, b[:size], b[size:], true
}

func asNumber(b []byte, asSize int) uint32 {
	if asSize == 2 {
		return uint32(binary.BigEndian.Uint16(b))
	}
	return binary.BigEndian.Uint32(b)
}

// readASPath reads AS_PATH. Segments of a confederation that an external peer
// sends are an error (RFC 5065 section 5).
func (p *parsing) readASPath(v []byte) bool {
	path, ok := parseASPath(v, p.asSize)
	if !ok || path.confederation {
		return false
	}
	p.asPath, p.attrs.ASPath, p.attrs.Length = v, path.numbers, path.length
	p.attrs.Sets = path.sets
	return true
}

// readAS4Path reads AS4_PATH. Segments of a confederation in it are passed over
// (RFC 6793 section 6).
func (p *parsing) readAS4Path(v []byte) bool {
	if p.asSize == 4 { // RFC 6793 section 4.1
		p.tolerate(discardAttribute, "AS4_PATH comes from a peer with AS numbers of four bytes")
		return true
	}
	path, ok := parseASPath(v, 4)
	if !ok || len(v) == 0 {
		return false
	}
	p.as4Path = &path
	return true
}

// readAggregator reads AGGREGATOR, of which only the AS number matters.
func (p *parsing) readAggregator(v []byte) bool {
	if len(v) != p.asSize+4 || asNumber(v, p.asSize) == 0 {
		return false
	}
	p.aggregator = asNumber(v, p.asSize)
	return true
}

// readAS4Aggregator reads AS4_AGGREGATOR, which matters by being there.
func (p *parsing) readAS4Aggregator(v []byte) bool {
	p.as4Aggregator = len(v) == 8 && asNumber(v, 4) != 0
	return p.as4Aggregator
}

// reconcile puts together the path of a peer whose AS numbers have two bytes
// (RFC 6793 section 4.2.3).
func (p *parsing) reconcile() {
	if p.as4Path == nil || p.as4Path.length > p.attrs.Length {
		return
	}
	if p.as4Aggregator && p.aggregator != 0 && p.aggregator != bgp.AS_TRANS {
		return // somebody has aggregated who knew nothing of AS4_PATH
	}
	path := leadingASes(p.asPath, p.asSize, p.attrs.Length-p.as4Path.length)
	for _, s := range p.as4Path.sets {
		path.sets = append(path.sets, [2]int{s[0] + len(path.numbers), s[1] + len(path.numbers)})
	}
	p.attrs.ASPath, p.attrs.Sets = append(path.numbers, p.as4Path.numbers...), path.sets
}

// leadingASes returns the first part, length long, of a well-formed AS path.
func leadingASes(b []byte, asSize, length int) asPath {
	var p asPath
	for length > 0 {
		kind, numbers, rest, ok := cutSegment(b, asSize)
		if !ok {
			break
		}
		b = rest
		take := len(numbers) / asSize
		if kind == bgp.BGP_ASPATH_ATTR_TYPE_SET {
			length--
			p.sets = append(p.sets, [2]int{len(p.numbers), len(p.numbers) + take})
		} else {
			take = min(take, length)
			length -= take
		}
		for ; take > 0; take-- {
			p.numbers = append(p.numbers, asNumber(numbers, asSize))
			numbers = numbers[asSize:]
		}
	}
	return p
}
