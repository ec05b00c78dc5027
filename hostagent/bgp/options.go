package bgp

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"lastmile/cmd/namedfile"
)

// Options are what one session has of its own.
type Options struct {
	// RemoteAS lists the ASes that the peer may be of; none stands for any but
	// our own.
	RemoteAS []uint32
	// MaxPrefixes is how many the peer may announce, of both families together;
	// 0 stands for any number. The session of one that announces more is ended
	// with a Cease (RFC 4486), and tried again after half a minute.
	MaxPrefixes int
	// PasswordFile holds the key of TCP MD5 signatures (RFC 2385), without which
	// no segment is taken from the peer; empty for none. It is read before each
	// attempt to open a session, so that a new key needs no restart. A newline
	// at its end is not part of the key.
	PasswordFile string
	// TTLSecurity takes segments only from a peer on the link (RFC 5082). Ours
	// are sent with the hop limit that a peer can ask for the same.
	TTLSecurity bool
	// GracefulRestart keeps the routes of a peer whose BGP restarts and whose
	// forwarding goes on, as it has told (RFC 4724 section 4.2).
	GracefulRestart bool
	DSCP            uint8 // of what we send, 0 to 63
	// UserTimeout is for how long the peer may leave what we send
	// unacknowledged (RFC 5482); 0 stands for the hold time.
	UserTimeout time.Duration
}

const (
	// DefaultMaxPrefixes is a limit that the Internet's table is within.
	DefaultMaxPrefixes = 1_000_000
	// DefaultDSCP is CS6, of routing protocols (RFC 4594 section 3.1).
	DefaultDSCP = 48
)

// DefaultOptions are those of a peer of whom nothing is said.
func DefaultOptions() Options {
	return Options{MaxPrefixes: DefaultMaxPrefixes, DSCP: DefaultDSCP, GracefulRestart: true}
}

// checkAS says what is wrong with the peer's AS, as a *notification (RFC 4271
// section 6.2): sessions are external.
func (o Options) checkAS(as, own uint32) error {
	refuse := func(format string, args ...any) error {
		return &notification{code: errOpen, subcode: subBadPeerAS, why: fmt.Sprintf("refused: the peer's AS "+format, args...)}
	}
	switch {
	case as == own:
		return refuse("%d is our own", as)
	case as == 0: // RFC 7607 section 2
		return refuse("is 0")
	case len(o.RemoteAS) > 0 && !slices.Contains(o.RemoteAS, as):
		return refuse("%d is not among those allowed, %d", as, o.RemoteAS)
	}
	return nil
}

// unanswered says what to look at when the peer answers no SYN.
func (o Options) unanswered() string {
	why := "no answer on TCP port 179"
	if o.PasswordFile != "" {
		why += "; is the TCP MD5 key of the peer the one in " + o.PasswordFile + "?"
	} else {
		why += "; does the peer want a TCP MD5 key?"
	}
	if o.TTLSecurity {
		why += " " + askTTL
	}
	return why
}

const askTTL = "does the peer send with TTL 255?"

// speechless says what to look at when the peer takes a connection and sends no
// OPEN.
func (o Options) speechless() string {
	why := "no OPEN within the hold time"
	if o.TTLSecurity { // a listening socket may answer with another TTL than those accepted from it
		why += "; " + askTTL
	}
	return why
}

// key returns the key for signatures, empty for none. The error does not tell
// what is in the file.
func (o Options) key() (string, error) {
	if o.PasswordFile == "" {
		return "", nil
	}
	b, err := namedfile.Read(o.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	b, _ = bytes.CutSuffix(b, []byte("\n"))
	if len(b) == 0 || len(b) > maxKey {
		return "", fmt.Errorf("reading the password: %s has %d bytes, want 1 to %d", o.PasswordFile, len(b), maxKey)
	}
	return string(b), nil
}
