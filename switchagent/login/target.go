// Package login opens SSH connections to switches: pinned host keys, user keys from files and
// agents, a short list of algorithms, and a bound on every step. What is then spoken on the
// connection, NETCONF or the command line, is for other packages.
//
// All files are read anew for each connection. A rotated key, a new certificate and a newly pinned
// host key need no restart.
package login

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Target is a switch and how to log in to it.
type Target struct {
	Addr       string // host:port, [v6]:port
	User       string
	KnownHosts string // path of a known_hosts file of OpenSSH that pins the server's keys or their authority
	Credentials
}

// Credentials is what proves who the user is: a private key, or an agent that holds it.
type Credentials struct {
	// Key is the path of a private key: OpenSSH or PEM, ed25519, ecdsa or rsa. Beside an Agent
	// it may be the public key: then only that one of the agent's is used.
	Key string
	// Passphrase is the path of a file that holds the key's passphrase, if it has one.
	Passphrase string
	// Certificate is the path of the key's certificate. Without it KEY-cert.pub is one, if it is
	// there, as for OpenSSH.
	Certificate string
	// Agent is the path of an agent's socket; AgentEnv stands for the one of the environment.
	Agent string
}

// AgentEnv in place of a path is the value of the variable of that name, as in OpenSSH's
// IdentityAgent.
const AgentEnv = "SSH_AUTH_SOCK"

// Check reads all files as Dial does, without dialling, so that a mistake shows early.
func (t Target) Check() error {
	a, err := t.open()
	if err != nil {
		return err
	}
	a.close()
	_, err = loadPins(t.KnownHosts, t.Addr)
	return err
}

// KeyWarning says that others than the owner may use the private key or read its passphrase, and
// the command that mends it; "" if not. OpenSSH refuses such a key, but it is what some ways to hand
// secrets to a container make of one. The credentials of systemd show the mask of an ACL as the
// group's mode and are no matter of chmod: nothing is said about those.
func (t Target) KeyWarning() string {
	for _, secret := range []struct{ what, file string }{{"private key", t.Key}, {"passphrase", t.Passphrase}} {
		if warning := ModeWarning(secret.what, secret.file); warning != "" && t.Agent == "" {
			return warning
		}
	}
	return ""
}

// ModeWarning says that others than the owner may use a file; "" if none may, or there is no such file. The
// mode of a credential of systemd is an ACL's.
func ModeWarning(what, file string) string {
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm()&0o077 == 0 {
		return ""
	}
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); dir != "" && filepath.Dir(file) == filepath.Clean(dir) {
		return ""
	}
	return fmt.Sprintf("%s %s has mode %04o, others than its owner may use it: chmod 600 %s", what, file, info.Mode().Perm(), file)
}

// Stamp changes when one of the files does: who has been refused need not wait to try again.
func (t Target) Stamp() string {
	var b strings.Builder
	for _, file := range []string{t.Key, t.Passphrase, t.certificateFile(), t.KnownHosts, t.agentSocket()} {
		if info, err := os.Stat(file); err == nil {
			fmt.Fprint(&b, info.ModTime().UnixNano(), info.Size())
		}
		b.WriteByte(' ')
	}
	return b.String()
}

func (c Credentials) certificateFile() string {
	if c.Certificate != "" || c.Key == "" {
		return c.Certificate
	}
	return strings.TrimSuffix(c.Key, ".pub") + "-cert.pub"
}

func (c Credentials) agentSocket() string {
	if c.Agent == AgentEnv {
		return os.Getenv(AgentEnv)
	}
	return c.Agent
}

// The algorithms that are used, best first. All of them are OpenSSH 6.7's of 2014 or newer ones: no
// SHA-1, no CBC, no group below 2048 bits. Junos 18.4 has OpenSSH 7.5.
var algorithms = ssh.Config{
	KeyExchanges: []string{
		ssh.KeyExchangeMLKEM768X25519, ssh.KeyExchangeCurve25519, ssh.KeyExchangeECDHP256, ssh.KeyExchangeECDHP384,
		ssh.KeyExchangeECDHP521, ssh.KeyExchangeDH16SHA512, ssh.KeyExchangeDH14SHA256, ssh.KeyExchangeDHGEXSHA256,
	},
	Ciphers: []string{
		ssh.CipherAES128GCM, ssh.CipherAES256GCM, ssh.CipherChaCha20Poly1305, ssh.CipherAES128CTR, ssh.CipherAES192CTR, ssh.CipherAES256CTR,
	},
	MACs: []string{ssh.HMACSHA256ETM, ssh.HMACSHA512ETM, ssh.HMACSHA256, ssh.HMACSHA512},
}

// clientConfig reads all files anew. done ends the use of an agent.
func (t Target) clientConfig() (config *ssh.ClientConfig, done func(), err error) {
	pinned, err := loadPins(t.KnownHosts, t.Addr)
	if err != nil {
		return nil, nil, &Error{Files, err}
	}
	access, err := t.open()
	if err != nil {
		return nil, nil, &Error{Files, err}
	}
	return &ssh.ClientConfig{
		Config:            algorithms,
		User:              t.User,
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(access.signers...)},
		HostKeyCallback:   pinned.verify,
		HostKeyAlgorithms: pinned.algorithms(),
	}, access.close, nil
}

// Kind is why a connection did not come about: the label of a metric.
type Kind string

// The kinds.
const (
	Files       Kind = "files"       // the key, its certificate, the agent or the pinned host keys cannot be used
	Unreachable Kind = "unreachable" // no TCP connection, or it was cut or fell silent before the login
	Algorithms  Kind = "algorithms"  // the server has none of ours
	HostKey     Kind = "host_key"    // it is not the server that is pinned
	Auth        Kind = "auth"        // the server refuses the user
	NoNetconf   Kind = "no_netconf"  // logged in, but there is no NETCONF
	Other       Kind = "other"
)

// Kinds lists all kinds.
var Kinds = []Kind{Files, Unreachable, Algorithms, HostKey, Auth, NoNetconf, Other}

// Error is an error with its kind.
type Error struct {
	Kind Kind
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// KindOf is the kind of an error; Other if it has none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Other
}

// handshakeKind tells why an SSH handshake has failed. The library has types for some reasons only.
func handshakeKind(err error) Kind {
	if _, ok := errors.AsType[*HostKeyError](err); ok {
		return HostKey
	}
	if _, ok := errors.AsType[*ssh.AlgorithmNegotiationError](err); ok {
		return Algorithms
	}
	for _, text := range []string{"unable to authenticate", "authentication failures"} {
		if strings.Contains(err.Error(), text) {
			return Auth
		}
	}
	return Unreachable
}
