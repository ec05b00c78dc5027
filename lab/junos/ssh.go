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
	"slices"
	"sync"

	"golang.org/x/crypto/ssh"
)

// xmlMode is the command that Junos takes in place of the netconf subsystem.
const xmlMode = "xml-mode netconf need-trailer"

func sshConfig(cfg Config) (*ssh.ServerConfig, error) {
	find := func(name string) *User {
		i := slices.IndexFunc(cfg.Users, func(u User) bool { return u.Name == name })
		if i < 0 {
			return nil
		}
		return &cfg.Users[i]
	}
	denied := errors.New("permission denied")
	server := &ssh.ServerConfig{
		ServerVersion: "SSH-2.0-OpenSSH_7.5",
		PasswordCallback: func(c ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			u := find(c.User())
			if u == nil || u.Password == "" || subtle.ConstantTimeCompare(password, []byte(u.Password)) != 1 {
				return nil, denied
			}
			return nil, nil
		},
		PublicKeyCallback: func(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			u := find(c.User())
			if u == nil || !slices.ContainsFunc(u.AuthorizedKeys, func(k ssh.PublicKey) bool {
				return bytes.Equal(k.Marshal(), key.Marshal())
			}) {
				return nil, denied
			}
			return nil, nil
		},
	}
	hostKey := cfg.HostKey
	if hostKey == nil {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("making a host key: %w", err)
		}
		if hostKey, err = ssh.NewSignerFromKey(private); err != nil {
			return nil, fmt.Errorf("making a host key: %w", err)
		}
	}
	server.AddHostKey(hostKey)
	return server, nil
}

// serveConn serves one SSH connection until it ends or ctx does.
func (d *Device) serveConn(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	client, channels, requests, err := ssh.NewServerConn(conn, d.ssh)
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
		wg.Go(func() { d.serveChannel(ctx, client, channel, channelRequests) })
	}
}

// serveChannel waits for the request that starts NETCONF, and runs the session.
// The connection ends with its session: Junos' clients have one on each.
func (d *Device) serveChannel(ctx context.Context, client *ssh.ServerConn, channel ssh.Channel, requests <-chan *ssh.Request) {
	var wg sync.WaitGroup
	defer wg.Wait()
	defer client.Close()
	defer channel.Close()
	started := make(chan bool, 1)
	wg.Go(func() {
		running := false
		for r := range requests {
			starts := startsNetconf(r)
			_ = r.Reply(r.Type == "env" || r.Type == "pty-req" || starts && !running, nil)
			if starts && !running {
				running = true
				started <- true
			}
		}
		if !running {
			started <- false
		}
	})
	if !<-started {
		return
	}
	user := d.user(client.User())
	s := newSession(d, user, channel)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.id = d.enter(func() { cancel(); client.Close() })
	defer d.leave(s.id)
	d.log.Info("netconf session opened", "peer", client.RemoteAddr().String(), "user", user.Name, "session", s.id)
	if err := s.run(ctx); err != nil && !errors.Is(err, io.EOF) {
		d.log.Info("netconf session ended", "session", s.id, "err", err)
	}
}

func startsNetconf(r *ssh.Request) bool {
	var request struct{ Name string }
	if err := ssh.Unmarshal(r.Payload, &request); err != nil {
		return false
	}
	return r.Type == "subsystem" && request.Name == "netconf" || r.Type == "exec" && request.Name == xmlMode
}

func (d *Device) user(name string) User {
	i := slices.IndexFunc(d.cfg.Users, func(u User) bool { return u.Name == name })
	return d.cfg.Users[i] // authenticated, so it is there
}
