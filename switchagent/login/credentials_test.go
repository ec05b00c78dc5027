package login

import (
	"errors"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

func TestPassphrase(t *testing.T) {
	s, target := newServer(t, newSigner(t, "ed25519"))
	s.admit(s.writeKey(target.Key, newKey(t, "ed25519"), "secret words"))
	wantDial(t, target, Files, "id: it has a passphrase", "`passphrase`")
	target.Passphrase = s.write("pass", "wrong\n")
	wantDial(t, target, Files, "its passphrase is not the one in "+target.Passphrase)
	target.Passphrase = s.write("pass", "secret words\n")
	wantDial(t, target, "")
	target.Passphrase = "/nonexistent/pass"
	wantDial(t, target, Files, "/nonexistent/pass: no such file")
}

// TestUserKeyTypes: RSA signs with SHA-2.
func TestUserKeyTypes(t *testing.T) {
	for _, keyType := range []string{"ed25519", "ecdsa", "rsa"} {
		s, target := newServer(t, newSigner(t, "ed25519"))
		s.configure(func(c *ssh.ServerConfig) {
			c.PublicKeyAuthAlgorithms = []string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoRSASHA512}
		})
		s.admit(s.writeKey(target.Key, newKey(t, keyType), ""))
		wantDial(t, target, "")
	}
}

// TestUserCertificate: it is found beside the key, as OpenSSH's is, and what is wrong with it is
// named here, as servers only say no.
func TestUserCertificate(t *testing.T) {
	s, target := newServer(t, newSigner(t, "ed25519"))
	authority := newSigner(t, "ed25519")
	key := newKey(t, "ed25519")
	public := s.writeKey(target.Key, key, "")
	checker := &ssh.CertChecker{IsUserAuthority: func(k ssh.PublicKey) bool { return string(k.Marshal()) == string(authority.PublicKey().Marshal()) }}
	s.configure(func(c *ssh.ServerConfig) { c.PublicKeyCallback = checker.Authenticate })
	s.admit(public)
	wantDial(t, target, Auth, "unable to authenticate", "show configuration system login user switchagent")

	text := func(change func(*ssh.Certificate)) string {
		return string(ssh.MarshalAuthorizedKey(certify(t, authority, public, change)))
	}
	beside := s.write("id-cert.pub", text(nil))
	wantDial(t, target, "")
	from, until, ok := target.Validity()
	if !ok || !from.Before(time.Now()) || !until.After(time.Now()) {
		t.Errorf("validity: %v %v %v", from, until, ok)
	}

	s.write("id-cert.pub", text(func(c *ssh.Certificate) { c.ValidBefore = uint64(time.Now().Add(-time.Minute).Unix()) }))
	wantDial(t, target, Files, beside+" has expired at")
	s.write("id-cert.pub", text(func(c *ssh.Certificate) { c.ValidAfter = uint64(time.Now().Add(time.Minute).Unix()) }))
	wantDial(t, target, Files, "is not valid before", "clock")
	s.write("id-cert.pub", text(func(c *ssh.Certificate) { c.ValidBefore = ssh.CertTimeInfinity }))
	wantDial(t, target, "")
	s.write("id-cert.pub", text(func(c *ssh.Certificate) { c.CertType = ssh.HostCert }))
	wantDial(t, target, Files, "no certificate of a user")
	s.write("id-cert.pub", string(ssh.MarshalAuthorizedKey(certify(t, authority, newSigner(t, "ed25519").PublicKey(), nil))))
	wantDial(t, target, Files, "is not of private key "+target.Key)

	target.Certificate = s.write("other", text(nil))
	wantDial(t, target, "")
	target.Certificate = "/nonexistent/cert"
	wantDial(t, target, Files, "/nonexistent/cert: no such file")
}

// serveAgent runs an agent with these keys and returns its socket.
func serveAgent(t *testing.T, keys ...agent.AddedKey) string {
	t.Helper()
	ring := agent.NewKeyring()
	for _, key := range keys {
		if err := ring.Add(key); err != nil {
			t.Fatal(err)
		}
	}
	socket := filepath.Join(t.TempDir(), "agent")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				agent.ServeAgent(ring, c)
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		wg.Wait()
	})
	return socket
}

func TestAgent(t *testing.T) {
	s, target := newServer(t, newSigner(t, "ed25519"))
	public := target.Key
	keys := make([]agent.AddedKey, 9)
	for i := range keys {
		keys[i].PrivateKey = newKey(t, "ed25519").Private
	}
	last, err := ssh.NewSignerFromKey(keys[8].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	s.admit(last.PublicKey())
	target.Key, target.Agent = "", serveAgent(t, keys[8:]...)
	wantDial(t, target, "")
	t.Setenv(AgentEnv, target.Agent)
	target.Agent = AgentEnv
	wantDial(t, target, "")
	t.Setenv(AgentEnv, "")
	wantDial(t, target, Files, "the environment has no SSH_AUTH_SOCK")

	// Of many keys only the first few are offered: each is a failed login to the server.
	target.Agent = serveAgent(t, keys...)
	before := s.logins.Load()
	wantDial(t, target, Auth)
	if n := s.logins.Load() - before; n > maxOffered {
		t.Errorf("%d keys were offered", n)
	}
	// The public half names the one that is wanted.
	target.Key = s.write("id.pub", string(ssh.MarshalAuthorizedKey(last.PublicKey())))
	wantDial(t, target, "")
	target.Key = public
	wantDial(t, target, Files, "it does not hold ssh-ed25519 SHA256:")
	target.Agent = serveAgent(t)
	target.Key = ""
	wantDial(t, target, Files, "it holds no key")
	target.Agent = "/nonexistent/agent"
	wantDial(t, target, Files, "/nonexistent/agent")
}

// TestFilesAreReadAnew: every file can be replaced between two connections, and shows in the stamp.
func TestFilesAreReadAnew(t *testing.T) {
	old, host := newSigner(t, "ed25519"), newSigner(t, "ed25519")
	s, target := newServer(t, host)
	s.pin(s.line(old.PublicKey()))
	wantDial(t, target, HostKey)
	stamps := map[string]bool{target.Stamp(): true}
	s.pin(s.line(old.PublicKey()), s.line(host.PublicKey()))
	stamps[target.Stamp()] = true
	wantDial(t, target, "")
	next := newKey(t, "rsa")
	s.admit(next.PublicKey())
	wantDial(t, target, Auth)
	s.writeKey(target.Key, next, "")
	stamps[target.Stamp()] = true
	wantDial(t, target, "")
	if len(stamps) != 3 {
		t.Errorf("%d stamps of 3 states", len(stamps))
	}
	if line, err := target.PublicKey(); err != nil || !strings.HasPrefix(line, "ssh-rsa AAAA") {
		t.Errorf("public key: %q %v", line, err)
	}
}

func TestKindOfOthers(t *testing.T) {
	if kind := KindOf(errors.New("x")); kind != Other {
		t.Errorf("kind %q", kind)
	}
}
