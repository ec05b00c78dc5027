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
	subnets := func(n int) []byte {
		var list []byte
		for i := range n {
			list = append(list, join(64, "\x20\x01\x0d\xb8", 0, 0, i>>8, i)...)
		}
		return list
	}
	for _, bench := range []struct {
		name     string
		prefixes int
		body     []byte
	}{
		{"500 IPv4 by MP_REACH_NLRI", 500, updateBody(nil, append([][]byte{longReach(1, hosts(0, 500))}, deciding...), nil)},
		{"500 IPv4 withdrawn", 500, updateBody(hosts(0, 500), nil, nil)},
		{"400 IPv6", 400, updateBody(nil, append([][]byte{longReach(2, subnets(400))}, deciding...), nil)},
		{"6 IPv4", 6, updateBody(nil, append([][]byte{longReach(1, hosts(0, 6))}, deciding...), nil)},
		{"1 IPv4", 1, updateBody(nil, append([][]byte{longReach(1, hosts(0, 1))}, deciding...), nil)},
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

// deciding are the attributes of a path of five ASes.
var deciding = [][]byte{
	origin, attr(wk, 2, 2, 5, "\x00\x00\xfd\xe9\x00\x00\xfd\xea\x00\x00\xfd\xeb\x00\x00\xfd\xec\x00\x00\xfd\xed"),
	attr(opt, 4, 0, 0, 0, 9), attr(pass, 8, "\xff\xff\x00\x00\xfd\xe9\x00\x07"),
}

func longReach(afi int, list []byte) []byte {
	return join(opt|extended, 14, field(0, afi, 1, 16, linkLocal, 0, list))
}

// hosts are n prefixes of one IPv4 address each.
func hosts(from, n int) []byte {
	var list []byte
	for i := range n {
		list = binary.BigEndian.AppendUint32(append(list, 32), 10<<24+uint32(from+i))
	}
	return list
}

// BenchmarkTap measures how long 500000 prefixes take from a TCP connection to
// the reader of News.
func BenchmarkTap(b *testing.B) {
	const n, each = 500_000, 500
	var table []byte
	for i := range n / each {
		table = append(table, newMessage(typeUpdate, updateBody(nil, append([][]byte{longReach(1, hosts(i*each, each))}, deciding...), nil)...)...)
	}
	s, c := newLoop(b)
	toGoBGP, _ := pipe(b)
	b.ReportAllocs()
	for b.Loop() {
		from, to := pipe(b)
		go to.Write(table)
		go func() {
			tap := newTap(c, peerOpen(), Config{})
			tap.machine = &machine{tcp: toGoBGP}
			for f := newFramer(from); ; {
				if m, err := f.next(); err != nil || tap.take(b.Context(), m) != nil {
					return
				}
			}
		}()
		for heard := 0; heard < n; {
			heard += len((<-s.News()).(Update).Announced)
		}
		from.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/prefix")
}
