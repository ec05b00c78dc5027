package netconf

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"golang.org/x/crypto/ssh"

	"lastmile/switchagent/login"
)

// Target is a NETCONF server and how to log in to it; its port is usually 830 (RFC 6242).
type Target = login.Target

// Dial opens a session. All of it, from the TCP connection to both hellos, ends with ctx; a
// server that falls silent at any step is therefore an error and never a hang. The error is a
// *login.Error.
func Dial(ctx context.Context, t Target) (*Session, error) {
	c, err := login.Dial(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("netconf session: %w", err)
	}
	s, err := openSession(ctx, c)
	if err != nil {
		c.Fail(err)
		return nil, &login.Error{Kind: login.NoNetconf, Err: fmt.Errorf("netconf session with %s@%s: %w", t.User, t.Addr, c.Failure())}
	}
	return s, nil
}

// openSession makes a session of a fresh connection. The caller closes it on errors.
func openSession(ctx context.Context, c *login.Conn) (*Session, error) {
	stop := context.AfterFunc(ctx, func() { c.Fail(context.Cause(ctx)) })
	defer stop()
	in, out, err := netconfChannel(c.Client)
	if err != nil {
		return nil, err
	}
	s := newSession(c, &framer{in: bufio.NewReaderSize(in, 64<<10), out: out, max: maxMessage})
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
	if err := channel.RequestSubsystem("netconf"); err != nil {
		return nil, nil, fmt.Errorf("starting ssh subsystem netconf (is `system services netconf ssh` configured?): %w", err)
	}
	return in, out, nil
}
