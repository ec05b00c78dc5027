package netconf

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"lastmile/lab/sshkey"
	"lastmile/switchagent/login"
)

// dial opens a session that ends with the test.
func dial(t testing.TB, target login.Target) *Session {
	t.Helper()
	s, err := Dial(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestDialPinnedKeyTypes(t *testing.T) {
	keys := map[string]ssh.Signer{}
	for _, keyType := range []string{"ed25519", "ecdsa", "rsa"} {
		keys[keyType] = newSigner(t, keyType)
	}
	for pinned, key := range keys {
		t.Run(pinned, func(t *testing.T) {
			// The server has all three: the client must ask for the pinned one.
			srv := newServer(t, keys["ed25519"], keys["ecdsa"], keys["rsa"])
			s := dial(t, srv.start(answerAll("<ok/>"), key.PublicKey()))
			if s.ID() != 19313 {
				t.Errorf("session %d", s.ID())
			}
			if reply, err := s.Call(t.Context(), Call{Body: "<x/>"}); err != nil || !reply.OK {
				t.Errorf("call: %+v, %v", reply, err)
			}
		})
	}
}

func TestDialUserKeyTypes(t *testing.T) {
	host := newSigner(t, "ed25519")
	for _, keyType := range []string{"ed25519", "ecdsa", "rsa"} {
		srv := newServer(t, host)
		target := srv.start(answerAll("<ok/>"), host.PublicKey())
		sshkey.ForTest(t, keyType, target.Key)
		dial(t, target)
	}
}

func TestDialWrongHostKey(t *testing.T) {
	host, pinned := newSigner(t, "ed25519"), newSigner(t, "ed25519").PublicKey()
	target := newServer(t, host).start(answerAll(""), pinned)
	_, err := Dial(t.Context(), target)
	var refused *login.HostKeyError
	if !errors.As(err, &refused) {
		t.Fatalf("got %v, want a HostKeyError", err)
	}
	for _, want := range []string{
		target.Addr, ssh.FingerprintSHA256(host.PublicKey()), ssh.FingerprintSHA256(pinned), target.KnownHosts + ":1",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not name %s", err, want)
		}
	}
}

func TestDialKeysAreReadAnew(t *testing.T) {
	old, host := newSigner(t, "ed25519"), newSigner(t, "ed25519")
	srv := newServer(t, host)
	allowed := sshkey.ForTest(t, sshkey.Ed25519, "")
	srv.config.PublicKeyCallback = func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if string(allowed.PublicKey().Marshal()) != string(key.Marshal()) {
			return nil, errors.New("unknown key")
		}
		return nil, nil
	}
	target := srv.start(answerAll("<ok/>"), old.PublicKey())
	if _, err := Dial(t.Context(), target); err == nil {
		t.Fatal("dialled with the wrong host key")
	}
	srv.pin(target, old.PublicKey(), host.PublicKey())
	if _, err := Dial(t.Context(), target); err == nil || !strings.Contains(err.Error(), "unable to authenticate") {
		t.Fatalf("got %v, want an authentication error", err)
	}
	if err := allowed.Write(target.Key, ""); err != nil {
		t.Fatal(err)
	}
	dial(t, target)
}

// TestDialFaults: whatever the server does not do, Dial ends and leaves no connection behind.
func TestDialFaults(t *testing.T) {
	host := newSigner(t, "ed25519")
	send := func(text string) func(*peer) {
		return func(p *peer) {
			p.out.Write([]byte(text))
			p.receive()
		}
	}
	tests := []struct {
		name   string
		refuse bool
		script func(*peer)
		want   string
	}{
		{"no hello", false, send(""), "context deadline exceeded"},
		{"half a hello", false, send(junosHello[:200]), "context deadline exceeded"},
		{"closed before hello", false, func(*peer) {}, "receiving hello: unexpected EOF"},
		{"error for a hello", false, send(`<rpc-reply><rpc-error><error-severity>error</error-severity><error-message>too many sessions</error-message></rpc-error></rpc-reply>]]>]]>`),
			"receiving hello: refused: too many sessions"},
		{"no capabilities", false, send("<hello/>]]>]]>"), "no capabilities"},
		{"something else", false, send("<html></html>]]>]]>"), "<html> in place of a hello"},
		{"not xml", false, send("login: ]]>]]>"), "ends early"},
		{"subsystem refused", true, nil, "system services netconf ssh"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := newServer(t, host)
			srv.refuse = tt.refuse
			target := srv.start(tt.script, host.PublicKey())
			patience := time.Minute
			if tt.want == context.DeadlineExceeded.Error() {
				patience = 300 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, err := Dial(ctx, target)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), target.Addr) {
				t.Errorf("got %v, want %q and %s in it", err, tt.want, target.Addr)
			}
		})
	}
}

func TestDialSilentServer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() // never accepts: the kernel does, and no banner comes
	host := newSigner(t, "ed25519")
	target := newServer(t, host).start(answerAll(""), host.PublicKey())
	target.Addr = listener.Addr().String()
	(&server{t: t}).pin(target, host.PublicKey())
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := Dial(ctx, target); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the deadline", err)
	}
}
