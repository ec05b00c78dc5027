package netconf

import (
	"bufio"
	"io"
	"unicode/utf8"
)

// cleaner makes of what devices send what encoding/xml accepts. Some put control characters,
// a byte order mark or a banner before the first tag, and a description typed in Latin-1 comes
// back as it was typed: one odd byte in a neighbour's description must not end every poll.
type cleaner struct {
	in    *bufio.Reader
	begun bool // the first '<' was seen
}

func newCleaner(r io.Reader) *cleaner {
	return &cleaner{in: bufio.NewReader(r)}
}

// Read replaces each byte that no XML text may hold with a blank or a question mark.
func (c *cleaner) Read(p []byte) (int, error) {
	if !c.begun {
		if err := c.skipToTag(); err != nil {
			return 0, err
		}
	}
	if len(p) < utf8.UTFMax {
		return 0, io.ErrShortBuffer
	}
	if _, err := c.in.Peek(1); err != nil {
		return 0, err
	}
	n := 0
	for n+utf8.UTFMax <= len(p) && c.in.Buffered() > 0 {
		n += c.copyText(p[n:])
		if n+utf8.UTFMax > len(p) || c.in.Buffered() == 0 {
			break
		}
		r, size, err := c.in.ReadRune()
		if err != nil {
			return n, err
		}
		n += utf8.EncodeRune(p[n:], legal(r, size))
	}
	return n, nil
}

// copyText moves the buffered bytes up to the first that needs a look: nearly all of a reply.
func (c *cleaner) copyText(p []byte) int {
	buf, _ := c.in.Peek(min(len(p), c.in.Buffered()))
	n := 0
	for n < len(buf) && buf[n] < utf8.RuneSelf && (buf[n] >= ' ' || buf[n] == '\n') {
		n++
	}
	copy(p, buf[:n])
	c.in.Discard(n) // cannot fail: the bytes are buffered
	return n
}

func (c *cleaner) skipToTag() error {
	for {
		b, err := c.in.ReadByte()
		if err != nil {
			return err
		}
		if b == '<' {
			c.begun = true
			return c.in.UnreadByte()
		}
	}
}

// legal is the rune itself where XML allows it (XML 1.0 section 2.2, Char).
func legal(r rune, size int) rune {
	switch {
	case r == utf8.RuneError && size == 1, r == 0xFFFE, r == 0xFFFF:
		return '?'
	case r < ' ' && r != '\t' && r != '\n' && r != '\r':
		return ' '
	}
	return r
}
