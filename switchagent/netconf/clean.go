package netconf

import (
	"bytes"
	"encoding/binary"
	"io"
	"unicode/utf8"
)

// cleaner makes of what devices send what is XML. Some put control characters,
// a byte order mark or a banner before the first tag, and a description typed in Latin-1 comes
// back as it was typed: one odd byte in a neighbour's description must not end every poll.
type cleaner struct {
	in    io.Reader
	err   error  // of in
	begun bool   // the first '<' was seen
	held  []byte // of a character, whose other bytes have not come
}

func newCleaner(r io.Reader) *cleaner { return &cleaner{in: r} }

// Read replaces each byte that no XML text may hold with a blank or a question mark. The result
// is never longer, so it reads straight into p.
func (c *cleaner) Read(p []byte) (n int, err error) {
	if len(p) < utf8.UTFMax {
		return 0, io.ErrShortBuffer
	}
	for n == 0 && c.err == nil {
		n = copy(p, c.held)
		var read int
		read, c.err = c.in.Read(p[n:])
		n = c.clean(p[:n+read])
		if read == 0 {
			break
		}
	}
	if n > 0 {
		return n, nil
	}
	return 0, c.err
}

// clean returns how much of p is text. What may be the beginning of a character is held back while
// there is more to come.
func (c *cleaner) clean(p []byte) (n int) {
	c.held = c.held[:0]
	i := 0
	if !c.begun {
		if i = bytes.IndexByte(p, '<'); i < 0 {
			return 0
		}
		c.begun = true
	}
	for i < len(p) {
		usual := i + ordinary(p[i:])
		if n == i {
			n = usual
		} else {
			n += copy(p[n:], p[i:usual])
		}
		if i = usual; i == len(p) {
			break
		}
		if c.err == nil && !utf8.FullRune(p[i:]) {
			c.held = append(c.held, p[i:]...)
			break
		}
		r, size := utf8.DecodeRune(p[i:])
		i += size
		n += utf8.EncodeRune(p[n:i], legal(r, size))
	}
	return n
}

// ordinary is how many bytes p begins with that need no look: nearly all of a reply.
func ordinary(p []byte) (n int) {
	const each = 0x0101010101010101
	for n < len(p) {
		if len(p)-n >= 8 {
			// The highest bit of a byte is set in the first where it is not ASCII, in the second
			// where it is below a blank. A borrow only reaches bytes behind one of the latter.
			if x := binary.LittleEndian.Uint64(p[n:]); (x|(x-' '*each))&(0x80*each) == 0 {
				n += 8
				continue
			}
		}
		for end := min(n+8, len(p)); n < end; n++ {
			if p[n] >= utf8.RuneSelf || p[n] < ' ' && p[n] != '\n' {
				return n
			}
		}
	}
	return n
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
