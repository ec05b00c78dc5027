package junos

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// xmlMode is the command that Junos takes in place of the netconf subsystem.
const xmlMode = "xml-mode netconf need-trailer"

// An sshServer lets users in.
type sshServer struct {
	key, wrongKey ssh.Signer
	users         func(name string) *User
}

func newSSHServer(d *Device) (*sshServer, error) {
	s := &sshServer{key: d.cfg.HostKey, users: d.user}
	var err error
	if s.key == nil {
		s.key, err = newHostKey()
	}
	if err == nil {
		s.wrongKey, err = newHostKey()
	}
	return s, err
}

func newHostKey() (ssh.Signer, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a host key: %w", err)
	}
	return ssh.NewSignerFromKey(private)
}

// config is the configuration for one connection.
func (s *sshServer) config(faults []Fault) *ssh.ServerConfig {
	key, locked := s.key, false
	for _, f := range faults {
		if f.Kind == FaultHostKey {
			key = s.wrongKey
		}
		locked = locked || f.Kind == FaultLogin
	}
	denied := errors.New("permission denied")
	server := &ssh.ServerConfig{
		ServerVersion: "SSH-2.0-OpenSSH_7.5",
		PasswordCallback: func(c ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			u := s.users(c.User())
			if locked || u == nil || u.Password == "" || subtle.ConstantTimeCompare(password, []byte(u.Password)) != 1 {
				return nil, denied
			}
			return nil, nil
		},
		PublicKeyCallback: func(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			u := s.users(c.User())
			if locked || u == nil || !u.owns(key) {
				return nil, denied
			}
			return nil, nil
		},
	}
	server.AddHostKey(key)
	return server
}

func (u *User) owns(key ssh.PublicKey) bool {
	for _, k := range u.AuthorizedKeys {
		if bytes.Equal(k.Marshal(), key.Marshal()) {
			return true
		}
	}
	return false
}

// netconfEnabled says whether NETCONF over SSH is configured.
func (d *Device) netconfEnabled() bool {
	return d.db.running().has("system", "services", "netconf", "ssh")
}

// connectionLimit is how many connections the port of NETCONF takes.
func (d *Device) connectionLimit() int {
	limit, err := strconv.Atoi(d.db.running().leaf("system", "services", "netconf", "ssh", "connection-limit"))
	if err != nil {
		return 75 // Junos' default
	}
	return limit
}

// serveConn serves one SSH connection until it ends or ctx does. The port of
// NETCONF is closed as long as NETCONF is not configured.
func (d *Device) serveConn(ctx context.Context, conn net.Conn, cli bool) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if !cli {
		defer d.connections.Add(-1)
		if int(d.connections.Add(1)) > d.connectionLimit() || !d.netconfEnabled() {
			return
		}
	}
	h := d.faults.holding(nil)
	strikes := d.faults.strike(OnConnect, 0)
	if !d.admits(ctx, conn, strikes, h) {
		return
	}
	client, channels, requests, err := ssh.NewServerConn(conn, d.ssh.config(strikes))
	if err != nil {
		d.log.Info("ssh handshake", "peer", conn.RemoteAddr().String(), "err", err)
		return
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { ssh.DiscardRequests(requests) })
	for offered := range channels {
		if offered.ChannelType() != "session" {
			_ = offered.Reject(ssh.UnknownChannelType, "only sessions")
			continue
		}
		channel, channelRequests, err := offered.Accept()
		if err != nil {
			return
		}
		l := login{device: d, conn: conn, client: client, channel: channel, cli: cli}
		wg.Go(func() { l.serve(ctx, channelRequests) })
	}
}

// admits lets faults strike a connection, and says whether it goes on.
func (d *Device) admits(ctx context.Context, conn net.Conn, strikes []Fault, h hold) bool {
	for _, f := range strikes {
		switch f.Kind {
		case FaultDrop, FaultResetBefore, FaultResetAfter:
			resetConn(conn)
			return false
		case FaultSlow, FaultStall:
			if h.wait(ctx, f.Delay) != nil {
				return false
			}
		case FaultNoise:
			// Before the version only lines without a carriage return of their own
			// are banners (RFC 4253 section 4.2).
			if _, err := io.WriteString(conn, f.Text); err != nil {
				return false
			}
		}
	}
	return true
}

// resetConn closes a connection with a reset, as a crash does.
func resetConn(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // without it, it is closed all the same
	}
	conn.Close()
}

// A login is one channel of a connection.
type login struct {
	device  *Device
	conn    net.Conn
	client  *ssh.ServerConn
	channel ssh.Channel
	cli     bool // this port has a command line
}

// What a channel is asked to be.
const (
	asNetconf = "netconf"
	asShell   = "cli"
)

// serve waits for the request that starts NETCONF or the command line, and
// runs it. The connection ends with its session: Junos' clients have one on each.
func (l login) serve(ctx context.Context, requests <-chan *ssh.Request) {
	var wg sync.WaitGroup
	defer wg.Wait()
	defer l.hangUp()
	defer l.channel.Close()
	started := make(chan string, 1)
	wg.Go(func() {
		running := false
		for r := range requests {
			mode, command := l.mode(r)
			starts := mode != "" && !running
			_ = r.Reply(starts || r.Type == "env" || r.Type == "pty-req" || r.Type == "window-change", nil)
			if starts {
				running = true
				started <- mode + command
			}
		}
		if !running {
			close(started)
		}
	})
	mode, ok := <-started
	if !ok {
		return
	}
	d := l.device
	user := d.user(l.client.User())
	if user == nil {
		return // deleted while they logged in
	}
	s := newSession(d, *user, l.channel)
	s.reset = func() { resetConn(l.conn) }
	gone := make(chan struct{})
	s.gone = gone
	wg.Go(func() { defer close(gone); _ = l.client.Wait() }) // how it ended is of no interest
	device := ctx
	s.reboot = func() error { return d.Reboot(device) } // which ends this session
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.id = d.enter(func() { cancel(); l.client.Close() })
	defer d.leave(s.id)
	d.log.Info("session opened", "mode", mode, "peer", l.client.RemoteAddr().String(), "user", user.Name, "session", s.id)
	if err := l.run(ctx, s, mode); err != nil && !errors.Is(err, io.EOF) {
		d.log.Info("session ended", "session", s.id, "err", err)
	}
}

// hangUp ends the connection. Clients of the command line hang up themselves
// when their channel closes, and complain of those who are faster.
func (l login) hangUp() {
	if l.cli {
		defer time.AfterFunc(time.Second, func() { l.client.Close() }).Stop()
		_ = l.client.Wait() // how it ended is of no interest
	}
	l.client.Close()
}

// mode is what a request starts, "" if nothing that is allowed here; a command
// of its own follows asShell.
func (l login) mode(r *ssh.Request) (mode, command string) {
	var request struct{ Name string }
	if r.Type == "shell" && l.cli {
		return asShell, ""
	}
	if err := ssh.Unmarshal(r.Payload, &request); err != nil {
		return "", ""
	}
	switch {
	case r.Type == "subsystem" && request.Name == "netconf", r.Type == "exec" && request.Name == xmlMode:
		if l.device.netconfEnabled() {
			return asNetconf, ""
		}
	case r.Type == "exec" && l.cli:
		return asShell, " " + request.Name
	}
	return "", ""
}

func (l login) run(ctx context.Context, s *session, mode string) error {
	if mode == asNetconf {
		return s.run(ctx)
	}
	defer s.end(ctx)
	shell := newShell(s, l.channel)
	if len(mode) > len(asShell) {
		err := shell.once(ctx, mode[len(asShell)+1:])
		_, _ = l.channel.SendRequest("exit-status", false, make([]byte, 4)) // who is gone wants no status
		return err
	}
	return shell.run(ctx)
}
