package netconf

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// endOfMessage ends every message of base:1.0, and both hellos (RFC 6242 section 4.3).
var endOfMessage = []byte("]]>]]>")

// errTooLarge is the error of a message that is longer than the session accepts.
var errTooLarge = errors.New("message exceeds the size limit")

// errFraming is the error of bytes that are not RFC 6242 framing.
var errFraming = errors.New("broken framing")

// framer cuts a byte stream into NETCONF messages and wraps those that are sent.
// It knows both framings of RFC 6242: end-of-message (section 4.3) and chunked (section 4.2).
type framer struct {
	in      *bufio.Reader
	out     io.Writer
	chunked bool
	max     int64 // bytes of one received message
}

// send writes one message with a single Write, so that SSH packs it well.
func (f *framer) send(msg []byte) error {
	framed := make([]byte, 0, len(msg)+32)
	if f.chunked {
		framed = fmt.Appendf(framed, "\n#%d\n", len(msg))
		framed = append(append(framed, msg...), "\n##\n"...)
	} else {
		framed = append(append(framed, msg...), endOfMessage...)
	}
	_, err := f.out.Write(framed)
	return err
}

// message returns the next message as a stream that ends with io.EOF where the message ends.
// It must be read to its end before the next one is asked for. The end of the connection inside
// a message is io.ErrUnexpectedEOF.
func (f *framer) message() io.Reader {
	return &message{f: f}
}

type message struct {
	f     *framer
	chunk int64 // bytes left in the current chunk
	size  int64 // bytes handed out
	err   error
}

func (m *message) Read(p []byte) (int, error) {
	if m.err != nil || len(p) == 0 {
		return 0, m.err
	}
	read := m.untilDelimiter
	if m.f.chunked {
		read = m.fromChunk
	}
	n, err := read(p)
	m.size += int64(n)
	if m.size > m.f.max {
		err = fmt.Errorf("%w of %d bytes", errTooLarge, m.f.max)
	}
	m.err = err
	return n, err
}

// untilDelimiter hands out what is surely not part of the delimiter: the tail of the buffer
// that could be its beginning is kept back until more bytes tell.
func (m *message) untilDelimiter(p []byte) (int, error) {
	in := m.f.in
	for want := 1; ; {
		if _, err := in.Peek(want); err != nil {
			return 0, unexpected(err)
		}
		buf, _ := in.Peek(in.Buffered())
		end := bytes.Index(buf, endOfMessage)
		if end == 0 {
			in.Discard(len(endOfMessage)) // cannot fail: the bytes are buffered
			return 0, io.EOF
		}
		if end < 0 {
			end = len(buf) - partialDelimiter(buf)
		}
		if end > 0 {
			n := copy(p, buf[:end])
			in.Discard(n)
			return n, nil
		}
		want = len(buf) + 1
	}
}

// partialDelimiter is the length of the longest end of buf that begins the delimiter.
func partialDelimiter(buf []byte) int {
	for n := min(len(endOfMessage)-1, len(buf)); n > 0; n-- {
		if bytes.HasPrefix(endOfMessage, buf[len(buf)-n:]) {
			return n
		}
	}
	return 0
}

func (m *message) fromChunk(p []byte) (int, error) {
	if m.chunk == 0 {
		// Junos ends its hello with a line feed after the delimiter.
		size, err := m.f.chunkHeader(m.size == 0)
		if err != nil {
			return 0, err
		}
		m.chunk = size
	}
	n, err := m.f.in.Read(p[:min(int64(len(p)), m.chunk)])
	m.chunk -= int64(n)
	return n, unexpected(err)
}

// chunkHeader reads "\n#SIZE\n" and returns SIZE, or "\n##\n" and returns io.EOF
// (RFC 6242 section 4.2). More line feeds may come first if the message begins here.
func (f *framer) chunkHeader(first bool) (int64, error) {
	if c, err := f.in.ReadByte(); err != nil || c != '\n' {
		return 0, badHeader(c, '\n', err)
	}
	c, err := f.in.ReadByte()
	for first && err == nil && c == '\n' {
		c, err = f.in.ReadByte()
	}
	if err != nil || c != '#' {
		return 0, badHeader(c, '#', err)
	}
	// The longest header line is the ten digits of the largest size, 4294967295.
	var line []byte
	for len(line) <= 10 {
		c, err := f.in.ReadByte()
		if err != nil {
			return 0, unexpected(err)
		}
		if c == '\n' {
			return chunkSize(string(line))
		}
		line = append(line, c)
	}
	return 0, fmt.Errorf("%w: chunk size %q is too long", errFraming, line)
}

func badHeader(got, want byte, err error) error {
	if err != nil {
		return unexpected(err)
	}
	return fmt.Errorf("%w: %q where a chunk header has %q", errFraming, got, want)
}

func chunkSize(line string) (int64, error) {
	if line == "#" {
		return 0, io.EOF
	}
	size, err := strconv.ParseUint(line, 10, 32)
	if err != nil || line[0] == '0' {
		return 0, fmt.Errorf("%w: chunk size %q is not a number from 1 to 4294967295", errFraming, line)
	}
	return int64(size), nil
}

// unexpected turns the plain end of the connection into an error: a message always has an end of its own.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
