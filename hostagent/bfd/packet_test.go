package bfd

import (
	"bytes"
	"fmt"
	"math"
	"testing"
	"time"

	gobgp "github.com/osrg/gobgp/v4/pkg/packet/bfd"
)

// wire is a packet with another value in every field, as RFC 5880 section 4.1
// lays it out.
var wire = []byte{
	1<<5 | 3, byte(Up)<<6 | 0x20 | 0x08 | 0x02, 5, 24,
	0x01, 0x02, 0x03, 0x04, // My Discriminator
	0x05, 0x06, 0x07, 0x08, // Your Discriminator
	0x00, 0x0f, 0x42, 0x40, // 1 s
	0x00, 0x04, 0x93, 0xe0, // 300 ms
	0x00, 0x00, 0x0c, 0xe4, // 3.3 ms
}

var unwired = Packet{
	Diagnostic: NeighbourDown, State: Up, Poll: true, Independent: true, Demand: true, Multiplier: 5,
	MyDiscriminator: 0x01020304, YourDiscriminator: 0x05060708,
	DesiredMinTx: time.Second, RequiredMinRx: 300 * ms, RequiredMinEchoRx: 3300 * time.Microsecond,
}

func TestPacketOnTheWire(t *testing.T) {
	if got, drop := Parse(wire, HopLimit); got != unwired || drop != Accepted {
		t.Errorf("%+v, %v", got, drop)
	}
	if got := unwired.Append([]byte{9}); !bytes.Equal(got[1:], wire) || got[0] != 9 {
		t.Errorf("% x", got)
	}
	final := unwired
	final.Poll, final.Final, final.State, final.Demand, final.Independent = false, true, Init, false, false
	if got := final.Append(nil); got[1] != byte(Init)<<6|0x10 {
		t.Errorf("flags %08b", got[1])
	}
}

func TestAppendCutsWhatDoesNotFit(t *testing.T) {
	p := Packet{
		Diagnostic: 0xff, State: Up, Authentication: true, Multiplier: 1, MyDiscriminator: 1, YourDiscriminator: 1,
		DesiredMinTx: MaxInterval + time.Hour, RequiredMinRx: -time.Second, RequiredMinEchoRx: 1999 * time.Nanosecond,
	}
	got, drop := Parse(p.Append(nil), HopLimit)
	want := p
	want.Diagnostic, want.Authentication = 0x1f, false
	want.DesiredMinTx, want.RequiredMinRx, want.RequiredMinEchoRx = MaxInterval, 0, time.Microsecond
	if drop != Accepted || got != want {
		t.Errorf("%v: %+v\nwant %+v", drop, got, want)
	}
	if MaxInterval.Microseconds() != math.MaxUint32 {
		t.Errorf("MaxInterval is %d us", MaxInterval.Microseconds())
	}
}

// fault is one thing that is wrong with a packet.
type fault struct {
	rule  string // RFC 5880 section 6.8.6, unless it says another
	drop  Drop
	apply func(payload []byte) []byte
}

func set(at int, value byte) func([]byte) []byte {
	return func(b []byte) []byte { b[at] = value; return b }
}

func zero(at int) func([]byte) []byte {
	return func(b []byte) []byte { copy(b[at:at+4], []byte{0, 0, 0, 0}); return b }
}

// faults are in the order of the checks.
var faults = []fault{
	{"the version number is not 1", DropVersion, set(0, 2<<5)},
	{"Length is less than 24", DropLength, set(3, 23)},
	{"Detect Mult is zero", DropMultiplier, set(2, 0)},
	{"Multipoint is nonzero", DropMultipoint, set(1, byte(Up)<<6|bitMultipoint)},
	{"My Discriminator is zero", DropMyDiscriminator, zero(4)},
	{"Your Discriminator is zero, and State not Down or AdminDown", DropState, zero(8)},
}

func TestChecksInTheirOrder(t *testing.T) {
	for i, first := range faults {
		for _, second := range faults[i:] {
			b := first.apply(second.apply(bytes.Clone(wire)))
			if p, drop := Parse(b, HopLimit); drop != first.drop || p != (Packet{}) {
				t.Errorf("%s, and %s: %v", first.rule, second.rule, drop)
			}
		}
	}
}

func TestChecks(t *testing.T) {
	authenticated := func(length byte, room int) []byte {
		b := append(bytes.Clone(wire), make([]byte, room-len(wire))...)
		b[1] |= bitAuthentication
		b[3] = length
		return b
	}
	stateless := func(s State) []byte {
		b := zero(8)(bytes.Clone(wire))
		b[1] = byte(s) << 6
		return b
	}
	for _, c := range []struct {
		rule     string
		payload  []byte
		hopLimit int
		want     Drop
	}{
		{"RFC 5881 5: the hop limit is not 255", wire, 254, DropHopLimit},
		{"RFC 5881 5: before anything else", nil, 64, DropHopLimit},
		{"RFC 5881 5: nor is a hop limit that is not known", wire, -1, DropHopLimit},
		{"nothing at all", nil, 255, DropLength},
		{"version 0", append([]byte{0}, wire[1:]...), 255, DropVersion},
		{"the version is known from the first byte", []byte{2 << 5}, 255, DropVersion},
		{"too short to say its length", wire[:3], 255, DropLength},
		{"Length is greater than the payload", wire[:23], 255, DropLength},
		{"Length is less than 26 with the A bit", authenticated(25, 26), 255, DropLength},
		{"Length is greater than the payload with the A bit", authenticated(26, 25), 255, DropLength},
		{"room for authentication", authenticated(26, 26), 255, Accepted},
		{"a payload longer than Length", append(bytes.Clone(wire), "padding"...), 255, Accepted},
		{"Your Discriminator zero in AdminDown", stateless(AdminDown), 255, Accepted},
		{"Your Discriminator zero in Down", stateless(Down), 255, Accepted},
		{"Your Discriminator zero in Init", stateless(Init), 255, DropState},
		{"Your Discriminator zero in Up", stateless(Up), 255, DropState},
	} {
		p, drop := Parse(c.payload, c.hopLimit)
		if drop != c.want || (drop != Accepted && p != (Packet{})) {
			t.Errorf("%s: %v, want %v", c.rule, drop, c.want)
		}
	}
}

func TestNames(t *testing.T) {
	seen := map[string]bool{Accepted.String(): true}
	for _, d := range Drops() {
		if seen[d.String()] || d.String() == "" {
			t.Errorf("%d is called %q", d, d)
		}
		seen[d.String()] = true
	}
	for _, unknown := range []fmt.Stringer{Drop(99), State(99), Diagnostic(99), Cause(99)} {
		if unknown.String() != "unknown" {
			t.Errorf("%T(99) is called %q", unknown, unknown)
		}
	}
	if len(Drops()) != int(drops)-1 || Up.String() != "up" || DetectionExpired.String() != "control detection time expired" ||
		Enabled.String() != "enabled" {
		t.Error("names are out of step")
	}
}

func TestCodecDoesNotAllocate(t *testing.T) {
	buffer := make([]byte, 0, PacketLen)
	if n := testing.AllocsPerRun(1000, func() {
		p, _ := Parse(wire, HopLimit)
		buffer = p.Append(buffer[:0])
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Whatever comes is dropped for a reason, or is what is written again; and GoBGP
// reads the same from it.
func FuzzParse(f *testing.F) {
	f.Add(wire, 255)
	f.Add(wire, 64)
	for _, fault := range faults {
		f.Add(fault.apply(bytes.Clone(wire)), 255)
	}
	authenticated := append(bytes.Clone(wire), 1, 5, 0, 'x', 'y')
	authenticated[1] |= bitAuthentication
	authenticated[3] = 29
	f.Add(authenticated, 255)
	f.Fuzz(func(t *testing.T, payload []byte, hopLimit int) {
		before := bytes.Clone(payload)
		p, drop := Parse(payload, hopLimit)
		if !bytes.Equal(payload, before) {
			t.Fatal("the payload has been changed")
		}
		if drop != Accepted {
			if drop >= drops || p != (Packet{}) {
				t.Fatalf("dropped for %v: %+v", drop, p)
			}
			return
		}
		if hopLimit != HopLimit || len(payload) < PacketLen || p.Multiplier == 0 || p.MyDiscriminator == 0 {
			t.Fatalf("accepted: %+v", p)
		}
		want := bytes.Clone(payload[:PacketLen])
		want[1] &^= bitAuthentication
		want[3] = PacketLen
		if again := p.Append(nil); !bytes.Equal(again, want) {
			t.Fatalf("% x\nis written as % x", payload, again)
		}
		agree(t, p, want)
	})
}

// agree compares with GoBGP, which knows no C and D bits and no echo interval.
func agree(t *testing.T, p Packet, payload []byte) {
	t.Helper()
	var h gobgp.BFDHeader
	if err := h.UnmarshalBinary(payload); err != nil {
		t.Fatalf("GoBGP: %v", err)
	}
	want := gobgp.BFDHeader{
		Version: 1, Diagnostic: gobgp.DiagnosticType(p.Diagnostic), State: gobgp.StateType(p.State),
		Poll: p.Poll, Final: p.Final, DetectTimeMultiplier: p.Multiplier,
		MyDiscriminator: p.MyDiscriminator, YourDiscriminator: p.YourDiscriminator,
		DesiredMinTxInterval:  uint32(p.DesiredMinTx.Microseconds()),
		RequiredMinRxInterval: uint32(p.RequiredMinRx.Microseconds()),
	}
	if h != want {
		t.Fatalf("GoBGP reads %+v, we %+v", h, want)
	}
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, drop := Parse(wire, HopLimit); drop != Accepted {
			b.Fatal(drop)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	b.ReportAllocs()
	buffer := make([]byte, 0, PacketLen)
	p := unwired
	for b.Loop() {
		buffer = p.Append(buffer[:0])
	}
}
