package uplink

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"

	"lastmile/bpf/etherfix"
	"lastmile/bpf/etherfix/frames"
)

// shortest is the shortest frame that newer kernels take for a test run; 5.10 takes shorter ones, and there they are tested. A
// driver does not hand on a shorter one to a program, and no program can make one (bpf_xdp_adjust_tail).
const shortest = 14

// subject is a variant of the program with counters of its own.
type subject struct {
	variant
	program  *ebpf.Program
	counters *ebpf.Map
	// What it answers for a frame that it left as it is, and for one that it has repaired.
	pass, repaired uint32
	out            []byte
}

// What the kernel makes of the answers. A frame that tcx repairs is received once more: a test run tells, and does not do it.
const (
	xdpPass     = 2
	tcxNext     = 1<<32 - 1
	tcxRedirect = 7
)

func subjects(t testing.TB) []*subject {
	t.Helper()
	needRoot(t)
	ob, err := loadObjects(Options{Repair: true, Watchdog: true}, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ob.close() })
	var all []*subject
	for _, v := range slices.Concat(xdpVariants, tcxVariants) {
		s := &subject{variant: v, pass: xdpPass, repaired: xdpPass, out: make([]byte, 1<<15)}
		if v.program == objectProgUplinkTcx {
			s.pass, s.repaired = tcxNext, tcxRedirect
		}
		if s.counters, err = ob.openMap(objectMapCounters, ""); err != nil {
			t.Fatal(err)
		}
		if s.program, err = ob.load(v, s.counters); err != nil {
			if older(t, v) {
				t.Logf("this kernel is too old for %s", v.program)
				s.counters.Close()
				continue
			}
			t.Fatalf("%+v", err)
		}
		t.Cleanup(func() { s.program.Close(); s.counters.Close() })
		all = append(all, s)
	}
	return all
}

// older says whether the kernel is from before a variant can be loaded.
func older(t testing.TB, v variant) bool {
	t.Helper()
	since := map[string]uint32{
		objectProgUplinkFrags: 5<<16 | 18<<8, objectProgUplinkPlain: 5<<16 | 15<<8, objectProgUplinkTcx: 6<<16 | 6<<8,
	}[v.program]
	code, err := features.LinuxVersionCode()
	if err != nil {
		t.Fatal(err)
	}
	return code < since
}

// takes says whether the kernel takes a frame for a test run. For tcx it makes a packet of it first: with a byte at least
// behind the Ethernet header, and (newer kernels) with a whole header of what an untagged frame is marked as. It makes none
// with an outer tag beside the frame (vlan_present): TestTags has these.
func (s *subject) takes(frame []byte) bool {
	if s.variant.program != objectProgUplinkTcx {
		return len(frame) >= shortest
	}
	if len(frame) <= shortest {
		return false
	}
	switch binary.BigEndian.Uint16(frame[12:]) {
	case frames.IPv4:
		return len(frame) >= 14+20
	case frames.IPv6:
		return len(frame) >= 14+40
	}
	return true
}

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("root is needed to load BPF programs")
		}
		t.Skip("root is needed to load BPF programs")
	}
}

// agree runs a frame through the program and through the model, and compares verdict and bytes.
func (s *subject) agree(t testing.TB, frame []byte) etherfix.Verdict {
	t.Helper()
	want := bytes.Clone(frame)
	verdict := etherfix.Repair(want)
	run := ebpf.RunOptions{Data: frame, DataOut: s.out}
	got, err := s.program.Run(&run)
	if err != nil {
		t.Fatalf("%s: running %d bytes: %v", s.variant.program, len(frame), err)
	}
	answer := s.pass
	if verdict.Repaired() {
		answer = s.repaired
	}
	if got != answer {
		t.Fatalf("%s: verdict %d for %x, want %d", s.variant.program, got, frame, answer)
	}
	if !bytes.Equal(run.DataOut, want) {
		t.Fatalf("%s: %x\nbecame %x\n  want %x", s.variant.program, frame, run.DataOut, want)
	}
	return verdict
}

// check runs frames, and compares the counters too at the end.
func check(t *testing.T, all [][]byte) {
	for _, s := range subjects(t) {
		t.Run(s.variant.program, func(t *testing.T) {
			var want etherfix.Counters
			for _, f := range all {
				if !s.takes(f) {
					continue
				}
				want.Seen++
				if v := s.agree(t, f); v != etherfix.Intact {
					want.Verdicts[v]++
				}
			}
			if got, err := readCounters(s.counters); got != want || err != nil {
				t.Errorf("counters %v (%v), want %v", got, err, want)
			}
		})
	}
}

func TestProgramIsTheModel(t *testing.T) {
	var all [][]byte
	for _, c := range frames.Table() {
		if len(c.Frame) >= shortest {
			all = append(all, c.Frame)
		}
	}
	for _, types := range frames.Types() {
		for _, packet := range [][]byte{frames.IPv4Packet(5, 26), frames.IPv4Packet(9, 26), make([]byte, 46)} {
			all = append(all, frames.Ethernet(packet, types...))
		}
	}
	check(t, all)
}

// Every length from the shortest to 200 bytes, of every type: of a packet that is cut off there, and of one that fills it.
func TestEveryLength(t *testing.T) {
	var all [][]byte
	for _, types := range frames.Types() {
		whole := frames.Ethernet(frames.IPv4Packet(8, 200), types...)
		head := len(whole) - len(frames.IPv4Packet(8, 200))
		for n := shortest; n <= 200; n++ {
			all = append(all, whole[:n])
			for _, words := range []int{5, 6, 15} {
				if n >= head+words*4 {
					all = append(all, frames.Ethernet(frames.IPv4Packet(words, n-head-words*4), types...))
				}
			}
		}
	}
	check(t, all)
}

// Every first byte and every total length around what is right.
func TestEveryVersionAndLength(t *testing.T) {
	var all [][]byte
	for first := range 256 {
		for _, total := range []int{0, 19, 20, 59, 60, 83, 84, 85, 100, 0xffff} {
			p := frames.IPv4Packet(5, 64)
			p[0] = byte(first)
			binary.BigEndian.PutUint16(p[2:], uint16(total))
			all = append(all, frames.Ethernet(p, frames.IPv6))
			frames.Checksum(p)
			all = append(all, frames.Ethernet(p, frames.IPv6), frames.Ethernet(p, frames.Dot1Q, frames.IPv6))
		}
	}
	check(t, all)
}

// Of frames below an Ethernet header, what the model does is certain, and the verifier has proven that the program reads
// nothing behind the end. The program is run too where the kernel does that.
func TestFramesBelowAHeader(t *testing.T) {
	for n := range shortest {
		if v := etherfix.Repair(make([]byte, n)); v != etherfix.Intact {
			t.Errorf("%d bytes: %v", n, v)
		}
	}
	for _, s := range subjects(t) {
		for n := 1; n < shortest; n++ {
			frame := bytes.Repeat([]byte{0x86, 0xdd}, 7)[:n]
			_, err := s.program.Run(&ebpf.RunOptions{Data: frame})
			if errors.Is(err, unix.EINVAL) {
				continue // as documented
			}
			s.agree(t, frame)
		}
	}
}

// A frame of several pages: its length is not that of its first part.
func TestJumboFrames(t *testing.T) {
	s := subjects(t)[0]
	if !HasFrags() {
		t.Log("this kernel has no frames of many pages for programs")
		return
	}
	if s.variant.program != objectProgUplinkFrags {
		t.Fatal("the first variant is not the one for jumbo frames")
	}
	for _, payload := range []int{3000, 4050, 8960, 8961, 17000} {
		right := frames.Ethernet(frames.IPv4Packet(5, payload), frames.IPv6)
		if v := s.agree(t, right); v != etherfix.RepairPlain {
			t.Errorf("%d bytes: %v", len(right), v)
		}
		cut := right[:len(right)-1]
		if v := s.agree(t, cut); v != etherfix.DoubtLength {
			t.Errorf("%d bytes, one missing: %v", len(cut), v)
		}
	}
}

func FuzzProgramIsTheModel(f *testing.F) {
	all := subjects(f)
	for _, c := range frames.Table() {
		f.Add(c.Frame, false)
	}
	f.Fuzz(func(t *testing.T, frame []byte, right bool) {
		if len(frame) < shortest || len(frame) > 3000 {
			return
		}
		if at := l3(frame); right && len(frame) >= at+20 {
			// Few wrong headers have a right checksum by chance.
			frame = bytes.Clone(frame)
			frames.Checksum(frame[at:])
		}
		for _, s := range all {
			if s.takes(frame) {
				s.agree(t, frame)
			}
		}
	})
}

// l3 is where the network header is, behind any tags.
func l3(frame []byte) int {
	at := 14
	for at+4 <= len(frame) {
		t := binary.BigEndian.Uint16(frame[at-2:])
		if t != frames.Dot1Q && t != frames.Dot1AD {
			break
		}
		at += 4
	}
	return at
}

func TestModeNames(t *testing.T) {
	for _, m := range Modes() {
		if got, err := ParseMode(string(m)); got != m || err != nil {
			t.Errorf("%s: %v, %v", m, got, err)
		}
	}
	_, err := ParseMode("driver")
	if want := `mode "driver" is not allowed: auto, native, generic, tcx, off`; fmt.Sprint(err) != want {
		t.Errorf("%v, want %s", err, want)
	}
}
