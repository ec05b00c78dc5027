package bgp

import (
	"encoding/binary"
	"testing"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// BenchmarkDecode measures how long an UPDATE takes, by the prefix, beside
// GoBGP's decoder:
//
//	go test -run '^$' -bench Decode ./hostagent/bgp
func BenchmarkDecode(b *testing.B) {
	hosts := func(n int) []byte {
		var list []byte
		for i := range n {
			list = binary.BigEndian.AppendUint32(append(list, 32), 10<<24+uint32(i))
		}
		return list
	}
	subnets := func(n int) []byte {
		var list []byte
		for i := range n {
			list = append(list, join(64, "\x20\x01\x0d\xb8", 0, 0, i>>8, i)...)
		}
		return list
	}
	longReach := func(afi int, list []byte) []byte {
		return join(opt|extended, 14, field(0, afi, 1, 16, linkLocal, 0, list))
	}
	path := attr(wk, 2, 2, 5, "\x00\x00\xfd\xe9\x00\x00\xfd\xea\x00\x00\xfd\xeb\x00\x00\xfd\xec\x00\x00\xfd\xed")
	attrs := [][]byte{origin, path, attr(opt, 4, 0, 0, 0, 9), attr(pass, 8, "\xff\xff\x00\x00\xfd\xe9\x00\x07")}
	for _, bench := range []struct {
		name     string
		prefixes int
		body     []byte
	}{
		{"500 IPv4 by MP_REACH_NLRI", 500, updateBody(nil, append([][]byte{longReach(1, hosts(500))}, attrs...), nil)},
		{"500 IPv4 withdrawn", 500, updateBody(hosts(500), nil, nil)},
		{"400 IPv6", 400, updateBody(nil, append([][]byte{longReach(2, subnets(400))}, attrs...), nil)},
		{"6 IPv4", 6, updateBody(nil, append([][]byte{longReach(1, hosts(6))}, attrs...), nil)},
		{"1 IPv4", 1, updateBody(nil, append([][]byte{longReach(1, hosts(1))}, attrs...), nil)},
	} {
		measure := func(b *testing.B, decode func() error) {
			b.ReportAllocs()
			for b.Loop() {
				if err := decode(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*bench.prefixes), "ns/prefix")
		}
		b.Run(bench.name+"/ours", func(b *testing.B) {
			d := newTestDecoder()
			measure(b, func() error {
				_, _, err := d.decode(bench.body)
				return err
			})
		})
		b.Run(bench.name+"/GoBGP", func(b *testing.B) {
			m := newMessage(typeUpdate, bench.body...)
			measure(b, func() error {
				_, err := bgp.ParseBGPMessage(m)
				return err
			})
		})
	}
}
