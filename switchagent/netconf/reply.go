package netconf

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	gonetconf "github.com/Juniper/go-netconf/netconf"

	"lastmile/switchagent/netconf/xmlscan"
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
// struct, as encoding/xml does, or into [Fields]; if it does not, the reader goes on inside the
// element.
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
// Without Elements the call is a command, and a reply of the kind that some Junos releases send to a
// commit, with </routing-engine> missing, is read as it was meant.
func (c Call) ReadReply(r io.Reader, messageID string) (Reply, error) {
	scan := xmlscan.New(newCleaner(r))
	if len(c.Elements) == 0 {
		scan.Unclosed = "routing-engine"
	}
	return c.readReply(scan, messageID)
}

func (c Call) readReply(scan *xmlscan.Scanner, messageID string) (Reply, error) {
	r := replyReader{scan: scan, elements: c.Elements, decoder: newDecoder(scan)}
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
	var syntax *xmlscan.SyntaxError
	if err == io.EOF {
		err = errors.New("it ends early")
	} else if !errors.As(err, &syntax) && !errors.Is(err, errReply) {
		return err
	}
	return fmt.Errorf("%w: %w", errReply, err)
}

// replyReader reads a reply in one pass.
type replyReader struct {
	scan             *xmlscan.Scanner
	elements         map[string]Element
	decoder          *decoder
	ok               bool
	errors, warnings []Error
}

// open reads up to the root element and returns its message-id.
func (r *replyReader) open() (string, error) {
	for {
		token, err := r.scan.Next()
		if err != nil {
			return "", err
		}
		if token != xmlscan.Start {
			continue
		}
		if name := r.scan.Name(); string(name) != "rpc-reply" {
			return "", fmt.Errorf("%w: it is a <%s>", errReply, name)
		}
		for _, attr := range r.scan.Attrs() {
			if string(attr.Local) == "message-id" {
				return string(attr.Value), nil
			}
		}
		return "", nil
	}
}

// walk reads from behind the start of the root element to its end.
func (r *replyReader) walk() error {
	for r.scan.Depth() > 0 {
		token, err := r.scan.Next()
		if err == nil && token == xmlscan.Start {
			err = r.element()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// element handles one start tag, and what decodes the element reads it to its end.
func (r *replyReader) element() error {
	name := r.scan.Name()
	switch string(name) {
	case "rpc-error":
		return r.rpcError()
	case "error", "warning":
		// A part of the namespace, or the prefix where none is declared.
		if strings.Contains("/"+r.scan.Space()+"/", "/xnm/") {
			return r.xnmError(string(name))
		}
	case "ok", "commit-success", "commit-check-success", "load-success":
		r.ok = true
	}
	if wanted := r.elements[string(name)]; wanted != nil {
		return wanted(r.decoder.decode)
	}
	return nil
}

func (r *replyReader) rpcError() error {
	var e Error
	if err := r.decoder.element(&e); err != nil {
		return err
	}
	r.add(e)
	return nil
}

// xnmError reads the form of the Junos XML protocol, which some commands answer with over
// NETCONF as well.
func (r *replyReader) xnmError(severity string) error {
	var e struct {
		Daemon  string `xml:"source-daemon"`
		Path    string `xml:"edit-path"`
		Element string `xml:"statement"`
		Message string `xml:"message"`
	}
	if err := r.decoder.element(&e); err != nil {
		return err
	}
	r.add(Error{
		RPCError:     gonetconf.RPCError{Severity: severity, Path: e.Path, Message: e.Message},
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
