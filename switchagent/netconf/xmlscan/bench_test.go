package xmlscan

import (
	"encoding/xml"
	"io"
	"os"
	"strings"
	"testing"
)

// BenchmarkTokens reads a neighbour table of 10 000 entries, 5 MB.
func BenchmarkTokens(b *testing.B) {
	recorded, err := os.ReadFile("../../junos/testdata/nd.xml")
	if err != nil {
		b.Fatal(err)
	}
	begin, rest, _ := strings.Cut(string(recorded), "<ipv6-nd-entry>")
	entry, _, _ := strings.Cut(rest, "</ipv6-nd-entry>")
	table := begin + strings.Repeat("<ipv6-nd-entry>"+entry+"</ipv6-nd-entry>\n", 10_000) + "</ipv6-nd-information></rpc-reply>"
	run := func(name string, read func(io.Reader) error) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(table)))
			b.ReportAllocs()
			for b.Loop() {
				if err := read(strings.NewReader(table)); err != io.EOF {
					b.Fatal(err)
				}
			}
		})
	}
	run("xmlscan", func(r io.Reader) (err error) {
		for s := New(r); err == nil; {
			_, err = s.Next()
		}
		return err
	})
	run("encoding-xml", func(r io.Reader) (err error) {
		for d := xml.NewDecoder(r); err == nil; {
			_, err = d.Token()
		}
		return err
	})
}
