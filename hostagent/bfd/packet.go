package bfd

import (
	"encoding/binary"
	"math"
	"time"
)

// State is the state of a session, as it is on the wire (RFC 5880 section 4.1).
type State uint8

const (
	AdminDown State = iota // held down by whoever administers it
	Down
	Init // the other end is heard, and does not hear us yet, as far as we know
	Up
)

// String is lower case, and fit for a metric's label.
func (s State) String() string {
	names := [...]string{"admin_down", "down", "init", "up"}
	if int(s) >= len(names) {
		return "unknown"
	}
	return names[s]
}

// Diagnostic is why a session last went down (RFC 5880 section 4.1).
type Diagnostic uint8

const (
	NoDiagnostic Diagnostic = iota
	DetectionExpired
	EchoFailed
	NeighbourDown
	ForwardingReset
	PathDown
	ConcatenatedPathDown
	AdministrativelyDown
	ReverseConcatenatedPathDown
)

// String is what FRR's `show bfd` says.
func (d Diagnostic) String() string {
	names := [...]string{
		"ok", "control detection time expired", "echo function failed", "neighbor signaled session down",
		"forwarding plane reset", "path down", "concatenated path down", "administratively down",
		"reverse concatenated path down",
	}
	if int(d) >= len(names) {
		return "unknown"
	}
	return names[d]
}

const (
	// Port is the UDP destination port, FirstSourcePort and LastSourcePort the
	// range of the source port (RFC 5881 section 4).
	Port            = 3784
	FirstSourcePort = 49152
	LastSourcePort  = 65535

	// HopLimit is what a packet is sent with, and the only value that is
	// accepted (RFC 5881 section 5).
	HopLimit = 255

	// PacketLen is the size of the packets that Append writes. Longer ones are
	// accepted: room for the largest authentication section is 28 bytes more.
	PacketLen = 24

	version              = 1
	authenticatedMinimum = 26
)

// The second byte of a packet, beside the state.
const (
	bitPoll           = 0x20
	bitFinal          = 0x10
	bitIndependent    = 0x08
	bitAuthentication = 0x04
	bitDemand         = 0x02
	bitMultipoint     = 0x01
)

// Packet is the mandatory section of a BFD control packet (RFC 5880 section
// 4.1). Its intervals are whole microseconds up to MaxInterval: that is what the
// wire has room for.
type Packet struct {
	Diagnostic  Diagnostic // 5 bits
	State       State      // 2 bits
	Poll        bool       // a Final is asked for
	Final       bool       // this answers a Poll
	Independent bool       // C: the sender's BFD does not share fate with its control plane
	Demand      bool
	// Authentication is the A bit. The section that follows is not read, and
	// Append writes neither it nor the bit.
	Authentication bool

	Multiplier        uint8 // detection time multiplier
	MyDiscriminator   uint32
	YourDiscriminator uint32 // 0: the sender does not know it

	DesiredMinTx      time.Duration // the sender would not send more often
	RequiredMinRx     time.Duration // and would not receive more often; 0: it wants no periodic packets
	RequiredMinEchoRx time.Duration // 0: it does not do the echo function
}

// MaxInterval is the longest interval that a packet can carry, 71.6 minutes.
const MaxInterval = math.MaxUint32 * time.Microsecond

// Append appends the packet to b, which needs room for PacketLen bytes if
// nothing is to be allocated. What does not fit into its field is cut: intervals
// to 0 and MaxInterval, and to whole microseconds.
func (p *Packet) Append(b []byte) []byte {
	flags := byte(p.State) << 6
	for _, f := range [...]struct {
		set bool
		bit byte
	}{{p.Poll, bitPoll}, {p.Final, bitFinal}, {p.Independent, bitIndependent}, {p.Demand, bitDemand}} {
		if f.set {
			flags |= f.bit
		}
	}
	b = append(b, version<<5|byte(p.Diagnostic)&0x1f, flags, p.Multiplier, PacketLen)
	b = binary.BigEndian.AppendUint32(b, p.MyDiscriminator)
	b = binary.BigEndian.AppendUint32(b, p.YourDiscriminator)
	b = binary.BigEndian.AppendUint32(b, microseconds(p.DesiredMinTx))
	b = binary.BigEndian.AppendUint32(b, microseconds(p.RequiredMinRx))
	return binary.BigEndian.AppendUint32(b, microseconds(p.RequiredMinEchoRx))
}

func microseconds(d time.Duration) uint32 {
	return uint32(min(max(d, 0), MaxInterval) / time.Microsecond)
}

// Parse reads the payload of a UDP datagram that came with the given hop limit,
// and does those checks that need no session, in the order of RFC 5880 section
// 6.8.6. A packet that is dropped is not to be used, and is the zero value. The
// packet keeps nothing of payload.
func Parse(payload []byte, hopLimit int) (Packet, Drop) {
	if d := check(payload, hopLimit); d != Accepted {
		return Packet{}, d
	}
	flags := payload[1]
	p := Packet{
		Diagnostic:        Diagnostic(payload[0] & 0x1f),
		State:             State(flags >> 6),
		Poll:              flags&bitPoll != 0,
		Final:             flags&bitFinal != 0,
		Independent:       flags&bitIndependent != 0,
		Authentication:    flags&bitAuthentication != 0,
		Demand:            flags&bitDemand != 0,
		Multiplier:        payload[2],
		MyDiscriminator:   binary.BigEndian.Uint32(payload[4:]),
		YourDiscriminator: binary.BigEndian.Uint32(payload[8:]),
		DesiredMinTx:      interval(payload[12:]),
		RequiredMinRx:     interval(payload[16:]),
		RequiredMinEchoRx: interval(payload[20:]),
	}
	switch {
	case p.MyDiscriminator == 0:
		return Packet{}, DropMyDiscriminator
	case p.YourDiscriminator == 0 && p.State != Down && p.State != AdminDown:
		return Packet{}, DropState
	}
	return p, Accepted
}

// check does the checks of the first four bytes.
func check(payload []byte, hopLimit int) Drop {
	switch {
	case hopLimit != HopLimit:
		return DropHopLimit
	case len(payload) == 0:
		return DropLength
	case payload[0]>>5 != version:
		return DropVersion
	case len(payload) < 4:
		return DropLength
	}
	length, least := int(payload[3]), PacketLen
	if payload[1]&bitAuthentication != 0 {
		least = authenticatedMinimum
	}
	switch {
	case length < least, length > len(payload):
		return DropLength
	case payload[2] == 0:
		return DropMultiplier
	case payload[1]&bitMultipoint != 0:
		return DropMultipoint
	}
	return Accepted
}

func interval(b []byte) time.Duration {
	return time.Duration(binary.BigEndian.Uint32(b)) * time.Microsecond
}
