package worker

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"

	"lastmile/hostagent/bfd"
)

// protocol is the version of everything below but hello and stop, whose
// layouts never change: two releases that differ here can still tell, and the
// newer one can end the older one.
const protocol = 5

// A kind says what a message is. On the control connection, a Unix socket of
// type SOCK_SEQPACKET, one packet is one message: the kind, and the fixed
// layout that belongs to it, big-endian. Fixed, because then neither side has
// to allocate, and the worker may not.
type kind uint8

// Zero is none.
const (
	kindHello   kind = 1 // worker to client, first of all
	kindStop    kind = 2 // client to worker: say AdminDown to all peers, hang up, end; see leave
	kindWatch   kind = 3 // client to worker: have this session so
	kindUnwatch kind = 4 // client to worker: say AdminDown, forget the session
	kindList    kind = 5 // client to worker: send every session, then an answer
	kindAnswer  kind = 6 // worker to client
	kindSession kind = 7 // worker to client: a session in a list, or as it has changed
	kindBusy    kind = 8 // worker to client, instead of hello: another one is connected
	// kindWatchdog brings the two maps of the kernel's watchdog as descriptors
	// (SCM_RIGHTS), in place of those that the worker has; or none, for no watchdog.
	kindWatchdog kind = 9
)

// maxMessage is longer than any message.
const maxMessage = 1024

type hello struct {
	Kind       kind
	Version    uint16
	PID        uint32
	Scheduling Scheduling
	Locked     bool
	Reason     text
}

type stop struct{ Kind kind }

type busy struct {
	Kind kind
	PID  uint32 // of the client that is connected
}

// order is a message that is answered; ID comes back in the answer.
type order struct {
	Kind kind
	ID   uint32
}

// key names a session. A link-local address means nothing without its link,
// and a link's name means nothing once the link was made anew.
type key struct {
	Link uint32 // interface index
	Peer [16]byte
}

func (k key) addr() netip.Addr { return netip.AddrFrom16(k.Peer) }

type watch struct {
	order
	key
	Name      name // of the link, for those who adopt the session
	Timers    bfd.Timers
	AdminDown bool
}

type unwatch struct {
	order
	key
}

type answer struct {
	order
	Refusal text // empty: done
}

// report is a session. ID is that of the list that it is part of, 0 for a change.
type report struct {
	order
	key
	Name    name
	Changed bool // since the client was told last
	Report
}

// name is an interface name, padded with zeros (IFNAMSIZ).
type name [16]byte

func nameOf(s string) (n name) { copy(n[:], s); return n }

func (n name) String() string { return cut(n[:]) }

// text is a short text, padded with zeros.
type text [256]byte

func textOf(err error) (t text) {
	if err != nil {
		copy(t[:], oneLine(err))
	}
	return t
}

func (t text) String() string { return cut(t[:]) }

func cut(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// encode appends a message, given by its address, to b.
func encode(b []byte, message any) []byte {
	b, err := binary.Append(b, binary.BigEndian, message)
	if err != nil {
		panic(err) // a message that is not of fixed size: a mistake of ours
	}
	return b
}

// decode reads b into the message of the given address. A message is longer
// than its layout only if it comes from a later release; hello then tells.
func decode(b []byte, message any) error {
	if n := binary.Size(message); len(b) < n {
		return fmt.Errorf("%T of %d bytes, want %d", message, len(b), n)
	}
	_, err := binary.Decode(b, binary.BigEndian, message)
	return err
}
