package blast

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"time"
)

// The types of BGP messages (RFC 4271 section 4.1).
const (
	typeOpen         = 1
	typeUpdate       = 2
	typeNotification = 3
	typeKeepalive    = 4
)

const (
	headerSize  = 19
	maxSize     = 4096
	asTrans     = 23456 // RFC 6793
	firstPrefix = 20 << 24
)

// A Table is what a leaf announces: IPv4 host routes from 20.0.0.0 on, one
// after the other.
type Table struct {
	Prefixes int
	PerPath  int // how many in a row share their attributes; they travel in as few UPDATEs as hold them
}

// Prefix returns the i-th prefix.
func (Table) Prefix(i int) netip.Prefix {
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], firstPrefix+uint32(i))
	return netip.PrefixFrom(netip.AddrFrom4(a), 32)
}

func message(kind byte, body []byte) []byte {
	m := bytes.Repeat([]byte{0xff}, 16)
	m = binary.BigEndian.AppendUint16(m, uint16(headerSize+len(body)))
	return append(append(m, kind), body...)
}

var keepalive = message(typeKeepalive, nil)

// openMessage offers IPv4 and IPv6, AS numbers of four octets, and IPv4 with
// IPv6 next hops (RFC 8950).
func openMessage(cfg Config) []byte {
	as := binary.BigEndian.AppendUint32(nil, cfg.AS)
	var options []byte
	for _, c := range []struct {
		code  byte
		value []byte
	}{
		{1, []byte{0, 1, 0, 1}}, {1, []byte{0, 2, 0, 1}}, {2, nil}, {65, as}, {5, []byte{0, 1, 0, 1, 0, 2}},
	} {
		options = append(options, 2, byte(2+len(c.value)), c.code, byte(len(c.value)))
		options = append(options, c.value...)
	}
	short := uint16(asTrans)
	if cfg.AS < 1<<16 {
		short = uint16(cfg.AS)
	}
	body := binary.BigEndian.AppendUint16([]byte{4}, short)
	body = binary.BigEndian.AppendUint16(body, uint16(cfg.HoldTime/time.Second))
	id := cfg.RouterID.As4()
	body = append(append(body, id[:]...), byte(len(options)))
	return message(typeOpen, append(body, options...))
}

// endOfRIB are the markers of both families (RFC 4724 section 2): without that of
// IPv6 the leaf's routes are never all there.
var endOfRIB = append(message(typeUpdate, []byte{0, 0, 0, 0}), message(typeUpdate, []byte{0, 0, 0, 6, 0x80, 15, 3, 0, 2, 1})...)

// encode returns the UPDATEs of the table and the End-of-RIB markers.
func (t Table) encode(as uint32, nextHop netip.Addr) []byte {
	const perPrefix = 5
	wire := make([]byte, 0, t.Prefixes*(perPrefix+1)+1<<12)
	for first := 0; first < t.Prefixes; first += t.PerPath {
		shared := attributes(as, first/t.PerPath)
		room := (maxSize - headerSize - 4 - len(shared) - 4 - 21) / perPrefix
		end := min(t.Prefixes, first+t.PerPath)
		for i := first; i < end; i += room {
			wire = append(wire, t.update(i, min(end, i+room), shared, nextHop)...)
		}
	}
	return append(wire, endOfRIB...)
}

// update announces the prefixes [from, to) in MP_REACH_NLRI, with the next hop
// of 16 bytes that RFC 8950 allows a link-local one to be.
func (t Table) update(from, to int, shared []byte, nextHop netip.Addr) []byte {
	hop := nextHop.As16()
	reach := append([]byte{0, 1, 1, 16}, hop[:]...)
	reach = append(reach, 0)
	for i := from; i < to; i++ {
		a := t.Prefix(i).Addr().As4()
		reach = append(append(reach, 32), a[:]...)
	}
	attrs := append([]byte{0x90, 14}, binary.BigEndian.AppendUint16(nil, uint16(len(reach)))...)
	attrs = append(append(attrs, reach...), shared...)
	body := binary.BigEndian.AppendUint16([]byte{0, 0}, uint16(len(attrs)))
	return message(typeUpdate, append(body, attrs...))
}

// withdrawals returns the UPDATEs that withdraw the table, in MP_UNREACH_NLRI
// (RFC 4760 section 4).
func (t Table) withdrawals() []byte {
	const room = (maxSize - headerSize - 4 - 4 - 3) / 5
	var wire []byte
	for i := 0; i < t.Prefixes; i += room {
		gone := []byte{0, 1, 1}
		for j := i; j < min(t.Prefixes, i+room); j++ {
			a := t.Prefix(j).Addr().As4()
			gone = append(append(gone, 32), a[:]...)
		}
		attrs := append([]byte{0x90, 15}, binary.BigEndian.AppendUint16(nil, uint16(len(gone)))...)
		attrs = append(attrs, gone...)
		body := binary.BigEndian.AppendUint16([]byte{0, 0}, uint16(len(attrs)))
		wire = append(wire, message(typeUpdate, append(body, attrs...))...)
	}
	return wire
}

// attributes are those of the n-th path: ORIGIN IGP, an AS_PATH of three, of
// which the last two differ from path to path, and a community. All leaves
// have paths of the same length, so that all of them are used.
func attributes(as uint32, n int) []byte {
	path := []byte{2, 3}
	for _, a := range []uint32{as, 4200000000 + uint32(n*7)%90000000, 4200000000 + uint32(n*7+1000003)%90000000} {
		path = binary.BigEndian.AppendUint32(path, a)
	}
	b := []byte{0x40, 1, 1, 0, 0x40, 2, byte(len(path))}
	b = append(append(b, path...), 0xc0, 8, 4)
	return binary.BigEndian.AppendUint32(b, 64512<<16|uint32(n)&0xffff)
}
