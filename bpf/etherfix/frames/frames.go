// Package frames makes Ethernet frames to test the repair rule with: every way in which a frame can be right, wrong or
// doubtful, and by what each is to be recognised.
package frames

import (
	"encoding/binary"
	"fmt"

	"lastmile/bpf/etherfix"
)

// EtherTypes.
const (
	IPv4   = 0x0800
	ARP    = 0x0806
	Dot1Q  = 0x8100
	IPv6   = 0x86dd
	Dot1AD = 0x88a8
	LLDP   = 0x88cc
)

// A Case is a frame and what the rule is to make of it.
type Case struct {
	Name  string
	Frame []byte
	Want  etherfix.Verdict
}

// Ethernet is a frame: addresses, the tags and the type given, and what it carries.
func Ethernet(packet []byte, types ...uint16) []byte {
	frame := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}
	for i, t := range types {
		frame = binary.BigEndian.AppendUint16(frame, t)
		if i < len(types)-1 {
			frame = binary.BigEndian.AppendUint16(frame, uint16(100+i)) // VLAN
		}
	}
	return append(frame, packet...)
}

// IPv4Packet is a packet with a right header of the given number of 32-bit words, 5 to 15, and a payload.
func IPv4Packet(words, payload int) []byte {
	p := make([]byte, words*4+payload)
	p[0] = 4<<4 | byte(words)
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	copy(p[4:], []byte{0x12, 0x34, 0x40, 0, 64, 1})
	copy(p[12:], []byte{10, 255, 255, 1, 10, 0, 1, 1})
	for i := 20; i < words*4; i++ {
		p[i] = 1 // option NOP
	}
	for i := words * 4; i < len(p); i++ {
		p[i] = byte(i)
	}
	Checksum(p)
	return p
}

// Checksum sets the header's checksum right, as RFC 1071 computes it, word by word.
func Checksum(packet []byte) {
	packet[10], packet[11] = 0, 0
	var sum uint32
	for i := 0; i < int(packet[0]&15)*4 && i+1 < len(packet); i += 2 {
		sum += uint32(packet[i])<<8 | uint32(packet[i+1])
		if sum > 0xffff {
			sum -= 0xffff
		}
	}
	binary.BigEndian.PutUint16(packet[10:], ^uint16(sum))
}

// changed is a right packet after an edit, with its checksum right again or not.
func changed(rightChecksum bool, edit func(p []byte)) []byte {
	p := IPv4Packet(5, 64)
	edit(p)
	if rightChecksum {
		Checksum(p)
	}
	return p
}

// Table is every case that has a name.
func Table() []Case {
	right := IPv4Packet(5, 64)
	genuine := append([]byte{0x60, 0, 0, 0, 0, 4, 59, 64}, make([]byte, 36)...)
	cases := []Case{
		{"IPv6 type, IPv4 packet", Ethernet(right, IPv6), etherfix.RepairPlain},
		{"802.1Q", Ethernet(right, Dot1Q, IPv6), etherfix.RepairDot1Q},
		{"802.1ad", Ethernet(right, Dot1AD, IPv6), etherfix.RepairDot1Q},
		{"802.1ad over 802.1Q", Ethernet(right, Dot1AD, Dot1Q, IPv6), etherfix.RepairQinQ},
		{"802.1Q twice", Ethernet(right, Dot1Q, Dot1Q, IPv6), etherfix.RepairQinQ},
		{"three tags", Ethernet(right, Dot1AD, Dot1Q, Dot1Q, IPv6), etherfix.Intact},
		{"IPv4 as it should be", Ethernet(right, IPv4), etherfix.Intact},
		{"IPv4 in a VLAN", Ethernet(right, Dot1Q, IPv4), etherfix.Intact},
		{"genuine IPv6", Ethernet(genuine, IPv6), etherfix.Intact},
		{"genuine IPv6 in a VLAN", Ethernet(genuine, Dot1Q, IPv6), etherfix.Intact},
		{"ARP that looks like IPv4", Ethernet(right, ARP), etherfix.Intact},
		{"LLDP that looks like IPv4", Ethernet(right, LLDP), etherfix.Intact},
		{"a length for a type", Ethernet(right, 84), etherfix.Intact},
		{"padded", Ethernet(append(IPv4Packet(5, 8), make([]byte, 18)...), IPv6), etherfix.RepairPlain},
		{"no payload", Ethernet(IPv4Packet(5, 0), IPv6), etherfix.RepairPlain},
		{"IPv6 type and nothing", Ethernet(nil, IPv6), etherfix.DoubtShort},
		{"one byte short", Ethernet(right[:19], IPv6), etherfix.DoubtShort},
		{"IPv6, cut short", Ethernet(genuine[:1], IPv6), etherfix.Intact},
		{"version 0", Ethernet(changed(true, func(p []byte) { p[0] = 0x05 }), IPv6), etherfix.DoubtVersion},
		{"version 5", Ethernet(changed(true, func(p []byte) { p[0] = 0x55 }), IPv6), etherfix.DoubtVersion},
		{"version 15", Ethernet(changed(true, func(p []byte) { p[0] = 0xf5 }), IPv6), etherfix.DoubtVersion},
		{"header of 4 words", Ethernet(changed(true, func(p []byte) { p[0] = 0x44 }), IPv6), etherfix.DoubtHeader},
		{"header of 0 words", Ethernet(changed(true, func(p []byte) { p[0] = 0x40 }), IPv6), etherfix.DoubtHeader},
		{"shorter than its header", Ethernet(changed(true, func(p []byte) { p[3] = 19 }), IPv6), etherfix.DoubtLength},
		{"total length 0", Ethernet(changed(true, func(p []byte) { p[3] = 0 }), IPv6), etherfix.DoubtLength},
		{"one byte longer than the frame", Ethernet(changed(true, func(p []byte) { p[3]++ }), IPv6), etherfix.DoubtLength},
		{"65535 bytes", Ethernet(changed(true, func(p []byte) { p[2], p[3] = 255, 255 }), IPv6), etherfix.DoubtLength},
		{"options longer than the frame", Ethernet(changed(false, func(p []byte) { p[0] = 0x4f })[:24], IPv6), etherfix.DoubtLength},
		{"bit wrong", Ethernet(changed(false, func(p []byte) { p[16] ^= 1 }), IPv6), etherfix.DoubtChecksum},
		{"checksum 0", Ethernet(changed(false, func(p []byte) { p[10], p[11] = 0, 0 }), IPv6), etherfix.DoubtChecksum},
		{"checksum wrong in a VLAN", Ethernet(changed(false, func(p []byte) { p[10] ^= 9 }), Dot1Q, IPv6), etherfix.DoubtChecksum},
	}
	for words := 6; words <= 15; words++ {
		p := IPv4Packet(words, 20)
		cases = append(cases, Case{fmt.Sprintf("header of %d words", words), Ethernet(p, IPv6), etherfix.RepairPlain})
		bad := IPv4Packet(words, 20)
		bad[words*4-1] ^= 0x80
		cases = append(cases, Case{fmt.Sprintf("last option wrong, %d words", words), Ethernet(bad, Dot1AD, Dot1Q, IPv6), etherfix.DoubtChecksum})
	}
	return cases
}

// Types are the EtherTypes that matter, alone and behind tags.
func Types() [][]uint16 {
	var all [][]uint16
	for _, tags := range [][]uint16{nil, {Dot1Q}, {Dot1AD}, {Dot1AD, Dot1Q}, {Dot1Q, Dot1Q}, {Dot1Q, Dot1AD}, {Dot1AD, Dot1Q, Dot1Q}} {
		for _, t := range []uint16{IPv4, ARP, IPv6, LLDP, 46, 0x8847, 0x9100, 0xffff} {
			all = append(all, append(append([]uint16(nil), tags...), t))
		}
	}
	return all
}
