package junos

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// endOfMessage ends a message of NETCONF 1.0 (RFC 6242 section 4.3).
const endOfMessage = "]]>]]>"

// maxMessage bounds a request.
const maxMessage = 32 << 20

var errTooLong = fmt.Errorf("message longer than %d bytes", maxMessage)

// A framer reads and writes the messages of a session.
type framer struct {
	r       *bufio.Reader
	w       io.Writer
	chunked bool // RFC 6242 section 4.2, after the hellos
	longest int  // chunk that is written; 0: any
	pending []byte
}

func newFramer(rw io.ReadWriter) *framer {
	return &framer{r: bufio.NewReaderSize(rw, 64<<10), w: rw}
}

// read returns the next message, or io.EOF between messages.
func (f *framer) read() ([]byte, error) {
	if f.chunked {
		return f.readChunks()
	}
	var message []byte
	for {
		part, err := f.r.ReadSlice('>')
		message = append(message, part...)
		switch {
		case bytes.HasSuffix(message, []byte(endOfMessage)):
			return message[:len(message)-len(endOfMessage)], nil
		case len(message) > maxMessage:
			return nil, errTooLong
		case errors.Is(err, bufio.ErrBufferFull):
		case err == io.EOF && len(bytes.TrimSpace(message)) > 0:
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		}
	}
}

func (f *framer) readChunks() ([]byte, error) {
	var message []byte
	for {
		size, err := f.chunkSize(len(message) == 0)
		if err != nil {
			return nil, err
		}
		if size == 0 {
			return message, nil
		}
		if len(message)+size > maxMessage {
			return nil, errTooLong
		}
		start := len(message)
		message = append(message, make([]byte, size)...)
		if _, err := io.ReadFull(f.r, message[start:]); err != nil {
			return nil, fmt.Errorf("chunk of %d bytes: %w", size, err)
		}
	}
}

// chunkSize reads a chunk's header, "\n#SIZE\n", or the end of the chunks,
// "\n##\n", for which it returns 0.
func (f *framer) chunkSize(first bool) (int, error) {
	b, err := f.r.ReadByte()
	// Clients that press return after a message are common; a real Junos minds
	// neither.
	for err == nil && first && b == '\n' {
		var next []byte
		if next, err = f.r.Peek(1); err == nil && next[0] != '\n' {
			break
		}
		if err == nil {
			b, err = f.r.ReadByte()
		}
	}
	if err != nil {
		return 0, err
	}
	if b != '\n' {
		return 0, fmt.Errorf("chunk header: %q, want a line break", b)
	}
	if b, err = f.r.ReadByte(); err != nil || b != '#' {
		return 0, fmt.Errorf("chunk header: %q, want #: %w", b, orEOF(err))
	}
	size, digits := 0, 0
	for {
		b, err = f.r.ReadByte()
		switch {
		case err != nil:
			return 0, fmt.Errorf("chunk header: %w", orEOF(err))
		case b == '#' && digits == 0 && !first:
			b, err = f.r.ReadByte()
			if err != nil || b != '\n' {
				return 0, fmt.Errorf("end of chunks: %q, want a line break: %w", b, orEOF(err))
			}
			return 0, nil
		case b == '\n' && size > 0:
			return size, nil
		case b < '0' || b > '9' || size > maxMessage || digits == 0 && b == '0':
			return 0, fmt.Errorf("chunk size: unexpected %q", b)
		}
		size, digits = size*10+int(b-'0'), digits+1
	}
}

func orEOF(err error) error {
	if err == nil || err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// part adds a part to the message that is being written.
func (f *framer) part(message []byte) error {
	if len(message) == 0 {
		return nil // no chunk is empty
	}
	for f.chunked && f.longest > 0 && len(message) > f.longest {
		f.chunk(message[:f.longest])
		message = message[f.longest:]
	}
	f.chunk(message)
	if len(f.pending) < spillAt {
		return nil // the end of the message goes with it
	}
	return f.flush()
}

// chunk adds a chunk, which without chunks is only its content.
func (f *framer) chunk(message []byte) {
	if f.chunked {
		f.pending = fmt.Appendf(f.pending, "\n#%d\n", len(message))
	}
	f.pending = append(f.pending, message...)
}

// end ends the message and sends what is left of it.
func (f *framer) end() error {
	if f.chunked {
		f.pending = append(f.pending, "\n##\n"...)
	} else {
		f.pending = append(f.pending, endOfMessage+"\n"...)
	}
	return f.flush()
}

func (f *framer) flush() error {
	_, err := f.w.Write(f.pending)
	if err != nil {
		err = fmt.Errorf("writing %d bytes of a reply: %w", len(f.pending), err)
	}
	f.pending = f.pending[:0]
	return err
}
