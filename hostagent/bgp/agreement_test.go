package bgp

import (
	"cmp"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// GoBGP's decoder and ours read the same from what GoBGP's encoder writes.
func TestAgreementWithGoBGP(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		old := r.IntN(3) == 0
		option := &bgp.MarshallingOption{Use2ByteAS: old}
		b, err := randomUpdate(t, r, old).Serialize(option)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := bgp.ParseBGPMessage(b, option)
		if err != nil {
			t.Fatalf("GoBGP does not read what it writes: %v", err)
		}
		d := newTestDecoder()
		if old {
			d.asSize = 2
		}
		ours, fault, err := d.decode(message(b).body())
		if err != nil || fault != none {
			t.Fatalf("%x: %+v, %v", b, fault, err)
		}
		compareWithGoBGP(t, b, ours, theirs.Body.(*bgp.BGPUpdate))
	}
}

// randomUpdate is a valid UPDATE.
func randomUpdate(t *testing.T, r *rand.Rand, old bool) *bgp.BGPMessage {
	t.Helper()
	nlri := func(family bgp.Family) (list []bgp.PathNLRI) {
		for range r.IntN(20) {
			n, err := bgp.NewIPAddrPrefix(randomPrefix(r, family))
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, bgp.PathNLRI{NLRI: n})
		}
		return list
	}
	attrs := []bgp.PathAttributeInterface{bgp.NewPathAttributeOrigin(uint8(r.IntN(3))), randomASPath(r, old)}
	hop, err := bgp.NewPathAttributeNextHop(netip.MustParseAddr("192.0.2.1"))
	if err != nil {
		t.Fatal(err)
	}
	attrs = append(attrs, hop)
	if r.IntN(2) == 0 {
		attrs = append(attrs, bgp.NewPathAttributeMultiExitDisc(r.Uint32()))
	}
	if r.IntN(2) == 0 {
		attrs = append(attrs, bgp.NewPathAttributeCommunities([]uint32{r.Uint32(), r.Uint32()}))
	}
	if r.IntN(2) == 0 {
		attrs = append(attrs, bgp.NewPathAttributeLargeCommunities([]*bgp.LargeCommunity{
			{ASN: r.Uint32(), LocalData1: r.Uint32(), LocalData2: r.Uint32()}, {ASN: r.Uint32()}}))
	}
	family := []bgp.Family{bgp.RF_IPv4_UC, bgp.RF_IPv6_UC}[r.IntN(2)]
	if list := nlri(family); len(list) > 0 {
		reach, err := bgp.NewPathAttributeMpReachNLRI(family, list, netip.MustParseAddr("fe80::1"))
		if err != nil {
			t.Fatal(err)
		}
		attrs = append(attrs, reach)
	}
	if list := nlri(family); len(list) > 0 {
		unreach, err := bgp.NewPathAttributeMpUnreachNLRI(family, list)
		if err != nil {
			t.Fatal(err)
		}
		attrs = append(attrs, unreach)
	}
	r.Shuffle(len(attrs), func(i, j int) { attrs[i], attrs[j] = attrs[j], attrs[i] })
	return bgp.NewBGPUpdateMessage(nlri(bgp.RF_IPv4_UC), attrs, nlri(bgp.RF_IPv4_UC))
}

// randomPrefix is one that can be routed.
func randomPrefix(r *rand.Rand, family bgp.Family) netip.Prefix {
	if family == bgp.RF_IPv4_UC {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], r.Uint32())
		a[0] = 1 + a[0]%100
		return netip.PrefixFrom(netip.AddrFrom4(a), r.IntN(33)).Masked()
	}
	var a [16]byte
	binary.BigEndian.PutUint64(a[:], r.Uint64())
	binary.BigEndian.PutUint64(a[8:], r.Uint64())
	a[0] = 0x20
	return netip.PrefixFrom(netip.AddrFrom16(a), r.IntN(129)).Masked()
}

func randomASPath(r *rand.Rand, old bool) *bgp.PathAttributeAsPath {
	var segments []bgp.AsPathParamInterface
	for range r.IntN(4) {
		kind := uint8(bgp.BGP_ASPATH_ATTR_TYPE_SET + r.IntN(2))
		var ases []uint32
		var ases2 []uint16
		for range 1 + r.IntN(5) {
			ases = append(ases, 1+r.Uint32N(1<<32-1))
			ases2 = append(ases2, uint16(1+r.IntN(1<<16-1)))
		}
		if old {
			segments = append(segments, bgp.NewAsPathParam(kind, ases2))
		} else {
			segments = append(segments, bgp.NewAs4PathParam(kind, ases))
		}
	}
	return bgp.NewPathAttributeAsPath(segments)
}

func compareWithGoBGP(t *testing.T, b []byte, ours Update, theirs *bgp.BGPUpdate) {
	t.Helper()
	withdrawn, announced := theirs.WithdrawnRoutes, theirs.NLRI
	want := Attributes{LocalPref: defaultLocalPref}
	for _, attr := range theirs.PathAttributes {
		switch a := attr.(type) {
		case *bgp.PathAttributeOrigin:
			want.Origin = a.Value
		case *bgp.PathAttributeMultiExitDisc:
			want.MED = a.Value
		case *bgp.PathAttributeCommunities:
			want.Communities = a.Value
		case *bgp.PathAttributeLargeCommunities:
			for _, c := range a.Values {
				want.LargeCommunities = append(want.LargeCommunities, [3]uint32{c.ASN, c.LocalData1, c.LocalData2})
			}
		case *bgp.PathAttributeAsPath:
			for _, segment := range a.Value {
				begin := len(want.ASPath)
				want.ASPath = append(want.ASPath, segment.GetAS()...)
				if segment.GetType() == bgp.BGP_ASPATH_ATTR_TYPE_SET {
					want.Sets = append(want.Sets, [2]int{begin, len(want.ASPath)})
				}
				want.Length += segment.ASLen()
			}
		case *bgp.PathAttributeMpReachNLRI:
			announced = append(announced, a.Value...)
		case *bgp.PathAttributeMpUnreachNLRI:
			withdrawn = append(withdrawn, a.Value...)
		}
	}
	var heard []netip.Prefix
	for _, r := range ours.Announced {
		heard = append(heard, r.Prefix)
		if got := *r.Attributes; got.Origin != want.Origin || got.MED != want.MED || got.LocalPref != want.LocalPref ||
			got.Length != want.Length || !slices.Equal(got.ASPath, want.ASPath) || !slices.Equal(got.Communities, want.Communities) ||
			!slices.Equal(got.Sets, want.Sets) || !slices.Equal(got.LargeCommunities, want.LargeCommunities) {
			t.Errorf("%x: %+v, GoBGP reads %+v", b, got, want)
		}
	}
	samePrefixes(t, b, heard, announced)
	samePrefixes(t, b, ours.Withdrawn, withdrawn)
}

func samePrefixes(t *testing.T, b []byte, ours []netip.Prefix, theirs []bgp.PathNLRI) {
	t.Helper()
	var want []netip.Prefix
	for _, n := range theirs {
		want = append(want, n.NLRI.(*bgp.IPAddrPrefix).Prefix)
	}
	compare := func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), a.Bits()-b.Bits())
	}
	slices.SortFunc(ours, compare)
	slices.SortFunc(want, compare)
	if !slices.Equal(ours, want) {
		t.Errorf("%x: %v, GoBGP reads %v", b, ours, want)
	}
}
