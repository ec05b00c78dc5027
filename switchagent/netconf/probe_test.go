package netconf

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// claims is a server that promises base:1.1, and keeps that or not.
func claims(chunks bool) func(*peer) {
	return func(p *peer) {
		fmt.Fprintf(p.out, junosHello, "\n<capability>urn:ietf:params:netconf:base:1.1</capability>")
		hello, _ := p.receive()
		p.chunked = chunks && strings.Contains(hello, "base:1.1")
		for {
			msg, id := p.receive()
			if msg == "" {
				return
			}
			p.reply(id, "<ok/>")
		}
	}
}

// TestPromiseOfChunks: some firmware promises base:1.1 and goes on with end-of-message framing in what it sends, or
// in what it reads too. Such a server is spoken to in that, and one that keeps the promise in chunks.
func TestPromiseOfChunks(t *testing.T) {
	reads := func(p *peer) { // it reads chunks, and sends none
		fmt.Fprintf(p.out, junosHello, "\n<capability>urn:ietf:params:netconf:base:1.1</capability>")
		hello, _ := p.receive()
		for {
			p.chunked = strings.Contains(hello, "base:1.1")
			msg, id := p.receive()
			if msg == "" {
				return
			}
			p.chunked = false
			p.reply(id, "<ok/>")
		}
	}
	for name, tt := range map[string]struct {
		script  func(*peer)
		chunked bool
	}{
		"kept": {claims(true), true}, "sends none": {reads, false}, "reads and sends none": {claims(false), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := newSigner(t, "ed25519")
			s, err := dialPatiently(t.Context(), newServer(t, key).start(tt.script, key.PublicKey()), time.Second)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if reply, err := s.Call(t.Context(), Call{Body: "<x/>"}); err != nil || !reply.OK || s.framer.chunked != tt.chunked {
				t.Errorf("%+v, %v, chunked %v", reply, err, s.framer.chunked)
			}
		})
	}
}

// TestServerThatTalksBeside: what comes on the channel's other stream shares its window.
func TestServerThatTalksBeside(t *testing.T) {
	key := newSigner(t, "ed25519")
	s := dial(t, newServer(t, key).start(func(p *peer) {
		p.hello(false)
		noise := make([]byte, 1<<20)
		for {
			_, id := p.receive()
			if id == "" {
				return
			}
			for range 4 {
				if _, err := p.beside.Write(noise); err != nil {
					return
				}
			}
			p.reply(id, "<ok/>")
		}
	}, key.PublicKey()))
	if _, err := s.Call(t.Context(), Call{Body: "<x/>", Silence: 3 * time.Second}); err != nil {
		t.Error(err)
	}
}
