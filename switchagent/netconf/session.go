// Package netconf is a NETCONF client (RFC 6241 over SSH, RFC 6242) for switches that must be
// watched for months without a hang.
//
// Session and vocabulary are those of github.com/Juniper/go-netconf. Underneath is a transport of
// our own, because the library's waits for ever on a server that falls silent, reads chunked
// framing wrongly and overlooks the errors that Junos nests inside results: pinned host keys, both
// framings, a bound on every wait, and a reply reader that takes a large table in one pass without
// holding it as XML.
//
// A Session carries one call at a time. After anything but a clean answer (a timeout, a stall,
// broken framing, a foreign message-id) it is dead for good: what the server did is then unknown,
// and a new session has to look.
package netconf

import (
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	gonetconf "github.com/Juniper/go-netconf/netconf"

	"lastmile/switchagent/login"
)

const (
	callTimeout  = 30 * time.Second
	stallTimeout = 15 * time.Second
	closeTimeout = 2 * time.Second

	// maxMessage holds a neighbour table of more than 100 000 entries of 470 bytes.
	maxMessage = 64 << 20
)

// ErrSlow is what errors are (errors.Is) of a server that did not answer in time although the
// connection stands. It may be dead, or need longer.
var ErrSlow = errors.New("server is slow")

// slow is an error that is ErrSlow.
type slow string

func (s slow) Error() string      { return string(s) }
func (slow) Is(target error) bool { return target == ErrSlow }

// What ends a session although the connection stands.
const (
	errStalled = slow("server fell silent")
	errTimeout = slow("no complete reply in time")
)

var errClosed = errors.New("session was closed")

// Session is an open NETCONF session. Its methods may be called by several goroutines.
type Session struct {
	conn      *login.Conn
	framer    *framer
	transport *transport
	session   *gonetconf.Session
	stall     time.Duration
	turn      chan struct{} // holds one token: one call at a time
	closed    sync.Once
	closing   chan struct{}
	keepalive sync.WaitGroup
}

func newSession(c *login.Conn, f *framer) *Session {
	return &Session{
		conn: c, framer: f, transport: &transport{framer: f, conn: c}, stall: stallTimeout,
		turn: make(chan struct{}, 1), closing: make(chan struct{}),
	}
}

// hello exchanges the hellos (RFC 6241 section 8.1) and settles the framing.
func (s *Session) hello() error {
	s.session = gonetconf.NewSession(s.transport) // which drops the errors of both hellos
	return s.transport.helloErr
}

// ID is the server's session-id; on Junos it is the process id of its mgd.
func (s *Session) ID() int { return s.session.SessionID }

// Err says why the session is dead; it is nil while calls can be made.
func (s *Session) Err() error { return s.conn.Failure() }

// Done is closed when the session is dead.
func (s *Session) Done() <-chan struct{} { return s.conn.Done() }

// Call sends one operation and reads its reply. A *ReplyError leaves the session usable, and so
// does a ctx that ends before anything is sent. Every other error is the end of the session, and
// whether the operation took effect is unknown.
func (s *Session) Call(ctx context.Context, c Call) (Reply, error) {
	silence := cmp.Or(c.Silence, s.stall)
	timeout := cmp.Or(c.Timeout, 2*c.Silence, callTimeout)
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("%w (%s)", errTimeout, timeout))
	defer cancel()
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return Reply{}, fmt.Errorf("netconf %s: waiting for another call: %w", c.Name(), context.Cause(ctx))
	}
	if ctx.Err() != nil { // nothing was sent: the session goes on
		return Reply{}, fmt.Errorf("netconf %s: %w", c.Name(), context.Cause(ctx))
	}
	if err := s.Err(); err != nil {
		return Reply{}, fmt.Errorf("netconf %s: session is dead: %w", c.Name(), err)
	}
	reply, err := s.exchange(ctx, c, silence)
	var refused *ReplyError
	if err != nil && !errors.As(err, &refused) {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = fmt.Errorf("server closed the connection: %w", io.ErrUnexpectedEOF)
		}
		s.conn.Fail(err)
		err = s.conn.Failure()
	}
	if err != nil {
		err = fmt.Errorf("netconf %s: %w", c.Name(), err)
	}
	return reply, err
}

func (s *Session) exchange(ctx context.Context, c Call, silence time.Duration) (Reply, error) {
	stop := context.AfterFunc(ctx, func() { s.conn.Fail(context.Cause(ctx)) })
	defer stop()
	rpc := gonetconf.NewRPCMessage([]gonetconf.RPCMethod{gonetconf.RawMethod(c.Body)})
	request, err := xml.Marshal(rpc)
	if err != nil {
		return Reply{}, err
	}
	if err := s.transport.Send(request); err != nil {
		return Reply{}, err
	}
	msg := s.framer.message()
	if !c.Slow {
		watched := newStallReader(msg, silence, func() { s.conn.Fail(errStalled) })
		defer watched.stop()
		msg = watched
	}
	reply, err := c.ReadReply(msg, rpc.MessageID)
	var refused *ReplyError
	if err != nil && !errors.As(err, &refused) {
		return Reply{}, err
	}
	if _, drainErr := io.Copy(io.Discard, msg); drainErr != nil {
		return Reply{}, drainErr
	}
	return reply, err
}

// Close ends the session: politely, so that the server drops its locks at once, if it still
// answers, and at any rate within two seconds.
func (s *Session) Close() error {
	if s.Err() == nil {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		s.Call(ctx, Call{Body: "<close-session/>"}) // the connection is closed whatever it answers
	}
	s.conn.Fail(errClosed)
	s.closed.Do(func() { close(s.closing) })
	s.keepalive.Wait()
	return nil
}

// startKeepalive looks after the server during calls as well. Its answers do not count as progress
// of a reply.
func (s *Session) startKeepalive(every, wait time.Duration) {
	s.keepalive.Go(func() { s.conn.Keepalive(s.closing, every, wait) })
}

// stallReader calls onStall once no byte came for a while.
type stallReader struct {
	io.Reader
	limit time.Duration
	timer *time.Timer
}

func newStallReader(r io.Reader, limit time.Duration, onStall func()) *stallReader {
	return &stallReader{Reader: r, limit: limit, timer: time.AfterFunc(limit, onStall)}
}

func (r *stallReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if n > 0 {
		r.timer.Reset(r.limit)
	}
	return n, err
}

func (r *stallReader) stop() { r.timer.Stop() }
