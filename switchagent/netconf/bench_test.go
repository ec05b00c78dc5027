package netconf

import (
	"io"
	"os"
	"strings"
	"testing"

	"lastmile/lab/sshkey"
)

// onTheWire sends a call and has the bytes of the reply read.
func onTheWire(s *Session, read func(io.Reader) error) error {
	if err := s.transport.Send([]byte(`<rpc message-id="101"><x/></rpc>`)); err != nil {
		return err
	}
	return read(s.framer.in)
}

// callFor makes a call of whose reply the elements are wanted.
func callFor(b *testing.B, s *Session, elements map[string]Element) error {
	_, err := s.Call(b.Context(), Call{Body: "<x/>", Elements: elements})
	return err
}

// replyLayers read a reply, of so many bytes, each by a layer more than the one before.
var replyLayers = []struct {
	name string
	read func(b *testing.B, s *Session, size int64) error
}{
	{"ssh", func(_ *testing.B, s *Session, size int64) error {
		return onTheWire(s, func(r io.Reader) error { _, err := io.CopyN(io.Discard, r, size); return err })
	}},
	{"ssh+framing", func(_ *testing.B, s *Session, _ int64) error {
		return onTheWire(s, func(io.Reader) error { _, err := io.Copy(io.Discard, s.framer.message()); return err })
	}},
	{"ssh+framing+tokens", func(b *testing.B, s *Session, _ int64) error {
		return callFor(b, s, map[string]Element{"none": nil})
	}},
	{"ssh+framing+tokens+fields", func(b *testing.B, s *Session, _ int64) error {
		return callFor(b, s, map[string]Element{"ipv6-nd-entry": func(decode func(any) error) error { return decode(noFields) }})
	}},
}

var noFields = Fields(func(path, text []byte) {})

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
	for _, layer := range replyLayers {
		b.Run(layer.name, func(b *testing.B) {
			key := newSigner(b, sshkey.Ed25519)
			s := dial(b, newServer(b, key).start(answerAll(table), key.PublicKey()))
			var size int64 // of the framed reply, whose message-id has always the same length
			for range 2 {  // a line feed behind the hello is part of the first reply
				err := onTheWire(s, func(io.Reader) (err error) { size, err = io.Copy(io.Discard, s.framer.message()); return err })
				if err != nil {
					b.Fatal(err)
				}
			}
			size += int64(len(endOfMessage))
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				if err := layer.read(b, s, size); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
