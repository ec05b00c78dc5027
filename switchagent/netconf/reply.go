package netconf

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	gonetconf "github.com/Juniper/go-netconf/netconf"
)

// errReply is the error of a reply that is no answer to the call: another message-id, another
// root element, XML that is cut off or broken.
var errReply = errors.New("not a reply to this call")

// Call is one operation and what is wanted of its reply.
type Call struct {
	// Body is the XML of the operation, such as <get-ipv6-nd-information/>, without xmlns="":
	// Junos 24.4 refuses that.
	Body string
	// Elements of the reply, by local name whatever their namespace, are handed over in the
	// order they come, at any depth; a large table is never held in memory as XML.
	// What they collect counts only if the call returns no error.
	Elements map[string]Element
	// Silence is how long no byte of the reply may come; zero is 15 s.
	Silence time.Duration
	// Timeout bounds the whole call; zero is twice the Silence, or 30 s.
	Timeout time.Duration
	// Slow says that the server may be silent for all of Timeout, as it is during a commit.
	Slow bool
}

// Element is called at a wanted element. It may call decode once to read the element into a
// struct; if it does not, the reader goes on inside the element.
type Element func(decode func(v any) error) error

// Reply is what every reply says, apart from its wanted elements.
type Reply struct {
	// OK: the server said <ok/>, <commit-success/>, <commit-check-success/> or <load-success/>.
	OK bool
	// Warnings are the rpc-errors of severity warning.
	Warnings []Error
}

// Error is one rpc-error (RFC 6241 section 4.3) or xnm:error of Junos, its texts trimmed.
type Error struct {
	gonetconf.RPCError
	BadElement   string `xml:"error-info>bad-element"`
	SourceDaemon string `xml:"source-daemon"`
}

// Error is the message with the path, the element and the daemon it is about.
func (e Error) Error() string {
	text := e.Message
	if text == "" {
		text = "rpc-error " + e.Tag
	}
	for _, detail := range []struct{ what, value string }{
		{"at", e.Path}, {"element", e.BadElement}, {"from", e.SourceDaemon},
	} {
		if detail.value != "" {
			text += fmt.Sprintf(" (%s %s)", detail.what, detail.value)
		}
	}
	return text
}

// ReplyError says that the server refused the operation. The session goes on.
type ReplyError struct {
	Errors   []Error // at least one, all of severity error
	Warnings []Error
}

// Error joins all errors of the reply.
func (e *ReplyError) Error() string {
	texts := make([]string, len(e.Errors))
	for i, one := range e.Errors {
		texts[i] = one.Error()
	}
	return "refused: " + strings.Join(texts, "; ")
}

// Name is the name of the operation: the first element of the body.
func (c Call) Name() string {
	name := strings.TrimPrefix(strings.TrimSpace(c.Body), "<")
	if end := strings.IndexAny(name, " \t\r\n/>"); end >= 0 {
		name = name[:end]
	}
	return name
}

// ReadReply reads one reply to the call, up to </rpc-reply>. The reply must carry messageID; one
// that carries none is accepted if it is an error, as servers answer so to what they could not
// read, or if messageID is "". An answer of severity error is a *ReplyError; of any other error
// nothing can be said about what the server did.
//
// Without Elements the call is a command with a short reply, and a reply of the kind that some
// Junos releases send to a commit, with </routing-engine> missing, is read as it was meant.
func (c Call) ReadReply(r io.Reader, messageID string) (Reply, error) {
	if len(c.Elements) > 0 {
		return c.readReply(newDecoder(r), messageID)
	}
	raw, err := io.ReadAll(r)
	if err != nil {
		return Reply{}, err
	}
	reply, err := c.readReply(newDecoder(bytes.NewReader(raw)), messageID)
	var syntax *xml.SyntaxError
	if errors.As(err, &syntax) && bytes.Contains(raw, []byte("routing-engine")) {
		lenient := newDecoder(bytes.NewReader(raw))
		lenient.Strict = false
		return c.readReply(lenient, messageID)
	}
	return reply, err
}

func newDecoder(r io.Reader) *xml.Decoder {
	d := xml.NewDecoder(newCleaner(r))
	// A declared charset is ignored: the cleaner has made the bytes UTF-8.
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	return d
}

func (c Call) readReply(d *xml.Decoder, messageID string) (Reply, error) {
	r := replyReader{Decoder: d, elements: c.Elements}
	gotID, err := r.open()
	if err != nil {
		return Reply{}, brokenReply(err)
	}
	if gotID != messageID && gotID != "" {
		return Reply{}, fmt.Errorf("%w: message-id %q, sent %q", errReply, gotID, messageID)
	}
	if err := r.walk(); err != nil {
		return Reply{}, brokenReply(err)
	}
	if len(r.errors) > 0 {
		return Reply{}, &ReplyError{Errors: r.errors, Warnings: r.warnings}
	}
	if gotID != messageID {
		return Reply{}, fmt.Errorf("%w: no message-id, sent %q", errReply, messageID)
	}
	return Reply{OK: r.ok, Warnings: r.warnings}, nil
}

// brokenReply keeps the errors of the connection as they are and marks those of the content.
func brokenReply(err error) error {
	var syntax *xml.SyntaxError
	if err == io.EOF {
		err = errors.New("it ends early")
	} else if !errors.As(err, &syntax) && !errors.Is(err, errReply) {
		return err
	}
	return fmt.Errorf("%w: %w", errReply, err)
}

// replyReader reads a reply in one pass.
type replyReader struct {
	*xml.Decoder
	elements         map[string]Element
	ok               bool
	errors, warnings []Error
}

// open reads up to the root element and returns its message-id.
func (r *replyReader) open() (string, error) {
	for {
		token, err := r.Token()
		if err != nil {
			return "", err
		}
		start, isStart := token.(xml.StartElement)
		if !isStart {
			if err := refuse(token); err != nil {
				return "", err
			}
			continue
		}
		if start.Name.Local != "rpc-reply" {
			return "", fmt.Errorf("%w: it is a <%s>", errReply, start.Name.Local)
		}
		for _, attr := range start.Attr {
			if attr.Name.Local == "message-id" {
				return attr.Value, nil
			}
		}
		return "", nil
	}
}

// maxDepth is far beyond Junos' tables: the decoder remembers every open element, which in 64 MB
// of start tags is a gigabyte.
const maxDepth = 100

// walk reads from behind the start of the root element to its end.
func (r *replyReader) walk() error {
	for depth := 1; depth > 0; {
		token, err := r.Token()
		if err != nil {
			return err
		}
		switch token := token.(type) {
		case xml.StartElement:
			consumed, err := r.element(token)
			if err != nil {
				return err
			}
			if !consumed {
				depth++
			}
			if depth > maxDepth {
				return fmt.Errorf("%w: elements are nested more than %d deep", errReply, maxDepth)
			}
		case xml.EndElement:
			depth--
		default:
			if err := refuse(token); err != nil {
				return err
			}
		}
	}
	return nil
}

// element handles one start tag and says whether it read the element to its end.
func (r *replyReader) element(start xml.StartElement) (consumed bool, err error) {
	switch start.Name.Local {
	case "rpc-error":
		return true, r.rpcError(start)
	case "error", "warning":
		// A part of the namespace, or the prefix where none is declared.
		if strings.Contains("/"+start.Name.Space+"/", "/xnm/") {
			return true, r.xnmError(start)
		}
	case "ok", "commit-success", "commit-check-success", "load-success":
		r.ok = true
	}
	wanted := r.elements[start.Name.Local]
	if wanted == nil {
		return false, nil
	}
	err = wanted(func(v any) error {
		consumed = true
		return r.DecodeElement(v, &start)
	})
	return consumed, err
}

func (r *replyReader) rpcError(start xml.StartElement) error {
	var e Error
	if err := r.DecodeElement(&e, &start); err != nil {
		return err
	}
	r.add(e)
	return nil
}

// xnmError reads the form of the Junos XML protocol, which some commands answer with over
// NETCONF as well.
func (r *replyReader) xnmError(start xml.StartElement) error {
	var e struct {
		Daemon  string `xml:"source-daemon"`
		Path    string `xml:"edit-path"`
		Element string `xml:"statement"`
		Message string `xml:"message"`
	}
	if err := r.DecodeElement(&e, &start); err != nil {
		return err
	}
	r.add(Error{
		RPCError:     gonetconf.RPCError{Severity: start.Name.Local, Path: e.Path, Message: e.Message},
		BadElement:   e.Element,
		SourceDaemon: e.Daemon,
	})
	return nil
}

func (r *replyReader) add(e Error) {
	for _, text := range []*string{
		&e.Type, &e.Tag, &e.Severity, &e.Path, &e.Message, &e.Info, &e.BadElement, &e.SourceDaemon,
	} {
		*text = strings.TrimSpace(*text)
	}
	if e.Severity == "warning" {
		r.warnings = append(r.warnings, e)
	} else {
		r.errors = append(r.errors, e)
	}
}

// refuse lets no document type definition in: no NETCONF server has a use for one, and it is
// where entity attacks begin.
func refuse(token xml.Token) error {
	if _, found := token.(xml.Directive); found {
		return fmt.Errorf("%w: it holds a <!directive>", errReply)
	}
	return nil
}
