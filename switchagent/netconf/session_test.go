package netconf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"lastmile/switchagent/login"
)

// TestCallFaults: whatever happens to a reply, the call ends with an error that says so, and the
// session is dead.
func TestCallFaults(t *testing.T) {
	host := newSigner(t, "ed25519")
	half := func(p *peer, id string) { fmt.Fprintf(p.out, `<rpc-reply message-id="%s"><a>`, id) }
	tests := []struct {
		name   string
		answer func(p *peer, id string)
		want   error
	}{
		{"no answer", func(p *peer, _ string) { p.receive() }, errStalled},
		{"stalled in the middle", func(p *peer, id string) { half(p, id); p.receive() }, errStalled},
		{"channel closed in the middle", half, io.ErrUnexpectedEOF},
		{"connection closed in the middle", func(p *peer, id string) { half(p, id); p.hangUp() }, io.ErrUnexpectedEOF},
		{"delimiter inside", func(p *peer, id string) { half(p, id); p.frame("") }, errReply},
		{"foreign message-id", func(p *peer, _ string) { p.reply("7", "<ok/>") }, errReply},
		{"endless", func(p *peer, id string) {
			half(p, id)
			for _, err := p.out.Write(make([]byte, 1<<16)); err == nil; _, err = p.out.Write(make([]byte, 1<<16)) {
			}
		}, errTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			target := newServer(t, host).start(func(p *peer) {
				p.hello(false)
				_, id := p.receive()
				tt.answer(p, id)
			}, host.PublicKey())
			s := dial(t, target)
			if s.stall = time.Minute; tt.want == errStalled { // a machine that is busy is slow to send, too
				s.stall = 100 * time.Millisecond
			}
			s.framer.max = 1 << 20
			_, err := s.Call(t.Context(), Call{Body: "<get-x/>"})
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), "get-x") {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if s.Err() == nil {
				t.Error("the session is still alive")
			}
			if _, err := s.Call(t.Context(), Call{Body: "<y/>"}); err == nil || !strings.Contains(err.Error(), "session is dead") {
				t.Errorf("the next call: %v", err)
			}
		})
	}
}

func TestCallIsBounded(t *testing.T) {
	host := newSigner(t, "ed25519")
	target := newServer(t, host).start(func(p *peer) {
		p.hello(false)
		_, id := p.receive()
		fmt.Fprintf(p.out, `<rpc-reply message-id="%s">`, id)
		for _, err := fmt.Fprint(p.out, " "); err == nil; _, err = fmt.Fprint(p.out, " ") {
		}
	}, host.PublicKey())

	s := dial(t, target)
	if _, err := s.Call(t.Context(), Call{Body: "<x/>", Timeout: 50 * time.Millisecond}); !errors.Is(err, errTimeout) {
		t.Errorf("dribbling: got %v, want %v", err, errTimeout)
	}

	s = dial(t, target)
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("told to stop")
	time.AfterFunc(50*time.Millisecond, func() { cancel(stopped) })
	if _, err := s.Call(ctx, Call{Body: "<x/>"}); !errors.Is(err, stopped) {
		t.Errorf("cancelled: got %v, want %v", err, stopped)
	}
}

// TestSlowCall: during a commit the server is silent for longer than a table may be.
func TestSlowCall(t *testing.T) {
	host := newSigner(t, "ed25519")
	release := make(chan struct{})
	target := newServer(t, host).start(func(p *peer) {
		p.hello(false)
		_, id := p.receive()
		<-release
		p.reply(id, "<ok/>")
	}, host.PublicKey())
	s := dial(t, target)
	s.stall = time.Millisecond
	time.AfterFunc(50*time.Millisecond, func() { close(release) })
	if _, err := s.Call(t.Context(), Call{Body: "<commit-configuration/>", Slow: true}); err != nil {
		t.Error(err)
	}
}

// TestSteadyReply: a reply that takes longer than a stall may, but never stalls, is good.
func TestSteadyReply(t *testing.T) {
	host := newSigner(t, "ed25519")
	const stall = 500 * time.Millisecond
	target := newServer(t, host).start(func(p *peer) {
		p.hello(false)
		_, id := p.receive()
		fmt.Fprintf(p.out, `<rpc-reply message-id="%s">`, id)
		tick := time.NewTicker(stall / 20)
		defer tick.Stop()
		for range 40 {
			<-tick.C
			fmt.Fprint(p.out, "<row/>")
		}
		fmt.Fprint(p.out, "<ok/></rpc-reply>]]>]]>")
		p.receive()
	}, host.PublicKey())
	s := dial(t, target)
	s.stall = stall
	if reply, err := s.Call(t.Context(), Call{Body: "<x/>"}); err != nil || !reply.OK {
		t.Errorf("got %+v, %v", reply, err)
	}
}

func TestRefusedCallLeavesTheSession(t *testing.T) {
	host := newSigner(t, "ed25519")
	for _, chunked := range []bool{false, true} {
		target := newServer(t, host).start(func(p *peer) {
			p.hello(chunked)
			for {
				msg, id := p.receive()
				switch {
				case msg == "":
					return
				case strings.Contains(msg, "<load/>"):
					p.reply(id, nestedError)
				default:
					p.reply(id, "<ok/>")
				}
			}
		}, host.PublicKey())
		s := dial(t, target)
		var refused *ReplyError
		if _, err := s.Call(t.Context(), Call{Body: "<load/>"}); !errors.As(err, &refused) {
			t.Fatalf("chunked %v: got %v, want a ReplyError", chunked, err)
		}
		if reply, err := s.Call(t.Context(), Call{Body: "<x/>"}); err != nil || !reply.OK {
			t.Errorf("chunked %v: the next call: %+v, %v", chunked, reply, err)
		}
	}
}

// TestFramingsOverSSH: the delimiter arrives in pieces, chunks are as small as they can be.
func TestFramingsOverSSH(t *testing.T) {
	host := newSigner(t, "ed25519")
	body := `<row>a ##
]]&gt;]] b</row>`
	for _, chunked := range []bool{false, true} {
		target := newServer(t, host).start(func(p *peer) {
			p.hello(chunked)
			_, id := p.receive()
			if chunked { // that was to see whether chunks come back
				p.reply(id, "")
				_, id = p.receive()
			}
			reply := fmt.Sprintf(`<rpc-reply message-id="%s">%s</rpc-reply>`, id, body)
			if !chunked {
				p.dribble(reply + "]]>]]>")
				return
			}
			for b := range strings.SplitSeq(reply, "") {
				p.dribble("\n#1\n" + b)
			}
			p.dribble("\n##\n")
			p.receive()
		}, host.PublicKey())
		var row string
		_, err := dial(t, target).Call(t.Context(), Call{Body: "<x/>", Elements: map[string]Element{
			"row": func(decode func(any) error) error { return decode(&row) },
		}})
		if want := "a ##\n]]>]] b"; err != nil || row != want {
			t.Errorf("chunked %v: got %q, %v; want %q", chunked, row, err, want)
		}
	}
}

func TestCallsTakeTurns(t *testing.T) {
	host := newSigner(t, "ed25519")
	s := dial(t, newServer(t, host).start(func(p *peer) {
		p.hello(false)
		for {
			msg, id := p.receive()
			if msg == "" {
				return
			}
			_, number, _ := strings.Cut(msg, "<n>")
			number, _, _ = strings.Cut(number, "<")
			p.reply(id, "<n>"+number+"</n>")
		}
	}, host.PublicKey()))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			var got int
			_, err := s.Call(t.Context(), Call{Body: fmt.Sprintf("<x><n>%d</n></x>", i), Elements: map[string]Element{
				"n": func(decode func(any) error) error { return decode(&got) },
			}})
			if err != nil || got != i {
				t.Errorf("call %d got the answer of %d, %v", i, got, err)
			}
		})
	}
	wg.Wait()
}

func TestWaitingForATurnIsBounded(t *testing.T) {
	s := &Session{turn: make(chan struct{}, 1), conn: &login.Conn{}}
	s.turn <- struct{}{}
	if _, err := s.Call(t.Context(), Call{Body: "<x/>", Timeout: time.Millisecond}); !errors.Is(err, errTimeout) {
		t.Errorf("got %v, want %v", err, errTimeout)
	}
}

// TestStoppedCallerSendsNothing: who was told to stop between load and commit commits nothing.
func TestStoppedCallerSendsNothing(t *testing.T) {
	host := newSigner(t, "ed25519")
	heard := make(chan string, 100)
	s := dial(t, newServer(t, host).start(func(p *peer) {
		p.hello(false)
		for msg, id := p.receive(); msg != ""; msg, id = p.receive() {
			heard <- msg
			p.reply(id, "<ok/>")
		}
	}, host.PublicKey()))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 { // a select would choose by chance
		if _, err := s.Call(ctx, Call{Body: "<commit-configuration/>"}); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v, want %v", err, context.Canceled)
		}
	}
	if _, err := s.Call(t.Context(), Call{Body: "<x/>"}); err != nil {
		t.Errorf("the session has suffered: %v", err)
	} else if msg := <-heard; !strings.Contains(msg, "<x/>") {
		t.Errorf("sent %s", msg)
	}
}

func TestKeepaliveEndsADeadSession(t *testing.T) {
	host := newSigner(t, "ed25519")
	for _, mute := range []bool{true, false} {
		srv := newServer(t, host)
		srv.mute = mute
		s := dial(t, srv.start(answerAll("<ok/>"), host.PublicKey()))
		s.startKeepalive(time.Millisecond, time.Second)
		if mute {
			s.conn.Client.Wait() // only the keepalive can end it
			if s.Err() == nil || !strings.Contains(s.Err().Error(), "answers no keepalive") {
				t.Errorf("got %v, want that of the keepalive", s.Err())
			}
		} else if _, err := s.Call(t.Context(), Call{Body: "<x/>"}); err != nil {
			t.Error(err)
		}
		s.Close()
		s.Close() // a second time does nothing
	}
}

func TestCloseSaysGoodbye(t *testing.T) {
	host := newSigner(t, "ed25519")
	heard := make(chan string, 1)
	target := newServer(t, host).start(func(p *peer) {
		p.hello(false)
		msg, id := p.receive()
		p.reply(id, "<ok/>")
		heard <- msg
	}, host.PublicKey())
	s := dial(t, target)
	s.Close()
	if msg := <-heard; !strings.Contains(msg, "<close-session/>") {
		t.Errorf("heard %q", msg)
	}
	if !errors.Is(s.Err(), errClosed) {
		t.Errorf("got %v, want %v", s.Err(), errClosed)
	}
}
