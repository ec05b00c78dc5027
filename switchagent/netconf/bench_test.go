package netconf

import (
	"io"
	"os"
	"strings"
	"testing"

	"lastmile/lab/sshkey"
)

// BenchmarkReply takes a neighbour table of 10 000 entries, 5 MB, from a server in the same process that has it ready:
// how much of a call is SSH, whose time nothing here can change, and what each layer adds.
func BenchmarkReply(b *testing.B) {
	recorded, err := os.ReadFile("../junos/testdata/nd.xml")
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(recorded), "<ipv6-nd-entry>")
	entry, _, _ := strings.Cut(rest, "</ipv6-nd-entry>")
	table := strings.Repeat("<ipv6-nd-entry>"+entry+"</ipv6-nd-entry>\n", 10_000)
	var size int64 // of the framed reply, whose message-id has always the same length
	wire := func(s *Session, read func(io.Reader) error) error {
		if err := s.transport.Send([]byte(`<rpc message-id="101"><x/></rpc>`)); err != nil {
			return err
		}
		return read(s.framer.in)
	}
	call := func(s *Session, elements map[string]Element) error {
		_, err := s.Call(b.Context(), Call{Body: "<x/>", Elements: elements})
		return err
	}
	fields := Fields(func(path, text []byte) {})
	for _, layer := range []struct {
		name string
		read func(*Session) error
	}{
		{"ssh", func(s *Session) error {
			return wire(s, func(r io.Reader) error { _, err := io.CopyN(io.Discard, r, size); return err })
		}},
		{"ssh+framing", func(s *Session) error {
			return wire(s, func(io.Reader) error { _, err := io.Copy(io.Discard, s.framer.message()); return err })
		}},
		{"ssh+framing+tokens", func(s *Session) error { return call(s, map[string]Element{"none": nil}) }},
		{"ssh+framing+tokens+fields", func(s *Session) error {
			return call(s, map[string]Element{"ipv6-nd-entry": func(decode func(any) error) error { return decode(fields) }})
		}},
	} {
		b.Run(layer.name, func(b *testing.B) {
			key := newSigner(b, sshkey.Ed25519)
			s := dial(b, newServer(b, key).start(answerAll(table), key.PublicKey()))
			for range 2 { // a line feed behind the hello is part of the first reply
				err := wire(s, func(io.Reader) (err error) { size, err = io.Copy(io.Discard, s.framer.message()); return err })
				if err != nil {
					b.Fatal(err)
				}
			}
			size += int64(len(endOfMessage))
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				if err := layer.read(s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
