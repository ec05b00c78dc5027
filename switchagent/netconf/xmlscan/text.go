package xmlscan

import (
	"bytes"
	"io"
	"strconv"
	"unicode"
	"unicode/utf8"
)

// What a byte may be.
const (
	inName     = 1 << iota // ASCII part of NameChar (XML 1.0 section 2.3)
	beginsName             // of NameStartChar
	blank
	plain // stands for itself in any text
)

var class = func() (class [256]uint8) {
	for c := range class {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '_', c == ':':
			class[c] = inName | beginsName
		case '0' <= c && c <= '9', c == '-', c == '.':
			class[c] = inName
		case c == ' ', c == '\t', c == '\n', c == '\r':
			class[c] = blank
		}
		if ' ' <= c && c < utf8.RuneSelf && c != '&' && c != '<' && c != ']' || c == '\t' || c == '\n' {
			class[c] |= plain
		}
	}
	return class
}()

// What ends a text.
var (
	startOfTag = []byte("<")
	endOfCDATA = []byte("]]>")
)

// characters reads a text up to the delimiter, or as much of it as the buffer holds.
func (s *Scanner) characters(delimiter []byte) (err error) {
	n, found, err := s.find(delimiter)
	if err != nil {
		return err
	}
	where := inText
	if s.cdata {
		where = inCDATA
	}
	if s.text, err = s.decode(s.buf[s.r:s.r+n], where); err != nil {
		return err
	}
	s.r += n
	if s.cdata && found {
		s.cdata = false
		s.r += len(delimiter)
	}
	return nil
}

// find returns how many bytes of text can be read.
func (s *Scanner) find(delimiter []byte) (n int, found bool, err error) {
	for seen := 0; ; {
		b := s.buf[s.r:s.w]
		if i := bytes.Index(b[seen:], delimiter); i >= 0 {
			return seen + i, true, nil
		}
		if len(b) > s.size {
			return whole(b), false, nil
		}
		seen = max(0, len(b)-len(delimiter)+1)
		if err := s.fill(); err == io.EOF && !s.cdata {
			return len(b), false, nil
		} else if err != nil {
			return 0, false, s.cut(err)
		}
	}
}

// whole is how much of a text whose end is not known can be read without taking anything apart: ]]>, the
// two ends of a line, a character, a reference.
func whole(b []byte) int {
	n := len(b)
	for range 2 {
		if b[n-1] == ']' {
			n--
		}
	}
	if b[n-1] == '\r' {
		n--
	}
	for i := 1; i < utf8.UTFMax; i++ {
		if utf8.RuneStart(b[n-i]) {
			if !utf8.FullRune(b[n-i : n]) {
				n -= i
			}
			break
		}
	}
	last := max(0, n-MaxEntity)
	if i := bytes.LastIndexByte(b[last:n], '&'); i >= 0 && bytes.IndexByte(b[last+i:n], ';') < 0 {
		n = last + i
	}
	return n
}

// Where a text stands.
type place int

const (
	inText place = iota
	inAttr
	inCDATA
)

// decode replaces references and the ends of lines (XML 1.0 section 2.11) in place, as what they stand for is
// never longer, and refuses what is no character.
func (s *Scanner) decode(raw []byte, where place) ([]byte, error) {
	out := 0
	for out < len(raw) && class[raw[out]]&plain != 0 {
		out++
	}
	for i := out; i < len(raw); {
		c, size := rune(raw[i]), 1
		switch {
		case class[c]&plain != 0 || where == inCDATA && (c == '&' || c == '<'):
		case c == ']':
			if where == inText && bytes.HasPrefix(raw[i:], endOfCDATA) {
				return nil, s.wrong("]]> outside a CDATA section")
			}
		case c == '\r':
			c = '\n'
			if i+1 < len(raw) && raw[i+1] == '\n' {
				size = 2
			}
		case c == '&':
			var err error
			if c, size, err = s.reference(raw[i:]); err != nil {
				return nil, err
			}
		case c == '<':
			return nil, s.wrong("a < within an attribute")
		default:
			c, size = utf8.DecodeRune(raw[i:])
			if c == utf8.RuneError && size == 1 {
				return nil, s.wrong("a byte %#x that is not UTF-8", raw[i])
			}
		}
		if !legal(c) {
			return nil, s.wrong("the character %U", c)
		}
		i += size
		out += utf8.EncodeRune(raw[out:i], c)
	}
	return raw[:out], nil
}

// legal is Char of XML 1.0 section 2.2. Surrogates have become U+FFFD before.
func legal(r rune) bool {
	return r >= ' ' && r != 0xFFFE && r != 0xFFFF || r == '\t' || r == '\n' || r == '\r'
}

// reference reads &lt; or &#60; or &#x3c; and returns what it stands for, and its length.
func (s *Scanner) reference(b []byte) (r rune, size int, err error) {
	end := bytes.IndexByte(b[:min(len(b), MaxEntity)], ';')
	if end < 0 {
		return 0, 0, s.limit("%.40q is not a reference of at most %d bytes", b, MaxEntity)
	}
	name, size := b[1:end], end+1
	switch string(name) {
	case "lt":
		return '<', size, nil
	case "gt":
		return '>', size, nil
	case "amp":
		return '&', size, nil
	case "apos":
		return '\'', size, nil
	case "quot":
		return '"', size, nil
	}
	if len(name) > 1 && name[0] == '#' {
		digits, base := string(name[1:]), 10
		if digits[0] == 'x' {
			digits, base = digits[1:], 16
		}
		n, err := strconv.ParseUint(digits, base, 32)
		if err == nil && n <= unicode.MaxRune {
			if !utf8.ValidRune(rune(n)) {
				n = utf8.RuneError
			}
			return rune(n), size, nil
		}
	}
	return 0, 0, s.wrong("&%s; is not a reference that every document knows", name)
}
