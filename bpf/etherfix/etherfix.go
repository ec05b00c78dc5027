// Package etherfix is the rule by which IPv4 packets in frames marked as IPv6 are repaired, in plain Go. The program in the
// kernel (etherfix.h) is tested to do exactly this.
//
// Some Junos releases send the packets of their own control plane (answers to ping, ssh, SNMP) that way when the route to
// the server has an IPv6 next hop (RFC 8950); Linux drops them and counts Ip6InHdrErrors. Genuine IPv6 begins with the nibble
// 6, so a frame that is all right cannot be taken for one that is not. What the rule is not certain of stays as it is, is
// passed on and counted.
package etherfix

import "encoding/binary"

// A Verdict is what the rule makes of a frame.
type Verdict int

// Verdicts; the order is that of enum verdict in etherfix.h.
const (
	Intact        Verdict = iota // not marked IPv6 behind at most two VLAN tags, or IPv6 indeed
	RepairPlain                  // repaired, without a VLAN tag
	RepairDot1Q                  // repaired, behind one tag, 802.1Q or 802.1ad
	RepairQinQ                   // repaired, behind two tags
	DoubtShort                   // marked IPv6, and ends before an IPv4 header would
	DoubtVersion                 // marked IPv6, and neither version 4 nor 6
	DoubtHeader                  // IPv4 header length below 20 bytes
	DoubtLength                  // IPv4 total length shorter than the header or longer than the frame
	DoubtChecksum                // IPv4 header checksum wrong
	verdicts
)

// Names of the verdicts as they stand in metrics and `show`: of repairs the kind, of doubts the reason.
var names = [verdicts]string{
	"intact", "plain", "802.1q", "qinq", "short", "version", "header", "length", "checksum",
}

// Verdicts returns all verdicts.
func Verdicts() []Verdict {
	all := make([]Verdict, verdicts)
	for i := range all {
		all[i] = Verdict(i)
	}
	return all
}

// String is the kind of a repair or the reason of a doubt: one word.
func (v Verdict) String() string { return names[v] }

// Repaired says whether the frame was changed.
func (v Verdict) Repaired() bool { return v >= RepairPlain && v <= RepairQinQ }

// Doubtful says whether the frame was marked IPv6, did not begin like it, and was passed on as it is all the same.
func (v Verdict) Doubtful() bool { return v >= DoubtShort && v < verdicts }

// Counters count frames on one interface. They only grow, and survive a restart where the programs are pinned.
type Counters struct {
	// Seen counts all frames. Attached as tcx it counts a repaired frame twice, for it is received twice.
	Seen uint64
	// Verdicts is indexed by Verdict; [Intact] is 0, being Seen less the others.
	Verdicts [verdicts]uint64
}

// Add adds another interface's or processor's.
func (c *Counters) Add(other Counters) {
	c.Seen += other.Seen
	for v, n := range other.Verdicts {
		c.Verdicts[v] += n
	}
}

// Repaired is how many frames were repaired, of all kinds.
func (c Counters) Repaired() uint64 { return c.sum(Verdict.Repaired) }

// Doubtful is how many frames were passed on as doubtful, for whatever reason.
func (c Counters) Doubtful() uint64 { return c.sum(Verdict.Doubtful) }

func (c Counters) sum(of func(Verdict) bool) (sum uint64) {
	for v, n := range c.Verdicts {
		if of(Verdict(v)) {
			sum += n
		}
	}
	return sum
}

// EtherTypes, and the lengths of what comes before and in an IPv4 header.
const (
	ipv4, ipv6, dot1Q, dot1ad = 0x0800, 0x86dd, 0x8100, 0x88a8

	ethernetHeader, tag, maxTags, ipv4Header = 14, 4, 2, 20
)

// Repair judges a frame, from its destination address on and without checksum, and sets its EtherType right if the verdict
// is a repair. It never changes anything else.
func Repair(frame []byte) Verdict {
	l3, tags := ethernetHeader, 0
	for {
		if len(frame) < l3 {
			return Intact
		}
		t := etherType(frame, l3)
		if tags == maxTags || t != dot1Q && t != dot1ad {
			break
		}
		l3 += tag
		tags++
	}
	if etherType(frame, l3) != ipv6 {
		return Intact
	}
	verdict := judge(frame[l3:])
	if verdict == RepairPlain {
		binary.BigEndian.PutUint16(frame[l3-2:], ipv4)
		verdict += Verdict(tags)
	}
	return verdict
}

// etherType is the type before the header at l3.
func etherType(frame []byte, l3 int) uint16 { return binary.BigEndian.Uint16(frame[l3-2:]) }

// judge judges what a frame marked IPv6 carries, padding included.
func judge(packet []byte) Verdict {
	switch {
	case len(packet) > 0 && packet[0]>>4 == 6:
		return Intact
	case len(packet) < ipv4Header:
		return DoubtShort
	case packet[0]>>4 != 4:
		return DoubtVersion
	}
	header := int(packet[0]&15) * 4
	total := int(binary.BigEndian.Uint16(packet[2:]))
	switch {
	case header < ipv4Header:
		return DoubtHeader
	case total < header || total > len(packet):
		return DoubtLength
	case checksum(packet[:header]) != 0xffff:
		return DoubtChecksum
	}
	return RepairPlain
}

// checksum is the ones' complement sum of RFC 1071; over a header that holds its own checksum it is 0xffff.
func checksum(header []byte) uint32 {
	var sum uint32
	for i := 0; i < len(header); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(header[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return sum
}
