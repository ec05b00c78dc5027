package bgp

import (
	"bufio"
	"encoding/binary"
	"io"
)

// The types of message (RFC 4271 section 4.1, RFC 2918 section 3).
const (
	typeOpen byte = 1 + iota
	typeUpdate
	typeNotification
	typeKeepalive
	typeRouteRefresh
)

const (
	headerSize  = 19
	maxSize     = 4096      // RFC 4271 section 4.1
	maxExtended = 1<<16 - 1 // RFC 8654 section 4
)

// message is a BGP message as it stands on the wire, its header checked.
type message []byte

func (m message) kind() byte   { return m[18] }
func (m message) body() []byte { return m[headerSize:] }

func newMessage(kind byte, body ...byte) message {
	m := make(message, headerSize, headerSize+len(body))
	for i := range 16 {
		m[i] = 0xff
	}
	binary.BigEndian.PutUint16(m[16:], uint16(headerSize+len(body)))
	m[18] = kind
	return append(m, body...)
}

// framer cuts what it reads into messages.
type framer struct {
	r        *bufio.Reader
	extended bool // extended messages were negotiated (RFC 8654)
	held     int  // bytes of the message that was returned last
}

func newFramer(r io.Reader) *framer { return &framer{r: bufio.NewReaderSize(r, maxExtended+1)} }

// next returns the next message, which is valid until the call after. An error
// of type *notification is what the sender of bad bytes is to be told.
func (f *framer) next() (message, error) {
	if _, err := f.r.Discard(f.held); err != nil {
		return nil, err
	}
	f.held = 0
	header, err := f.r.Peek(headerSize)
	if err != nil {
		return nil, err
	}
	size, err := checkHeader(header, f.extended)
	if err != nil {
		return nil, err
	}
	m, err := f.r.Peek(size)
	if err != nil {
		return nil, err
	}
	f.held = size
	return m, nil
}

// checkHeader returns the size of the message, header included, or what is
// wrong with the header (RFC 4271 section 6.1).
func checkHeader(header []byte, extended bool) (int, error) {
	for _, b := range header[:16] {
		if b != 0xff {
			return 0, &notification{code: errHeader, subcode: 1} // Connection Not Synchronized
		}
	}
	size, kind := int(binary.BigEndian.Uint16(header[16:])), header[18]
	least, most := headerSize, maxSize
	switch kind {
	case typeOpen:
		least = headerSize + 10
	case typeUpdate:
		least = headerSize + 4
	case typeNotification:
		least = headerSize + 2
	case typeKeepalive:
		most = headerSize
	case typeRouteRefresh: // RFC 2918 section 3; what may follow (RFC 5291) is not negotiated
		least = headerSize + 4
		most = least
	default:
		return 0, &notification{code: errHeader, subcode: 3, data: header[18:19:19]} // Bad Message Type
	}
	if extended && (kind == typeUpdate || kind == typeNotification) {
		most = maxExtended
	}
	if size < least || size > most {
		return 0, &notification{code: errHeader, subcode: 2, data: header[16:18:18]} // Bad Message Length
	}
	return size, nil
}
