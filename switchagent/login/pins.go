package login

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"lastmile/cmd/namedfile"
)

// HostKeyError says that a server did not prove to be the one that is pinned.
type HostKeyError struct {
	Addr string   // host:port that was dialled
	File string   // the known_hosts file
	Got  string   // type and SHA256 fingerprint of the key the server showed
	Line string   // that pins the key; "" if that is no way out
	Want []string // type and fingerprint of each pinned key, with its place as file:line
	// Reason is why a key or certificate is refused that is not simply another one.
	Reason string
}

// Error names both sides and the way out, as commands.
func (e *HostKeyError) Error() string {
	text := fmt.Sprintf("host key of %s is %s, but pinned is %s", e.Addr, e.Got, strings.Join(e.Want, " and "))
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	if e.Line == "" {
		return text
	}
	return text + fmt.Sprintf(": it may be somebody in between. Compare it with the leaf's console; if the key was changed on purpose, "+
		"ssh-keygen -f %s -R '%s' && echo '%s' >> %s", e.File, knownhosts.Normalize(e.Addr), e.Line, e.File)
}

// pins are the host keys that known_hosts lists for one server.
type pins struct {
	addr, file  string
	keys        []knownhosts.KnownKey
	authorities []knownhosts.KnownKey
	check       ssh.HostKeyCallback // as knownhosts checks: hashed names, patterns, @revoked, @cert-authority
}

// loadPins reads the pinned keys of addr (host:port). A server without a pinned key is an error:
// there is no way to accept just any.
func loadPins(file, addr string) (*pins, error) {
	text, err := namedfile.Read(file) // the library would wait for a pipe
	if err != nil {
		return nil, fmt.Errorf("reading known hosts: %w", err)
	}
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
	marked := authorityLines(text)
	p := &pins{addr: addr, file: file, check: check}
	for _, key := range refused.Want {
		if marked[key.Line] {
			p.authorities = append(p.authorities, key)
		} else {
			p.keys = append(p.keys, key)
		}
	}
	return p, nil
}

// authorityLines is the numbers of the lines that pin a certificate authority: the library does
// not tell them apart in its list.
func authorityLines(text []byte) map[int]bool {
	marked, n := map[int]bool{}, 0
	for line := range bytes.Lines(text) {
		n++
		marked[n] = bytes.HasPrefix(bytes.TrimSpace(line), []byte("@cert-authority"))
	}
	return marked
}

// hostCertificates and hostKeys are all kinds of host keys that are understood, best first. RSA is
// with SHA-2 only (RFC 8332).
var (
	hostCertificates = []string{
		ssh.CertAlgoED25519v01, ssh.CertAlgoECDSA256v01, ssh.CertAlgoECDSA384v01, ssh.CertAlgoECDSA521v01,
		ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01,
	}
	hostKeys = []string{
		ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256,
	}
)

// algorithms is the kinds to ask the server for: certificates if an authority is pinned, then the
// kinds of the pinned keys, and only then the others. Without this order a server that has keys
// of several types shows the one that the library prefers, which need not be the one that is
// pinned. The others are asked for so that a changed key can be named: they are refused.
func (p *pins) algorithms() (list []string) {
	if len(p.authorities) > 0 {
		list = append(list, hostCertificates...)
	}
	pinned := func(algorithm string) bool {
		return slices.ContainsFunc(p.keys, func(k knownhosts.KnownKey) bool {
			t := k.Key.Type()
			return t == algorithm || t == ssh.KeyAlgoRSA && strings.HasPrefix(algorithm, "rsa-")
		})
	}
	for _, first := range []bool{true, false} {
		for _, algorithm := range hostKeys {
			if pinned(algorithm) == first {
				list = append(list, algorithm)
			}
		}
	}
	return list
}

// verify is the ssh.HostKeyCallback.
func (p *pins) verify(_ string, remote net.Addr, key ssh.PublicKey) error {
	err := p.check(p.addr, remote, key)
	if err == nil && !p.isPinned(key) {
		err = errors.New("this is the key of the authority itself, not of a host")
	}
	if err == nil {
		return nil
	}
	refused := &HostKeyError{Addr: p.addr, File: p.file, Got: describeKey(key)}
	for _, pin := range p.keys {
		refused.Want = append(refused.Want, fmt.Sprintf("%s (%s:%d)", describeKey(pin.Key), pin.Filename, pin.Line))
	}
	for _, pin := range p.authorities {
		refused.Want = append(refused.Want, fmt.Sprintf("the authority %s (%s:%d)", describeKey(pin.Key), pin.Filename, pin.Line))
	}
	if _, mismatch := errors.AsType[*knownhosts.KeyError](err); mismatch {
		refused.Line = knownhosts.Line([]string{p.addr}, key)
	} else if revoked, ok := errors.AsType[*knownhosts.RevokedError](err); ok {
		refused.Reason = fmt.Sprintf("it is revoked (%s:%d)", revoked.Revoked.Filename, revoked.Revoked.Line)
	} else {
		refused.Reason = strings.TrimPrefix(err.Error(), "ssh: ")
	}
	return refused
}

// isPinned is true for certificates, which were checked with their authority.
func (p *pins) isPinned(key ssh.PublicKey) bool {
	if _, ok := key.(*ssh.Certificate); ok {
		return true
	}
	return slices.ContainsFunc(p.keys, func(k knownhosts.KnownKey) bool { return string(k.Key.Marshal()) == string(key.Marshal()) })
}

// describeKey is type and SHA256 fingerprint.
func describeKey(key ssh.PublicKey) string {
	return key.Type() + " " + ssh.FingerprintSHA256(key)
}

// nobodysKey is a public key that no server has.
type nobodysKey struct{}

func (nobodysKey) Type() string                        { return "none" }
func (nobodysKey) Marshal() []byte                     { return nil }
func (nobodysKey) Verify([]byte, *ssh.Signature) error { return errors.New("not a key") }
