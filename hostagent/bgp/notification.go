package bgp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// Error codes and subcodes (RFC 4271 section 4.5, RFC 4486, RFC 6608).
const (
	errHeader    = 1
	errOpen      = 2
	errUpdate    = 3
	errHoldTimer = 4
	errFSM       = 5
	errCease     = 6

	subBadPeerAS = 2

	subAttributeList     = 1
	subUnrecognized      = 2
	subOptionalAttribute = 9
	subNetworkField      = 10

	subTooManyPrefixes  = 1
	subPeerDeconfigured = 3
	subRejected         = 5
	subCollision        = 7
)

// notification is what a NOTIFICATION message says (RFC 4271 section 4.5). As
// an error it ends a connection, and the peer is yet to be told.
type notification struct {
	code, subcode uint8
	data          []byte
	why           string // in more words than code and subcode
}

// collision is the end of a connection that is not wanted beside another (RFC
// 4486 section 4).
func collision() *notification { return &notification{code: errCease, subcode: subCollision} }

// rejected is the answer to a peer that may not connect now (RFC 4486 section
// 4).
func rejected() *notification { return &notification{code: errCease, subcode: subRejected} }

func (n *notification) message() message {
	return newMessage(typeNotification, append([]byte{n.code, n.subcode}, n.data...)...)
}

// ceases are the subcodes of Cease that GoBGP has no name for (RFC 8538, RFC
// 9384).
var ceases = map[uint8]string{9: "Hard Reset", uint8(BFDDown): "BFD Down"}

func (n *notification) text() string {
	if name := ceases[n.subcode]; n.code == errCease && name != "" {
		return fmt.Sprintf("code %d(cease) subcode %d(%s)", n.code, n.subcode, name)
	}
	return bgp.NewNotificationErrorCode(n.code, n.subcode).String()
}

func (n *notification) Error() string {
	switch {
	case n.why != "":
		return n.why
	case n.code == errHoldTimer:
		return "hold timer expired"
	default:
		return "notification sent: " + n.text()
	}
}

func notificationIn(m message) *notification {
	return &notification{code: m.body()[0], subcode: m.body()[1], data: bytes.Clone(m.body()[2:])}
}

// received is a NOTIFICATION of the peer's, as the error that ends a
// connection.
type received struct{ *notification }

func (r received) Error() string { return "notification received: " + r.text() }

// lastWord returns what the peer is to be told before a connection ends with
// err, nil for nothing.
func lastWord(err error) *notification {
	var n *notification
	switch {
	case errors.As(err, &n):
		return n
	case errors.Is(err, context.Canceled):
		return &notification{code: errCease, subcode: subPeerDeconfigured}
	}
	return nil
}

// weSaid says if a connection has ended with this NOTIFICATION of ours.
func weSaid(err error, code, subcode uint8) bool {
	var n *notification
	return errors.As(err, &n) && n.code == code && n.subcode == subcode
}

// errNoOpen is the end of a connection before the peer's OPEN.
var errNoOpen = errors.New("before its OPEN")

// reason says in words why a connection ended with err.
func reason(err error) string {
	switch {
	case closed(err) && errors.Is(err, errNoOpen):
		return "connection closed by the peer before its OPEN: it may not have us as a neighbor"
	case closed(err):
		return "connection closed by the peer"
	}
	return err.Error()
}

// closed says if it was the peer's machine that closed the connection.
func closed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// unexpected is the answer to a message that has no place in the state (RFC
// 6608 section 3).
func unexpected(m message, in State) error {
	subcodes := map[State]uint8{OpenSent: 1, OpenConfirm: 2, Established: 3}
	return &notification{code: errFSM, subcode: subcodes[in], data: []byte{m.kind()}}
}
