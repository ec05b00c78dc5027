package bgp

import (
	"slices"
	"testing"
)

// theSets are the sets in the paths of the test below; in the others there are none.
var theSets = map[string][][2]int{"sets": {{0, 2}, {3, 5}}, "a set shorter": {{0, 2}}}

// RFC 6793 section 4.2.3.
func TestPathsOfPeersWithTwoByteASes(t *testing.T) {
	const trans = "\x5b\xa0"
	as4 := func(parts ...any) []byte { return attr(pass, 17, parts...) }
	old := func(parts ...any) []byte { return attr(wk, 2, parts...) }
	big := "\xfa\x56\xea\x00" // 4200000000
	for name, test := range map[string]struct {
		attributes [][]byte
		want       []uint32
		length     int
	}{
		"without AS4_PATH":    {[][]byte{old(2, 2, "\xfd\xe9\xfc\x00")}, []uint32{65001, 64512}, 2},
		"as long":             {[][]byte{old(2, 2, trans, trans), as4(2, 2, big, "\x00\x01\x00\x00")}, []uint32{4200000000, 65536}, 2},
		"shorter":             {[][]byte{old(2, 3, "\xfd\xe9", trans, trans), as4(2, 1, big)}, []uint32{65001, 23456, 4200000000}, 3},
		"before AS_PATH":      {[][]byte{as4(2, 1, big), old(2, 2, "\xfd\xe9", trans)}, []uint32{65001, 4200000000}, 2},
		"longer":              {[][]byte{old(2, 1, trans), as4(2, 2, big, big)}, []uint32{23456}, 1},
		"sets":                {[][]byte{old(1, 2, "\x00\x01\x00\x02", 2, 1, trans, 1, 1, trans), as4(1, 2, big, big)}, []uint32{1, 2, 23456, 4200000000, 4200000000}, 3},
		"a set shorter":       {[][]byte{old(1, 2, "\x00\x01\x00\x02", 2, 1, trans), as4(2, 1, big)}, []uint32{1, 2, 4200000000}, 2},
		"within a sequence":   {[][]byte{old(2, 1, "\x00\x01", 2, 3, "\x00\x02\x00\x03", trans), as4(2, 1, big)}, []uint32{1, 2, 3, 4200000000}, 4},
		"with confederations": {[][]byte{old(2, 2, "\xfd\xe9", trans), as4(3, 1, big, 2, 1, big, 4, 1, big)}, []uint32{65001, 4200000000}, 2},
		"aggregated by one who knew": {
			[][]byte{attr(pass, 18, big, "1234"), old(2, 1, trans), as4(2, 1, big), attr(pass, 7, trans, "1234")}, []uint32{4200000000}, 1},
		"aggregated by one who did not": {
			[][]byte{attr(pass, 18, big, "1234"), old(2, 1, trans), as4(2, 1, big), attr(pass, 7, "\xfd\xe9", "1234")}, []uint32{23456}, 1},
		"aggregated, but no AS4_AGGREGATOR": {
			[][]byte{old(2, 1, trans), as4(2, 1, big), attr(pass, 7, "\xfd\xe9", "1234")}, []uint32{4200000000}, 1},
	} {
		theirs := peerOpen()
		theirs.fourOctetAS = false
		d := newDecoder(theirs)
		got, fault, err := d.decode(updateBody(nil, without(1, test.attributes...), net10))
		if err != nil || fault != none || len(got.Announced) != 1 {
			t.Errorf("%s: %+v, %+v, %v", name, got, fault, err)
			continue
		}
		if r := got.Announced[0]; !slices.Equal(r.ASPath, test.want) || r.Length != test.length {
			t.Errorf("%s: %v of length %d, want %v of %d", name, r.ASPath, r.Length, test.want, test.length)
		} else if want := theSets[name]; !slices.Equal(r.Sets, want) {
			t.Errorf("%s: sets %v, want %v", name, r.Sets, want)
		}
	}
}
