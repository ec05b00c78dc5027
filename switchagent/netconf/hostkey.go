package netconf

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// HostKeyError says that a server did not prove to be the one that is pinned.
type HostKeyError struct {
	Addr string   // host:port that was dialled
	Got  string   // type and SHA256 fingerprint of the key the server showed
	Want []string // the same of each pinned key, with its place as file:line
}

// Error names both sides and the way out.
func (e *HostKeyError) Error() string {
	return fmt.Sprintf("host key of %s is %s, but pinned is %s: if the key was changed on purpose, replace the pinned line",
		e.Addr, e.Got, strings.Join(e.Want, " and "))
}

// pins are the host keys that known_hosts lists for one server.
type pins struct {
	addr  string
	keys  []knownhosts.KnownKey
	check ssh.HostKeyCallback // as knownhosts checks: hashed names, patterns, @revoked
}

// loadPins reads the pinned keys of addr (host:port). A server without a pinned key is an error:
// there is no way to accept just any.
func loadPins(file, addr string) (*pins, error) {
	check, err := knownhosts.New(file)
	if err != nil {
		return nil, fmt.Errorf("reading known hosts: %w", err)
	}
	// What is pinned cannot be asked for, but a key that nobody has is refused with the list.
	var refused *knownhosts.KeyError
	if err := check(addr, &net.TCPAddr{}, nobodysKey{}); !errors.As(err, &refused) {
		return nil, fmt.Errorf("reading known hosts %s: %w", file, err)
	}
	if len(refused.Want) == 0 {
		host, port, _ := net.SplitHostPort(addr)
		return nil, fmt.Errorf("%s holds no key for %s: compare what `ssh-keyscan -p %s %s` prints with the console of the device and add it",
			file, knownhosts.Normalize(addr), port, host)
	}
	return &pins{addr: addr, keys: refused.Want, check: check}, nil
}

// algorithms are those of the pinned keys. Without this list a server that has keys of several
// types shows the one that x/crypto prefers, which need not be the one that is pinned.
func (p *pins) algorithms() []string {
	var list []string
	for _, key := range p.keys {
		switch keyType := key.Key.Type(); keyType {
		case ssh.KeyAlgoRSA: // with SHA-2 only (RFC 8332)
			list = append(list, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
		default:
			list = append(list, keyType)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// verify is the ssh.HostKeyCallback.
func (p *pins) verify(_ string, remote net.Addr, key ssh.PublicKey) error {
	err := p.check(p.addr, remote, key)
	var mismatch *knownhosts.KeyError
	if !errors.As(err, &mismatch) {
		return err
	}
	refused := &HostKeyError{Addr: p.addr, Got: describeKey(key)}
	for _, pin := range mismatch.Want {
		refused.Want = append(refused.Want, fmt.Sprintf("%s (%s:%d)", describeKey(pin.Key), pin.Filename, pin.Line))
	}
	return refused
}

func describeKey(key ssh.PublicKey) string {
	return key.Type() + " " + ssh.FingerprintSHA256(key)
}

// nobodysKey is a public key that no server has.
type nobodysKey struct{}

func (nobodysKey) Type() string                        { return "none" }
func (nobodysKey) Marshal() []byte                     { return nil }
func (nobodysKey) Verify([]byte, *ssh.Signature) error { return errors.New("not a key") }
