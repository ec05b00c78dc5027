package netconf

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"lastmile/lab/sshkey"
	"lastmile/switchagent/login"
)

// server is a NETCONF server that does what a script says, wrong things included.
type server struct {
	t        testing.TB
	listener net.Listener
	config   *ssh.ServerConfig
	script   func(*peer)
	mute     bool // answers no global request, so no keepalive
	refuse   bool // refuses the subsystem
	wg       sync.WaitGroup
	dir      string
}

// peer is the server's end of one session.
type peer struct {
	in      *bufio.Reader
	out     io.Writer
	beside  io.Writer // the stream of errors
	hangUp  func()    // closes the TCP connection
	chunked bool
}

func newSigner(t testing.TB, kind string) ssh.Signer {
	t.Helper()
	return sshkey.ForTest(t, kind, "").Signer
}

// newServer listens; start makes it answer. Any key logs in.
func newServer(t testing.TB, hostKeys ...ssh.Signer) *server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, listener: listener, dir: t.TempDir(), config: &ssh.ServerConfig{
		PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, nil },
	}}
	for _, key := range hostKeys {
		s.config.AddHostKey(key)
	}
	return s
}

// start runs the script on every session and returns the target that fits, pinning keys.
func (s *server) start(script func(*peer), pinned ...ssh.PublicKey) login.Target {
	s.t.Helper()
	s.script = script
	s.wg.Go(s.serve)
	s.t.Cleanup(func() {
		s.listener.Close()
		s.wg.Wait()
	})
	target := login.Target{
		Addr: s.listener.Addr().String(), User: "switchagent", KnownHosts: filepath.Join(s.dir, "known_hosts"),
		Credentials: login.Credentials{Key: filepath.Join(s.dir, "id")},
	}
	sshkey.ForTest(s.t, sshkey.Ed25519, target.Key)
	s.pin(target, pinned...)
	return target
}

func (s *server) pin(target login.Target, keys ...ssh.PublicKey) {
	s.t.Helper()
	var lines strings.Builder
	for _, key := range keys {
		fmt.Fprintln(&lines, knownhosts.Line([]string{target.Addr}, key))
	}
	if err := os.WriteFile(target.KnownHosts, []byte(lines.String()), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) serve() {
	for {
		tcp, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.wg.Go(func() {
			defer tcp.Close()
			s.connection(tcp)
		})
	}
}

func (s *server) connection(tcp net.Conn) {
	conn, channels, requests, err := ssh.NewServerConn(tcp, s.config)
	if err != nil {
		return
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer conn.Close()
	wg.Go(func() {
		for request := range requests {
			if !s.mute {
				request.Reply(false, nil)
			}
		}
	})
	for next := range channels {
		channel, requests, err := next.Accept()
		if err != nil {
			return
		}
		wg.Go(func() {
			defer channel.Close()
			for request := range requests {
				request.Reply(!s.refuse, nil)
				if !s.refuse {
					s.script(&peer{in: bufio.NewReader(channel), out: channel, beside: channel.Stderr(), hangUp: func() { tcp.Close() }})
					return
				}
			}
		})
	}
}

const junosHello = `<!-- No zombies were killed during the creation of this user interface -->
<!-- user switchagent, class j-super-user -->
<hello xmlns="urn:ietf:params:xml:ns:netconf:base:1.0">
  <capabilities>
    <capability>urn:ietf:params:netconf:base:1.0</capability>%s
    <capability>http://xml.juniper.net/netconf/junos/1.0</capability>
  </capabilities>
  <session-id>19313</session-id>
</hello>
]]>]]>
`

// hello greets as Junos does, and settles the framing.
func (p *peer) hello(chunked bool) {
	more := ""
	if chunked {
		more = "\n<capability>urn:ietf:params:netconf:base:1.1</capability>"
	}
	fmt.Fprintf(p.out, junosHello, more)
	p.receive()
	p.chunked = chunked
}

var messageID = regexp.MustCompile(`message-id="([^"]*)"`)

// receive reads one message and returns it with its message-id; both are "" at the end.
func (p *peer) receive() (msg, id string) {
	f := framer{in: p.in, chunked: p.chunked, max: maxMessage}
	raw, err := io.ReadAll(f.message())
	if err != nil {
		return "", ""
	}
	if found := messageID.FindSubmatch(raw); found != nil {
		id = string(found[1])
	}
	return string(raw), id
}

// reply sends an rpc-reply around the body.
func (p *peer) reply(id, body string) {
	p.frame(fmt.Sprintf(`<rpc-reply xmlns="urn:ietf:params:xml:ns:netconf:base:1.0" `+
		`xmlns:junos="http://xml.juniper.net/junos/20.2R0/junos" message-id="%s">%s</rpc-reply>`, id, body))
}

func (p *peer) frame(msg string) {
	f := framer{out: p.out, chunked: p.chunked}
	f.send([]byte(msg)) // a client that left is the client's matter
}

// answerAll answers every call with the body.
func answerAll(body string) func(*peer) {
	return func(p *peer) {
		p.hello(false)
		for {
			msg, id := p.receive()
			if msg == "" {
				return
			}
			p.reply(id, body)
		}
	}
}

// dribble writes byte by byte.
func (p *peer) dribble(text string) {
	for b := range bytes.SplitSeq([]byte(text), nil) {
		p.out.Write(b)
	}
}
