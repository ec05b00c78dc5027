package login

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// pinnedHost is a server with some keys, lines about it in known_hosts, and what becomes of a login.
type pinnedHost struct {
	name  string
	keys  []ssh.Signer
	lines func(*server) []string
	kind  Kind
	words []string
}

func (p pinnedHost) test(t *testing.T) {
	s, target := newServer(t, p.keys...)
	s.pin(p.lines(s)...)
	wantDial(t, target, p.kind, p.words...)
}

func bare(k ssh.Signer) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k.PublicKey())))
}

// TestPinnedKeys: every form of a line with a key, and which server it lets through.
func TestPinnedKeys(t *testing.T) {
	key, other := newSigner(t, "ed25519"), newSigner(t, "ed25519")
	ecdsa, rsa := newSigner(t, "ecdsa"), newSigner(t, "rsa")
	for _, tt := range []pinnedHost{
		{"one of several keys", []ssh.Signer{key}, func(s *server) []string {
			return []string{s.line(other.PublicKey()), s.line(ecdsa.PublicKey()), s.line(key.PublicKey())}
		}, "", nil},
		{"the type that is pinned", []ssh.Signer{key, ecdsa, rsa}, func(s *server) []string { return []string{s.line(rsa.PublicKey())} }, "", nil},
		{"hashed", []ssh.Signer{key}, func(s *server) []string {
			return []string{knownhosts.HashHostname(s.addr()) + " " + bare(key)}
		}, "", nil},
		{"pattern", []ssh.Signer{key}, func(s *server) []string {
			return []string{strings.Replace(s.line(key.PublicKey()), "127.0.0.1", "127.0.*", 1)}
		}, "", nil},
		{"another key", []ssh.Signer{key}, func(s *server) []string { return []string{s.line(other.PublicKey())} }, HostKey,
			[]string{ssh.FingerprintSHA256(key.PublicKey()), ssh.FingerprintSHA256(other.PublicKey()), "known_hosts:1"}},
		{"another type only", []ssh.Signer{ecdsa}, func(s *server) []string { return []string{s.line(key.PublicKey())} }, HostKey,
			[]string{ssh.FingerprintSHA256(ecdsa.PublicKey()), ssh.FingerprintSHA256(key.PublicKey())}},
		{"revoked", []ssh.Signer{key}, func(s *server) []string {
			return []string{s.line(key.PublicKey()), "@revoked * " + bare(key)}
		}, HostKey, []string{"it is revoked", "known_hosts:2"}},
		{"nothing", []ssh.Signer{key}, func(*server) []string { return []string{"[192.0.2.1]:830 " + bare(key)} }, Files, []string{"holds no key for", "ssh-keyscan -p"}},
	} {
		t.Run(tt.name, tt.test)
	}
}

// TestPinnedAuthorities: the same of lines with an authority that signs the keys of hosts.
func TestPinnedAuthorities(t *testing.T) {
	key, authority := newSigner(t, "ed25519"), newSigner(t, "ed25519")
	host := func(principal string, change func(*ssh.Certificate)) ssh.Signer {
		return certifiedSigner(t, certify(t, authority, key.PublicKey(), func(c *ssh.Certificate) {
			c.CertType, c.ValidPrincipals = ssh.HostCert, []string{principal}
			if change != nil {
				change(c)
			}
		}), key)
	}
	expired := func(c *ssh.Certificate) { c.ValidBefore = uint64(time.Now().Add(-time.Minute).Unix()) }
	ca := func(s *server) string { return "@cert-authority " + s.addr() + " " + bare(authority) }
	for _, tt := range []pinnedHost{
		{"certificate", []ssh.Signer{key, host("127.0.0.1", nil)}, func(s *server) []string { return []string{ca(s)} }, "", nil},
		{"certificate or key", []ssh.Signer{key}, func(s *server) []string { return []string{ca(s), s.line(key.PublicKey())} }, "", nil},
		{"certificate of another host", []ssh.Signer{host("leaf2", nil)}, func(s *server) []string { return []string{ca(s)} }, HostKey,
			[]string{`principal "127.0.0.1" not in the set of valid principals`, "the authority ssh-ed25519 " + ssh.FingerprintSHA256(authority.PublicKey())}},
		{"expired certificate", []ssh.Signer{host("127.0.0.1", expired)}, func(s *server) []string { return []string{ca(s)} }, HostKey, []string{"cert has expired"}},
		{"revoked authority", []ssh.Signer{host("127.0.0.1", nil)}, func(s *server) []string {
			return []string{ca(s), "@revoked * " + bare(authority)}
		}, HostKey, []string{"revoked"}},
		{"no certificate", []ssh.Signer{key}, func(s *server) []string { return []string{ca(s)} }, HostKey, []string{ssh.FingerprintSHA256(key.PublicKey())}},
		{"the authority's own key", []ssh.Signer{authority}, func(s *server) []string { return []string{ca(s)} }, HostKey, []string{"the authority itself"}},
	} {
		t.Run(tt.name, tt.test)
	}
}

// TestWayOut: the line in the message, put where it says, lets the new key in.
func TestWayOut(t *testing.T) {
	key := newSigner(t, "ecdsa")
	s, target := newServer(t, key)
	s.pin(s.line(newSigner(t, "ed25519").PublicKey()))
	_, err := Dial(t.Context(), target)
	var refused *HostKeyError
	if !errors.As(err, &refused) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"ssh-keygen -f " + target.KnownHosts + " -R '" + s.addr() + "' && echo '" + refused.Line + "' >> " + target.KnownHosts} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	s.pin(refused.Line)
	wantDial(t, target, "")
}

func TestAlgorithms(t *testing.T) {
	s, target := newServer(t, newSigner(t, "ed25519"))
	s.configure(func(c *ssh.ServerConfig) { c.KeyExchanges = []string{ssh.InsecureKeyExchangeDH14SHA1} })
	wantDial(t, target, Algorithms, "no common algorithm for key exchange")
	s, target = newServer(t, newSigner(t, "ed25519"))
	s.configure(func(c *ssh.ServerConfig) { c.MACs, c.Ciphers = []string{ssh.HMACSHA256}, []string{ssh.CipherAES128CTR} })
	s.configure(func(c *ssh.ServerConfig) { c.KeyExchanges = []string{ssh.KeyExchangeECDHP256} }) // what an OpenSSH of ten years ago has
	wantDial(t, target, "")
	for _, list := range [][]string{algorithms.KeyExchanges, algorithms.Ciphers, algorithms.MACs, hostKeys, hostCertificates} {
		for _, name := range list {
			if strings.Contains(name, "sha1") || strings.Contains(name, "cbc") || name == ssh.KeyAlgoRSA {
				t.Errorf("%s is in the list", name)
			}
		}
	}
}

// wire is a connection between client and server that can fall silent without ending.
type wire struct {
	cut atomic.Bool
}

func (w *wire) listen(t *testing.T, to string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				near.Close()
				return
			}
			t.Cleanup(func() { near.Close(); far.Close() })
			go w.copy(near, far)
			go w.copy(far, near)
		}
	}()
	return listener.Addr().String()
}

// copy takes what comes and lets nothing of it through once the wire is cut, as a stopped process
// or a lost cable does: the kernel goes on acknowledging, or nobody does.
func (w *wire) copy(to io.Writer, from io.Reader) {
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if !w.cut.Load() {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
	}
}

// TestDeadPeer: a server that stops is noticed by its silence, in two of the keepalive's times, which
// are 30 s.
func TestDeadPeer(t *testing.T) {
	if KeepaliveEvery+KeepaliveWait > 45*time.Second {
		t.Errorf("a dead peer is noticed after %s, more than 45 s", KeepaliveEvery+KeepaliveWait)
	}
	key := newSigner(t, "ed25519")
	s, target := newServer(t, key)
	var w wire
	target.Addr = w.listen(t, target.Addr)
	s.pin(knownhosts.Line([]string{target.Addr}, key.PublicKey()))
	c, err := Dial(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		c.Keepalive(nil, 20*time.Millisecond, 500*time.Millisecond)
		close(ended)
	}()
	select {
	case <-ended:
		t.Fatalf("a server that lives: %v", c.Failure())
	case <-time.After(200 * time.Millisecond):
	}
	w.cut.Store(true)
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("a dead server is not noticed")
	}
	if !errors.Is(c.Failure(), errSilent) {
		t.Errorf("got %v, want %v", c.Failure(), errSilent)
	}
}

// TestSilence: whatever a server does not say, dialling it ends.
func TestSilence(t *testing.T) {
	key := newSigner(t, "ed25519")
	s, target := newServer(t, key)
	var w wire
	w.cut.Store(true)
	target.Addr = w.listen(t, target.Addr)
	s.pin(knownhosts.Line([]string{target.Addr}, key.PublicKey()))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := Dial(ctx, target); !errors.Is(err, context.DeadlineExceeded) || KindOf(err) != Unreachable {
		t.Errorf("got %v of kind %q", err, KindOf(err))
	}
	target.Addr = "127.0.0.1:1"
	s.pin(knownhosts.Line([]string{target.Addr}, key.PublicKey()))
	wantDial(t, target, Unreachable, "127.0.0.1:1")
}

// FuzzKnownHosts: no file makes the reader panic, and what it takes it can be asked.
func FuzzKnownHosts(f *testing.F) {
	f.Add("[leaf1]:830 ssh-ed25519 AAAA\n")
	f.Add("@cert-authority *.example.net ssh-rsa AAAA\n@revoked * ssh-rsa AAAA\n")
	f.Add("|1|c2FsdA==|aGFzaA== ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4\n")
	f.Fuzz(func(t *testing.T, text string) {
		s := &server{t: t, dir: t.TempDir()}
		if p, err := loadPins(s.write("known_hosts", text), "leaf1:830"); err == nil && len(p.algorithms()) < len(hostKeys) {
			t.Errorf("asks for %v", p.algorithms())
		}
	})
}
