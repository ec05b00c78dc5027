package netconf

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/crypto/ssh"

	"lastmile/switchagent/login"
)

// Dial opens a session with a server, whose port is usually 830 (RFC 6242). All of it, from the TCP connection to
// both hellos, ends with ctx; a server that falls silent at any step is therefore an error and never a hang. The
// error is a *login.Error.
func Dial(ctx context.Context, t login.Target) (*Session, error) {
	return dialPatiently(ctx, t, probePatience)
}

// dialPatiently settles the framing by what the server does: some firmware promises base:1.1 and goes on without
// (rustnetconf reports it). Where both promise it one empty call shows whether chunks are what comes back, and if
// not the server is dialled again without the promise.
func dialPatiently(ctx context.Context, t login.Target, patience time.Duration) (*Session, error) {
	s, err := dialOnce(ctx, t, true)
	if err != nil || !s.framer.chunked {
		return s, err
	}
	probe, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err = s.Call(probe, Call{Body: emptyCall, Silence: patience})
	var refused *ReplyError
	if err == nil || errors.As(err, &refused) {
		return s, nil
	}
	s.Close()
	if ctx.Err() != nil {
		return nil, &login.Error{Kind: login.NoNetconf, Err: err}
	}
	return dialOnce(ctx, t, false)
}

// probePatience is how long a server may be silent before it is taken for one that waits for the end of a message.
const probePatience = 5 * time.Second

// emptyCall selects nothing (RFC 6241 section 6.4.2). That it is refused is an answer too.
const emptyCall = `<get-config><source><running/></source><filter type="subtree"/></get-config>`

func dialOnce(ctx context.Context, t login.Target, chunks bool) (*Session, error) {
	c, err := login.Dial(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("netconf session: %w", err)
	}
	s, err := openSession(ctx, c, chunks)
	if err != nil {
		c.Fail(err)
		return nil, &login.Error{Kind: login.NoNetconf, Err: fmt.Errorf("netconf session with %s@%s: %w", t.User, t.Addr, c.Failure())}
	}
	return s, nil
}

// openSession makes a session of a fresh connection. The caller closes it on errors.
func openSession(ctx context.Context, c *login.Conn, chunks bool) (*Session, error) {
	stop := context.AfterFunc(ctx, func() { c.Fail(context.Cause(ctx)) })
	defer stop()
	in, out, err := netconfChannel(c.Client)
	if err != nil {
		return nil, err
	}
	s := newSession(c, &framer{in: bufio.NewReaderSize(in, 64<<10), out: out, max: maxMessage})
	s.transport.plain = !chunks
	if err := s.hello(); err != nil {
		return nil, err
	}
	if !stop() { // ctx ended in the last moment
		return nil, context.Cause(ctx)
	}
	s.startKeepalive(login.KeepaliveEvery, login.KeepaliveWait)
	return s, nil
}

// netconfChannel starts the SSH subsystem (RFC 6242 section 3).
func netconfChannel(client *ssh.Client) (io.Reader, io.Writer, error) {
	channel, err := client.NewSession()
	if err != nil {
		return nil, nil, fmt.Errorf("opening ssh channel: %w", err)
	}
	out, err := channel.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	in, err := channel.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	beside, err := channel.StderrPipe()
	if err != nil {
		return nil, nil, err
	}
	// What the server says beside the session is of no use, and unread it would fill the window of both.
	go func() { _, _ = io.Copy(io.Discard, beside) }() // it ends with the connection
	if err := channel.RequestSubsystem("netconf"); err != nil {
		return nil, nil, fmt.Errorf("starting ssh subsystem netconf (is `system services netconf ssh` configured?): %w", err)
	}
	return in, out, nil
}
