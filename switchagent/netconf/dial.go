package netconf

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// Target is a NETCONF server and how to log in to it.
type Target struct {
	Addr       string // host:port, [v6]:port; the port is usually 830 (RFC 6242)
	User       string
	Key        string // path of an unencrypted private key: OpenSSH or PEM, ed25519, ecdsa or rsa
	KnownHosts string // path of a known_hosts file of OpenSSH that pins the server's keys
}

// Check reads both files as Dial does, without dialling, so that a mistake shows early.
func (t Target) Check() error {
	_, err := t.clientConfig()
	return err
}

// KeyWarning says that others than the owner may use the private key, and the command that mends
// it; "" if not. OpenSSH refuses such a key, but it is what some ways to hand secrets to a
// container make of one. The credentials of systemd show the mask of an ACL as the group's mode
// and are no matter of chmod: nothing is said about those.
func (t Target) KeyWarning() string {
	info, err := os.Stat(t.Key)
	if err != nil || info.Mode().Perm()&0o077 == 0 {
		return ""
	}
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); dir != "" && filepath.Dir(t.Key) == filepath.Clean(dir) {
		return ""
	}
	return fmt.Sprintf("private key %s has mode %04o, others than its owner may use it: chmod 600 %s", t.Key, info.Mode().Perm(), t.Key)
}

// clientConfig reads the files anew: a rotated key or a newly pinned one needs no restart.
func (t Target) clientConfig() (*ssh.ClientConfig, error) {
	signer, err := readKey(t.Key)
	if err != nil {
		return nil, err
	}
	pinned, err := loadPins(t.KnownHosts, t.Addr)
	if err != nil {
		return nil, err
	}
	return &ssh.ClientConfig{
		User:              t.User,
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback:   pinned.verify,
		HostKeyAlgorithms: pinned.algorithms(),
	}, nil
}

func readKey(file string) (ssh.Signer, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading private key: %w", err)
	}
	signer, err := ssh.ParsePrivateKey(pem)
	var encrypted *ssh.PassphraseMissingError
	if errors.As(err, &encrypted) {
		return nil, fmt.Errorf("private key %s has a passphrase: a daemon needs one without", file)
	}
	if err != nil {
		return nil, fmt.Errorf("private key %s: %w", file, err)
	}
	return signer, nil
}

// Dial opens a session. All of it, from the TCP connection to both hellos, ends with ctx; a
// server that falls silent at any step is therefore an error and never a hang. A server with
// another host key than the pinned one is a *HostKeyError.
func Dial(ctx context.Context, t Target) (*Session, error) {
	config, err := t.clientConfig()
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3,
	}}
	tcp, err := dialer.DialContext(ctx, "tcp", t.Addr)
	if err != nil {
		return nil, fmt.Errorf("dialling netconf server: %w", err)
	}
	c := &conn{Conn: tcp}
	s, err := openSession(ctx, c, t.Addr, config)
	if err != nil {
		c.fail(err)
		return nil, fmt.Errorf("netconf session with %s@%s: %w", t.User, t.Addr, c.failure())
	}
	return s, nil
}

// openSession makes a session of a fresh connection. The caller closes it on errors.
func openSession(ctx context.Context, c *conn, addr string, config *ssh.ClientConfig) (*Session, error) {
	stop := context.AfterFunc(ctx, func() { c.fail(context.Cause(ctx)) })
	defer stop()
	sshConn, channels, requests, err := ssh.NewClientConn(c, addr, config)
	if err != nil {
		return nil, err
	}
	client := ssh.NewClient(sshConn, channels, requests)
	in, out, err := netconfChannel(client)
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
	s.startKeepalive(client, keepaliveEvery, keepaliveWait)
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

// conn is the connection under a session. Its first failure closes it, and is the reason for
// every error that follows from that.
type conn struct {
	net.Conn
	mu    sync.Mutex
	cause error
}

func (c *conn) fail(cause error) {
	c.mu.Lock()
	if c.cause == nil {
		c.cause = cause
	}
	c.mu.Unlock()
	c.Conn.Close()
}

// failure is the first failure, nil while the connection is good.
func (c *conn) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}
