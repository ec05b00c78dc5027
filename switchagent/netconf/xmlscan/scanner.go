// Package xmlscan cuts the XML of a NETCONF reply into tokens. It takes what encoding/xml takes in
// its strict mode, and gives the same, within limits that hold whatever is sent: its memory is one
// buffer and a short stack. Texts and names are parts of that buffer: nothing is allocated for them.
//
// Refused although encoding/xml takes it: document type definitions, names that are not ASCII, an
// XML declaration in an unusual form, and what is beyond [MaxDepth], [MaxAttrs], [MaxName],
// [MaxEntity] or [MaxTag].
package xmlscan

import (
	"bytes"
	"fmt"
	"io"
)

// What a reply may hold. Junos is far below all of them.
const (
	MaxDepth  = 100      // elements open at a time
	MaxAttrs  = 200      // of one element
	MaxName   = 1000     // bytes of a name with its prefix
	MaxEntity = 32       // bytes of a reference, such as &#x1F600;
	MaxTag    = 32 << 10 // bytes of a start tag, its attributes included; also the size of the buffer
)

// MinRead is the least that is asked of the reader at a time: one that looks at characters needs room for one.
const MinRead = 16

// A Token is a part of the document.
type Token int

// The tokens. Comments and processing instructions are none.
const (
	_     Token = iota
	Start       // a start tag; an empty-element tag is a Start and an End
	End
	Text // character data without references and CDATA markers; one text may come in pieces
)

// SyntaxError says what is wrong with the document, and where.
type SyntaxError struct {
	Offset int64 // bytes before the token that it is about
	Msg    string
	Limit  bool // it may be XML, and is more than is read here
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("XML at byte %d: %s", e.Offset, e.Msg) }

// An Attr is an attribute, xmlns ones included. It is valid until the next call of Next.
type Attr struct{ Prefix, Local, Value []byte }

// Scanner reads a document.
type Scanner struct {
	// Unclosed is the local name of an element that may lack its end tag: it then ends where the
	// one around it does.
	Unclosed string

	in      io.Reader
	readErr error
	buf     []byte
	size    int   // what of buf may be one token
	r, w    int   // what is buffered and not yet read
	base    int64 // bytes before buf
	err     error // the end

	local, prefix, text []byte // of the token
	attrs               []Attr
	spans               []span
	empty               bool // the start tag was an end tag as well
	cdata               bool // inside <![CDATA[ and ]]>

	open     []frame
	names    []byte // of the open elements, one behind the other
	bindings []binding
}

// frame is where the name of an open element begins in names, and its local part.
type frame struct{ name, local int }

// New returns a scanner of the document that r holds.
func New(r io.Reader) *Scanner { return newSize(r, MaxTag) }

func newSize(r io.Reader, size int) *Scanner {
	return &Scanner{in: r, size: size, buf: make([]byte, size+MinRead)}
}

// Next returns the next token. The end of the document, or of what stands behind one that is whole,
// is io.EOF; a document that ends early is a *SyntaxError. Errors of the reader are returned as they
// are. After an error there is nothing more.
func (s *Scanner) Next() (Token, error) {
	if s.err != nil {
		return 0, s.err
	}
	token, err := s.next()
	s.err = err
	return token, err
}

// Name is the local name of the element that has begun or ended. It is valid until the next call of Next.
func (s *Scanner) Name() []byte { return s.local }

// Prefix is what stands before the colon of the name; empty if there is none. It is valid until the next
// call of Next.
func (s *Scanner) Prefix() []byte { return s.prefix }

// Text is the text. It is valid until the next call of Next, and may be altered.
func (s *Scanner) Text() []byte { return s.text }

// Attrs are the attributes of the element that has begun.
func (s *Scanner) Attrs() []Attr { return s.attrs }

// Depth is how many elements are open: of the root element it is 1 from its Start on, and 0 from its End on.
func (s *Scanner) Depth() int { return len(s.open) }

func (s *Scanner) next() (Token, error) {
	if s.empty {
		s.empty = false
		return s.pop(), nil
	}
	for {
		if s.cdata {
			if err := s.characters(endOfCDATA); err != nil || len(s.text) > 0 {
				return Text, err
			}
			continue
		}
		if s.r == s.w {
			if err := s.fill(); err == io.EOF && len(s.open) == 0 {
				return 0, io.EOF
			} else if err != nil {
				return 0, s.cut(err)
			}
		}
		if s.buf[s.r] != '<' {
			return Text, s.characters(startOfTag)
		}
		c, err := s.need(1)
		if err != nil {
			return 0, err
		}
		switch c {
		case '/':
			return s.endTag()
		case '?':
			err = s.instruction()
		case '!':
			err = s.declaration()
		default:
			return s.startTag()
		}
		if err != nil {
			return 0, err
		}
	}
}

// fill reads more behind what is buffered.
func (s *Scanner) fill() error {
	if s.r > 0 {
		s.base += int64(s.r)
		s.w = copy(s.buf, s.buf[s.r:s.w])
		s.r = 0
	}
	if s.w > s.size {
		return s.limit("a tag is longer than %d bytes", s.size)
	}
	if s.readErr != nil {
		return s.readErr
	}
	for range 100 {
		n, err := s.in.Read(s.buf[s.w:])
		s.w += n
		s.readErr = err
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// need returns the byte at the offset from the beginning of the token, which moves in the buffer.
func (s *Scanner) need(n int) (byte, error) {
	for s.r+n >= s.w {
		if err := s.fill(); err != nil {
			return 0, s.cut(err)
		}
	}
	return s.buf[s.r+n], nil
}

func (s *Scanner) cut(err error) error {
	if err == io.EOF {
		return s.wrong("it ends early")
	}
	return err
}

func (s *Scanner) wrong(format string, args ...any) error {
	return &SyntaxError{Offset: s.base + int64(s.r), Msg: fmt.Sprintf(format, args...)}
}

func (s *Scanner) limit(format string, args ...any) error {
	return &SyntaxError{Offset: s.base + int64(s.r), Msg: fmt.Sprintf(format, args...), Limit: true}
}

// declaration reads a comment, or the beginning of a CDATA section.
func (s *Scanner) declaration() error {
	for _, form := range []string{"<!--", "<![CDATA["} {
		n := 2
		for ; n < len(form); n++ {
			if c, err := s.need(n); err != nil {
				return err
			} else if c != form[n] {
				break
			}
		}
		if n == len(form) {
			s.r += n
			s.cdata = form[2] == '['
			if s.cdata {
				return nil
			}
			return s.comment()
		}
	}
	return s.limit("it holds a <!directive>")
}

// comment reads from behind <!-- to the end of the comment.
func (s *Scanner) comment() error {
	for {
		if i := bytes.Index(s.buf[s.r:s.w], []byte("--")); i >= 0 {
			s.r += i
			if c, err := s.need(2); err != nil {
				return err
			} else if c != '>' {
				return s.wrong(`"--" within a comment`)
			}
			s.r += 3
			return nil
		}
		s.r = max(s.r, s.w-1) // it may be the first of two
		if err := s.fill(); err != nil {
			return s.cut(err)
		}
	}
}

// instruction reads <?target ... ?>.
func (s *Scanner) instruction() error {
	n, err := s.name(2)
	if err != nil {
		return err
	}
	xml := string(s.buf[s.r+2:s.r+n]) == "xml"
	for {
		if i := bytes.Index(s.buf[s.r+n:s.w], []byte("?>")); i >= 0 {
			if xml && n+i+2 > s.size {
				return s.limit("an XML declaration is longer than %d bytes", s.size)
			} else if xml && !usual(s.buf[s.r+n:s.r+n+i]) {
				return s.limit("<?xml%.100s?> is not an XML declaration of version 1.0", s.buf[s.r+n:s.r+n+i])
			}
			s.r += n + i + 2
			return nil
		}
		if !xml { // of a declaration all is kept
			s.r, n = max(s.r+n, s.w-1), 0
		}
		if err := s.fill(); err != nil {
			return s.cut(err)
		}
	}
}

// usual says whether the declaration names version 1.0, or none. Its encoding is taken no notice of:
// the reader has made it UTF-8.
func usual(declaration []byte) bool {
	_, after, found := bytes.Cut(declaration, []byte("version"))
	return !found || bytes.HasPrefix(after, []byte(`="1.0"`)) || bytes.HasPrefix(after, []byte(`='1.0'`))
}
