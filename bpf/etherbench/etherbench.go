// Package etherbench measures the program of [lastmile/bpf/uplink] beside others: one that does nothing, which is the floor,
// and the rule of the talk that this repair goes back to. It is for benchmarks.
package etherbench

import (
	"fmt"
	"io"
	"net"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"lastmile/bpf/etherfix/frames"
)

//go:generate go tool bpf2go -cc clang-14 -tags linux -target bpfel,bpfeb -cflags "-O2 -g -fno-strict-aliasing -Wall -Werror -Wno-unused-function -mcpu=v3" object ../etherbench.bpf.c

// A Case is a program and a frame. What its repair costs is its time less that of Base: to break the frame again.
type Case struct {
	Name    string
	Base    string // name of another case, or empty
	program string
	frame   []byte
}

// Cases are what [Bench.Run] measures.
func Cases() []Case {
	right := frames.IPv4Packet(5, 64)
	ipv4 := frames.Ethernet(right, frames.IPv4)
	ipv6 := frames.Ethernet(append([]byte{0x60, 0, 0, 0, 0, 44, 59, 64}, make([]byte, 76)...), frames.IPv6)
	options := frames.Ethernet(frames.IPv4Packet(15, 24), frames.IPv6)
	wrong := frames.Ethernet(right, frames.IPv6)
	wrong[len(wrong)-70] ^= 1 // in the header
	const floor, broken = "no-op (the floor)", "frame broken again, nothing else"
	return []Case{
		{floor, "", objectProgBenchFloor, ipv4},
		{"IPv4, passed", floor, objectProgUplinkFrags, ipv4},
		{"IPv6, passed", floor, objectProgUplinkFrags, ipv6},
		{"IPv6 in a VLAN, passed", floor, objectProgUplinkFrags, frames.Ethernet(ipv6[14:], frames.Dot1Q, frames.IPv6)},
		{"BFD of no session, passed", floor, objectProgUplinkFrags, bfd()},
		{"checksum wrong, passed", floor, objectProgUplinkFrags, wrong},
		{"the talk's rule: IPv4, passed", floor, objectProgBenchTalk, ipv4},
		{"the talk's rule: IPv6, passed", floor, objectProgBenchTalk, ipv6},
		{broken, floor, objectProgBenchBreak, ipv4},
		{"repaired", broken, objectProgBenchRepair, ipv4},
		{"repaired, 40 bytes of options", broken, objectProgBenchRepair, options},
		{"the talk's rule: repaired", broken, objectProgBenchTalkRepair, ipv4},
	}
}

// bfd is a control packet as it comes in a hundred times a second.
func bfd() []byte {
	p := make([]byte, 40+8+24)
	copy(p, []byte{0x60, 0, 0, 0, 0, 32, 17, 255, 0xfe, 0x80, 23: 1, 24: 0xfe, 25: 0x80, 39: 2})
	copy(p[40:], []byte{0xc0, 0, 0x0e, 0xc8, 0, 32, 0, 0, 1 << 5, 3 << 6, 3, 24, 0, 0, 0, 7, 0, 0, 0, 9})
	return frames.Ethernet(p, frames.IPv6)
}

// A Bench holds the programs.
type Bench struct{ objects objectObjects }

// Open loads the programs.
func Open() (*Bench, error) {
	b := new(Bench)
	if err := loadObjectObjects(&b.objects, nil); err != nil {
		return nil, fmt.Errorf("loading the programs to measure: %w", err)
	}
	return b, nil
}

// Close gives them back.
func (b *Bench) Close() error { return b.objects.Close() }

func (b *Bench) program(name string) *ebpf.Program {
	return map[string]*ebpf.Program{
		objectProgBenchFloor:      b.objects.BenchFloor,
		objectProgBenchBreak:      b.objects.BenchBreak,
		objectProgBenchRepair:     b.objects.BenchRepair,
		objectProgBenchTalk:       b.objects.BenchTalk,
		objectProgBenchTalkRepair: b.objects.BenchTalkRepair,
		objectProgUplinkFrags:     b.objects.UplinkFrags,
	}[name]
}

// Run has the kernel run a case that many times, and returns what one took.
func (b *Bench) Run(c Case, times int) (time.Duration, error) {
	verdict, took, err := b.program(c.program).Benchmark(c.frame, times, nil)
	if err != nil {
		return 0, fmt.Errorf("measuring %q: %w", c.Name, err)
	}
	if verdict != 2 {
		return 0, fmt.Errorf("measuring %q: verdict %d, want XDP_PASS", c.Name, verdict)
	}
	return took, nil
}

// A Rival is a program to have on an interface instead of ours.
type Rival string

// Rivals.
const (
	NoOp Rival = "no-op"
	Talk Rival = "the talk's rule"
)

// Attach puts a rival on an interface until it is closed, in the network namespace of the calling thread.
func (b *Bench) Attach(name string, r Rival, native bool) (io.Closer, error) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("attaching to %s: %w", name, err)
	}
	o := link.XDPOptions{Program: b.objects.BenchFloor, Interface: i.Index, Flags: link.XDPGenericMode}
	if r == Talk {
		o.Program = b.objects.BenchTalk
	}
	if native {
		o.Flags = link.XDPDriverMode
	}
	l, err := link.AttachXDP(o)
	if err != nil {
		return nil, fmt.Errorf("attaching to %s: %w", name, err)
	}
	return l, nil
}
