// Package sshkey makes SSH keys, in files such as ssh-keygen writes: for the daemons of the lab, and for
// tests of whatever logs in.
package sshkey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"fmt"
	"os"

	"golang.org/x/crypto/ssh"
)

// The kinds of keys.
const (
	Ed25519 = "ed25519"
	ECDSA   = "ecdsa" // P-256
	RSA     = "rsa"   // 2048 bits
)

// A Key is a key pair: its private half, and what signs with it.
type Key struct {
	Private crypto.Signer
	Signer  ssh.Signer
}

// PublicKey is the public half.
func (k Key) PublicKey() ssh.PublicKey { return k.Signer.PublicKey() }

// New makes a key of a kind.
func New(kind string) (k Key, err error) {
	switch kind {
	case Ed25519:
		_, k.Private, err = ed25519.GenerateKey(rand.Reader)
	case ECDSA:
		k.Private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case RSA:
		k.Private, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		err = fmt.Errorf("kind %q: ed25519, ecdsa or rsa is wanted", kind)
	}
	if err == nil {
		k.Signer, err = ssh.NewSignerFromSigner(k.Private)
	}
	return k, err
}

// Write writes the private half into a file that only its owner may read, encrypted if there is a
// passphrase.
func (k Key) Write(path, passphrase string) error {
	block, err := ssh.MarshalPrivateKey(k.Private, "lastmile lab")
	if passphrase != "" {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(k.Private, "lastmile lab", []byte(passphrase))
	}
	if err != nil {
		return err
	}
	return os.WriteFile(path, pem.EncodeToMemory(block), 0o600)
}
