package login

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"lastmile/lab/sshkey"
)

// server is an SSH server that lets in who has the user's key, or a certificate of the user's
// authority.
type server struct {
	t        *testing.T
	listener net.Listener
	mu       sync.Mutex // of config
	config   *ssh.ServerConfig
	dir      string
	user     atomic.Pointer[ssh.PublicKey] // who is let in
	logins   atomic.Int32                  // keys that were offered
	wg       sync.WaitGroup
}

// newServer starts a server, and returns a target for it with a key that is let in.
func newServer(t *testing.T, hostKeys ...ssh.Signer) (*server, Target) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, listener: listener, dir: t.TempDir(), config: &ssh.ServerConfig{}}
	s.config.PublicKeyCallback = func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		s.logins.Add(1)
		if !bytes.Equal(key.Marshal(), (*s.user.Load()).Marshal()) {
			return nil, errors.New("denied")
		}
		return nil, nil
	}
	for _, key := range hostKeys {
		s.config.AddHostKey(key)
	}
	s.wg.Go(s.serve)
	t.Cleanup(func() {
		listener.Close()
		s.wg.Wait()
	})
	target := Target{
		Addr: listener.Addr().String(), User: "switchagent", KnownHosts: filepath.Join(s.dir, "known_hosts"),
		Credentials: Credentials{Key: filepath.Join(s.dir, "id")},
	}
	s.admit(s.writeKey(target.Key, newKey(t, "ed25519"), ""))
	var lines []string
	for _, key := range hostKeys {
		lines = append(lines, s.line(key.PublicKey()))
	}
	s.pin(lines...)
	return s, target
}

func (s *server) admit(key ssh.PublicKey) { s.user.Store(&key) }

func (s *server) addr() string { return knownhosts.Normalize(s.listener.Addr().String()) }

func (s *server) line(key ssh.PublicKey) string {
	return knownhosts.Line([]string{s.listener.Addr().String()}, key)
}

// pin replaces known_hosts.
func (s *server) pin(lines ...string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, "known_hosts"), []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// writeKey writes a private key as ssh-keygen would and returns its public half.
func (s *server) writeKey(file string, key sshkey.Key, passphrase string) ssh.PublicKey {
	s.t.Helper()
	if err := key.Write(file, passphrase); err != nil {
		s.t.Fatal(err)
	}
	return key.PublicKey()
}

func (s *server) write(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

func (s *server) serve() {
	for {
		tcp, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.wg.Go(func() {
			defer tcp.Close()
			s.mu.Lock()
			config := *s.config
			s.mu.Unlock()
			conn, channels, requests, err := ssh.NewServerConn(tcp, &config)
			if err != nil {
				return
			}
			go ssh.DiscardRequests(requests)
			for c := range channels {
				c.Reject(ssh.Prohibited, "nothing is here")
			}
			conn.Close()
		})
	}
}

func newKey(t *testing.T, kind string) sshkey.Key {
	t.Helper()
	return sshkey.ForTest(t, kind, "")
}

func newSigner(t *testing.T, kind string) ssh.Signer {
	t.Helper()
	return newKey(t, kind).Signer
}

// certify makes a certificate for a key, valid now unless shifted.
func certify(t *testing.T, authority ssh.Signer, key ssh.PublicKey, change func(*ssh.Certificate)) *ssh.Certificate {
	t.Helper()
	now := time.Now()
	cert := &ssh.Certificate{
		Key: key, CertType: ssh.UserCert, KeyId: "test", ValidPrincipals: []string{"switchagent"},
		ValidAfter: uint64(now.Add(-time.Hour).Unix()), ValidBefore: uint64(now.Add(time.Hour).Unix()),
	}
	if change != nil {
		change(cert)
	}
	if err := cert.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	return cert
}

func certifiedSigner(t *testing.T, cert *ssh.Certificate, key ssh.Signer) ssh.Signer {
	t.Helper()
	signer, err := ssh.NewCertSigner(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// wantDial dials, and wants an error of a kind with these words, or none.
func wantDial(t *testing.T, target Target, kind Kind, words ...string) {
	t.Helper()
	c, err := Dial(t.Context(), target)
	if err == nil {
		c.Fail(errors.New("end of test"))
	}
	if kind == "" {
		if err != nil {
			t.Error(err)
		}
		return
	}
	if err == nil || KindOf(err) != kind {
		t.Fatalf("got %v of kind %q, want kind %q", err, KindOf(err), kind)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", fmt.Sprint(err), word)
		}
	}
}

// configure changes how the next connections are served.
func (s *server) configure(change func(*ssh.ServerConfig)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s.config)
}
