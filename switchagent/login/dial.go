package login

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// Conn is the connection under an SSH client. Its first failure closes it, and is the reason for
// every error that follows from that.
type Conn struct {
	net.Conn
	Client *ssh.Client // nil until the login has succeeded
	mu     sync.Mutex
	cause  error
	done   chan struct{} // closed with the connection; nil until somebody wants it
}

// Fail closes the connection for a reason. Only the first is kept.
func (c *Conn) Fail(cause error) {
	c.mu.Lock()
	if c.cause == nil {
		c.cause = cause
		if c.done != nil {
			close(c.done)
		}
	}
	c.mu.Unlock()
	c.Conn.Close()
}

// Failure is the first failure, nil while the connection is good.
func (c *Conn) Failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}

// Done is closed with the first failure.
func (c *Conn) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.cause != nil {
			close(c.done)
		}
	}
	return c.done
}

// Dial connects and logs in. All of it ends with ctx; a server that falls silent at any step is
// therefore an error and never a hang. The error is an *Error: its kind says what it is about.
func Dial(ctx context.Context, t Target) (*Conn, error) {
	config, done, err := t.clientConfig()
	if err != nil {
		return nil, err
	}
	defer done()
	dialer := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3,
	}}
	tcp, err := dialer.DialContext(ctx, "tcp", t.Addr)
	if err != nil {
		return nil, &Error{Unreachable, fmt.Errorf("dialling: %w", err)}
	}
	c := &Conn{Conn: tcp}
	if err := c.handshake(ctx, t.Addr, config); err != nil {
		kind := handshakeKind(err)
		c.Fail(err)
		err = fmt.Errorf("ssh to %s@%s: %w", t.User, t.Addr, c.Failure())
		if kind == Auth {
			err = fmt.Errorf("%w: does `show configuration system login user %s` on the leaf hold this key?", err, t.User)
		}
		return nil, &Error{kind, err}
	}
	return c, nil
}

func (c *Conn) handshake(ctx context.Context, addr string, config *ssh.ClientConfig) error {
	stop := context.AfterFunc(ctx, func() { c.Fail(context.Cause(ctx)) })
	defer stop()
	conn, channels, requests, err := ssh.NewClientConn(c, addr, config)
	if err != nil {
		return err
	}
	c.Client = ssh.NewClient(conn, channels, requests)
	return nil
}

// errSilent ends a connection that stands.
var errSilent = errors.New("server answers no keepalive")

// Keepalive asks the server for a sign of life at intervals, until stop is closed or the connection
// ends: it tells a dead peer from a slow one. One that gives none within wait has failed.
func (c *Conn) Keepalive(stop <-chan struct{}, every, wait time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		silent := time.AfterFunc(wait, func() { c.Fail(errSilent) })
		_, _, err := c.Client.SendRequest("keepalive@openssh.com", true, nil)
		silent.Stop()
		if err != nil {
			c.Fail(fmt.Errorf("keepalive: %w", err))
			return
		}
	}
}

// Dead peers are noticed in 30 s, and at any rate within 45 s: a request every 15 s, which is
// answered within 15 s.
const (
	KeepaliveEvery = 15 * time.Second
	KeepaliveWait  = 15 * time.Second
)
