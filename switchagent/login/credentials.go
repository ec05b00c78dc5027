package login

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"lastmile/cmd/namedfile"
)

// maxOffered is how many of an agent's keys are offered: servers close after six, and count each
// as a failed login.
const maxOffered = 4

// agentTimeout bounds one question to an agent. Those that ask their user are not for daemons.
const agentTimeout = 10 * time.Second

// access is signers that can be used until close.
type access struct {
	signers []ssh.Signer
	close   func()
}

// open reads the credentials.
func (c Credentials) open() (access, error) {
	if c.Agent != "" {
		return c.openAgent()
	}
	signer, err := c.readKey()
	if err != nil {
		return access{}, err
	}
	signers := []ssh.Signer{signer}
	cert, err := c.readCertificate()
	if err != nil {
		return access{}, err
	}
	if cert != nil {
		signed, err := ssh.NewCertSigner(cert, signer)
		if err != nil {
			return access{}, fmt.Errorf("certificate %s is not of private key %s: %w", c.certificateFile(), c.Key, err)
		}
		signers = []ssh.Signer{signed, signer}
	}
	return access{signers, func() {}}, nil
}

// readKey reads the private key. RSA keys sign with SHA-2 only (RFC 8332).
func (c Credentials) readKey() (ssh.Signer, error) {
	pem, err := namedfile.Read(c.Key)
	if err != nil {
		return nil, fmt.Errorf("reading private key: %w", err)
	}
	signer, err := ssh.ParsePrivateKey(pem)
	if _, encrypted := errors.AsType[*ssh.PassphraseMissingError](err); encrypted {
		signer, err = c.decrypt(pem)
	}
	if err != nil {
		return nil, fmt.Errorf("private key %s: %w", c.Key, err)
	}
	if wide, ok := signer.(ssh.AlgorithmSigner); ok && signer.PublicKey().Type() == ssh.KeyAlgoRSA {
		return ssh.NewSignerWithAlgorithms(wide, []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256})
	}
	return signer, nil
}

func (c Credentials) decrypt(pem []byte) (ssh.Signer, error) {
	if c.Passphrase == "" {
		return nil, errors.New("it has a passphrase: name a file that holds it with `passphrase`, or take a key without")
	}
	secret, err := namedfile.Read(c.Passphrase)
	if err != nil {
		return nil, fmt.Errorf("reading its passphrase: %w", err)
	}
	signer, err := ssh.ParsePrivateKeyWithPassphrase(pem, bytes.TrimRight(secret, "\r\n"))
	if errors.Is(err, x509.IncorrectPasswordError) {
		return nil, fmt.Errorf("its passphrase is not the one in %s", c.Passphrase)
	}
	return signer, err
}

// readCertificate reads the user's certificate; nil if there is none and none was named.
func (c Credentials) readCertificate() (*ssh.Certificate, error) {
	text, err := namedfile.Read(c.certificateFile())
	if errors.Is(err, os.ErrNotExist) && c.Certificate == "" {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading certificate: %w", err)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", c.certificateFile(), err)
	}
	cert, ok := key.(*ssh.Certificate)
	if !ok || cert.CertType != ssh.UserCert {
		return nil, fmt.Errorf("certificate %s: it is no certificate of a user, but a %s", c.certificateFile(), key.Type())
	}
	return cert, c.checkValidity(cert, time.Now())
}

// checkValidity names a certificate that is out of date: servers only say that they refuse it.
func (c Credentials) checkValidity(cert *ssh.Certificate, now time.Time) error {
	from, until := validity(cert)
	switch {
	case !until.IsZero() && now.After(until):
		return fmt.Errorf("certificate %s has expired at %s", c.certificateFile(), until.UTC().Format(time.RFC3339))
	case now.Before(from):
		return fmt.Errorf("certificate %s is not valid before %s: is this machine's clock right?", c.certificateFile(), from.UTC().Format(time.RFC3339))
	}
	return nil
}

// validity is from when until when a certificate is valid; a zero until is for ever.
func validity(cert *ssh.Certificate) (from, until time.Time) {
	from = time.Unix(int64(min(cert.ValidAfter, 1<<62)), 0)
	if cert.ValidBefore != ssh.CertTimeInfinity {
		until = time.Unix(int64(min(cert.ValidBefore, 1<<62)), 0)
	}
	return from, until
}

// Validity is from when until when the user's certificate is valid, whether it is now or not. It
// is false if there is none, or none that can be read.
func (c Credentials) Validity() (from, until time.Time, ok bool) {
	text, err := namedfile.Read(c.certificateFile())
	if err != nil {
		return from, until, false
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		return from, until, false
	}
	cert, ok := key.(*ssh.Certificate)
	if ok {
		from, until = validity(cert)
	}
	return from, until, ok
}

// openAgent asks an agent for its keys. They sign through its socket, until close.
func (c Credentials) openAgent() (access, error) {
	socket := c.agentSocket()
	if socket == "" {
		return access{}, fmt.Errorf("agent: the environment has no %s", AgentEnv)
	}
	conn, err := net.DialTimeout("unix", socket, agentTimeout)
	if err != nil {
		return access{}, fmt.Errorf("agent: %w", err)
	}
	// The deadline holds for the whole login, whose own is shorter or ends the connection.
	err = conn.SetDeadline(time.Now().Add(3 * agentTimeout))
	var signers []ssh.Signer
	if err == nil {
		signers, err = agent.NewClient(conn).Signers()
	}
	if err == nil {
		signers, err = c.choose(signers)
	}
	if err != nil {
		conn.Close()
		return access{}, fmt.Errorf("agent %s: %w", socket, err)
	}
	return access{signers, func() { conn.Close() }}, nil
}

// choose is the keys to offer: all, up to a number, or the ones of the public key that is named.
func (c Credentials) choose(all []ssh.Signer) ([]ssh.Signer, error) {
	if c.Key == "" {
		if len(all) == 0 {
			return nil, errors.New("it holds no key")
		}
		return all[:min(len(all), maxOffered)], nil
	}
	public, err := c.publicKey()
	if err != nil {
		return nil, err
	}
	var chosen []ssh.Signer
	for _, s := range all {
		key := s.PublicKey()
		if cert, ok := key.(*ssh.Certificate); ok {
			key = cert.Key
		}
		if bytes.Equal(key.Marshal(), public.Marshal()) {
			chosen = append(chosen, s)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("it does not hold %s of %s", describeKey(public), c.Key)
	}
	return chosen, nil
}

// publicKey reads Key, which beside an agent may be either half.
func (c Credentials) publicKey() (ssh.PublicKey, error) {
	text, err := namedfile.Read(c.Key)
	if err != nil {
		return nil, fmt.Errorf("reading key: %w", err)
	}
	if key, _, _, _, err := ssh.ParseAuthorizedKey(text); err == nil {
		return key, nil
	}
	signer, err := c.readKey()
	if err != nil {
		return nil, err
	}
	return signer.PublicKey(), nil
}

// PublicKey is the public half of the user's key as one line of authorized_keys, without a comment.
func (c Credentials) PublicKey() (string, error) {
	if c.Key == "" {
		return "", errors.New("no key is named")
	}
	key, err := c.publicKey()
	if err != nil {
		return "", err
	}
	return string(bytes.TrimSpace(ssh.MarshalAuthorizedKey(key))), nil
}
