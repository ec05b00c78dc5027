package cli

import (
	"fmt"
	"io"
	"sync/atomic"

	"github.com/scrapli/scrapligo/transport"
	"golang.org/x/crypto/ssh"

	"lastmile/switchagent/login"
)

// terminal is a transport of scrapligo over a connection that is logged in.
type terminal struct {
	conn  *login.Conn
	in    io.WriteCloser
	out   io.Reader
	taken atomic.Int64 // bytes since the last write
}

var _ transport.Implementation = (*terminal)(nil)

// Open starts the command line.
func (t *terminal) Open(a *transport.Args) error {
	session, err := t.conn.Client.NewSession()
	if err != nil {
		return fmt.Errorf("opening ssh channel: %w", err)
	}
	if t.in, err = session.StdinPipe(); err != nil {
		return err
	}
	if t.out, err = session.StdoutPipe(); err != nil {
		return err
	}
	if err := session.RequestPty("vt100", a.TermHeight, a.TermWidth, ssh.TerminalModes{ssh.ECHO: 1}); err != nil {
		return fmt.Errorf("asking for a terminal: %w", err)
	}
	return session.Shell()
}

// Close ends the connection.
func (t *terminal) Close() error {
	t.conn.Fail(errClosed)
	return nil
}

// IsAlive says whether the connection stands.
func (t *terminal) IsAlive() bool { return t.conn.Failure() == nil }

// Read reads what there is. Every end is io.EOF: after another error scrapligo would try again for
// ever, and why it ended is known to the connection.
func (t *terminal) Read(n int) ([]byte, error) {
	b := make([]byte, n)
	n, err := t.out.Read(b)
	if t.taken.Add(int64(n)) > maxOutput {
		err = fmt.Errorf("a command printed more than %d bytes", maxOutput)
	}
	if err != nil {
		t.conn.Fail(fmt.Errorf("terminal: %w", err))
		return nil, io.EOF
	}
	return b[:n], nil
}

// Write types.
func (t *terminal) Write(b []byte) error {
	t.taken.Store(0)
	_, err := t.in.Write(b)
	if err != nil {
		t.conn.Fail(fmt.Errorf("terminal: %w", err))
	}
	return err
}
