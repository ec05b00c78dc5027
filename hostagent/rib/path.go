package rib

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
)

// Path is what a leaf says of a prefix.
type Path struct {
	ASPath           []uint32    // all ASes from left to right, sets included: for the loop check and for show
	Sets             [][2]int    // the parts of ASPath, from and up to, that are an AS_SET each; in order
	Length           int         // as RFC 4271 section 9.1.2.2 (a) counts: a set is one
	Origin           uint8       // 0 IGP, 1 EGP, 2 incomplete
	MED              uint32      // 0 when absent
	LocalPref        uint32      // 100 when absent
	Communities      []uint32    // RFC 1997, the AS in the upper half
	LargeCommunities [][3]uint32 // RFC 8092: the AS, and two numbers of its own
}

// appendPath appends what stands for a path in sets: all its fields as variable-length integers, each list after its
// length, the large communities to the end. What the decision reads comes first. The local preference is the given one.
func appendPath(b []byte, p *Path, localPref uint32) []byte {
	for _, v := range [...]uint64{uint64(localPref), uint64(p.Length), uint64(p.Origin), uint64(p.MED), uint64(len(p.Sets))} {
		b = binary.AppendUvarint(b, v)
	}
	for _, s := range p.Sets {
		b = binary.AppendUvarint(b, uint64(s[0]))
		b = binary.AppendUvarint(b, uint64(s[1]))
	}
	for _, list := range [...][]uint32{p.ASPath, p.Communities} {
		b = binary.AppendUvarint(b, uint64(len(list)))
		for _, v := range list {
			b = binary.AppendUvarint(b, uint64(v))
		}
	}
	for _, c := range p.LargeCommunities {
		for _, v := range c {
			b = binary.AppendUvarint(b, uint64(v))
		}
	}
	return b
}

// path reads a path.
func (r reader) path() Path {
	p := Path{LocalPref: uint32(r.uvarint()), Length: int(r.uvarint()), Origin: uint8(r.uvarint()), MED: uint32(r.uvarint())}
	for range r.uvarint() {
		p.Sets = append(p.Sets, [2]int{int(r.uvarint()), int(r.uvarint())})
	}
	for range r.uvarint() {
		p.ASPath = append(p.ASPath, uint32(r.uvarint()))
	}
	for range r.uvarint() {
		p.Communities = append(p.Communities, uint32(r.uvarint()))
	}
	for len(r) > 0 {
		p.LargeCommunities = append(p.LargeCommunities, [3]uint32{uint32(r.uvarint()), uint32(r.uvarint()), uint32(r.uvarint())})
	}
	return p
}

// Segment is a part of an AS path.
type Segment struct {
	Set  bool // AS_SET; else AS_SEQUENCE
	ASes []uint32
}

// Segments returns the parts of the AS path, neighbouring sequences as one.
func (p *Path) Segments() []Segment {
	var all []Segment
	from := 0
	sequence := func(to int) {
		if from < to {
			all = append(all, Segment{ASes: p.ASPath[from:to]})
		}
	}
	for _, s := range p.Sets {
		sequence(s[0])
		all = append(all, Segment{Set: true, ASes: p.ASPath[s[0]:s[1]]})
		from = s[1]
	}
	sequence(len(p.ASPath))
	return all
}

// ASPathText returns the AS path as FRR writes it: "65001 {64512,64513} 65002".
func (p *Path) ASPathText() string {
	var b strings.Builder
	for i, s := range p.Segments() {
		before, between, after := "", " ", ""
		if s.Set {
			before, between, after = "{", ",", "}"
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(before)
		for j, as := range s.ASes {
			if j > 0 {
				b.WriteString(between)
			}
			b.WriteString(strconv.FormatUint(uint64(as), 10))
		}
		b.WriteString(after)
	}
	return b.String()
}

// CommunityTexts returns the communities as FRR writes them, sorted by value: "65001:7", "graceful-shutdown".
func (p *Path) CommunityTexts() []string {
	var all []string
	for _, c := range slices.Sorted(slices.Values(p.Communities)) {
		all = append(all, communityText(c))
	}
	return slices.Compact(all)
}

// LargeCommunityTexts returns the large communities as FRR writes them, sorted by value: "64512:1:7".
func (p *Path) LargeCommunityTexts() []string {
	sorted := slices.SortedFunc(slices.Values(p.LargeCommunities), func(a, b [3]uint32) int { return slices.Compare(a[:], b[:]) })
	var all []string
	for _, c := range sorted {
		all = append(all, largeText(c))
	}
	return slices.Compact(all)
}

// OriginText names the origin as FRR does.
func (p *Path) OriginText() string { return [...]string{"IGP", "EGP", "incomplete"}[min(p.Origin, 2)] }
