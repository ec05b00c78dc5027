package junos

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	baseNamespace  = "urn:ietf:params:xml:ns:netconf:base:1.0"
	junosNamespace = "http://xml.juniper.net/junos/"
)

// netconfElements is the elements that belong to NETCONF and not to Junos: a
// device configured rfc-compliant writes them with a prefix.
var netconfElements = map[string]bool{
	"hello": true, "capabilities": true, "capability": true, "session-id": true,
	"rpc-reply": true, "rpc-error": true, "ok": true, "data": true,
	"error-type": true, "error-tag": true, "error-severity": true, "error-path": true,
	"error-message": true, "error-info": true, "bad-element": true, "error-app-tag": true,
}

// A writer builds a reply, one element a line and not indented, as Junos does.
type writer struct {
	buf     bytes.Buffer
	prefix  string // "nc:" on an rfc-compliant device
	release string // in Junos' namespaces, "21.4R0"
	stack   []string
	table   TableHabits

	out     func([]byte) error // takes parts of a long reply before it is whole; may be nil
	spilled bool               // some have left
}

// spillAt is how long a reply grows before a part of it is sent.
const spillAt = 64 << 10

// spill sends what there is of a long reply.
func (w *writer) spill() error {
	if w.out == nil || w.buf.Len() < spillAt {
		return nil
	}
	w.spilled = true
	err := w.out(w.buf.Bytes())
	w.buf.Reset()
	return err
}

func (w *writer) name(name string) string {
	if w.prefix != "" && netconfElements[name] {
		return w.prefix + name
	}
	return name
}

// tag writes a start tag up to its end; attrs are names and values in turn.
func (w *writer) tag(name string, attrs []string) {
	w.buf.WriteByte('<')
	w.buf.WriteString(w.name(name))
	for i := 0; i+1 < len(attrs); i += 2 {
		w.buf.WriteByte(' ')
		w.buf.WriteString(attrs[i])
		w.buf.WriteString(`="`)
		w.text(attrs[i+1])
		w.buf.WriteByte('"')
	}
}

func (w *writer) open(name string, attrs ...string) {
	w.tag(name, attrs)
	w.buf.WriteString(">\n")
	w.stack = append(w.stack, name)
}

// close ends the innermost open element.
func (w *writer) close() {
	last := len(w.stack) - 1
	w.end(w.stack[last])
	w.stack = w.stack[:last]
}

func (w *writer) end(name string) {
	w.buf.WriteString("</")
	w.buf.WriteString(w.name(name))
	w.buf.WriteString(">\n")
}

func (w *writer) empty(name string, attrs ...string) {
	w.tag(name, attrs)
	w.buf.WriteString("/>\n")
}

func (w *writer) leaf(name, value string, attrs ...string) {
	w.tag(name, attrs)
	w.buf.WriteByte('>')
	if w.table.Padded {
		w.buf.WriteByte('\n')
	}
	w.text(value)
	if w.table.Padded {
		w.buf.WriteByte('\n')
	}
	w.end(name)
}

func (w *writer) number(name string, value int) { w.leaf(name, strconv.Itoa(value)) }

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")

// text writes escaped character data. Line breaks stay as they are, which
// encoding/xml would not do.
func (w *writer) text(s string) {
	if plain(s) {
		w.buf.WriteString(s)
		return
	}
	s = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == utf8.RuneError {
			return '?' // not XML
		}
		return r
	}, s)
	w.buf.WriteString(escaper.Replace(s))
}

// plain says whether s stands in XML as it is.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= utf8.RuneSelf || c == '&' || c == '<' || c == '>' || c == '"' {
			return false
		}
	}
	return true
}

// payload opens a container of operational data in the namespace of the daemon
// that answers, or in none.
func (w *writer) payload(name, daemon string, attrs ...string) {
	if daemon != "" {
		attrs = append([]string{"xmlns", junosNamespace + w.release + "/junos-" + daemon}, attrs...)
	}
	w.open(name, attrs...)
	if w.table.Comments {
		w.buf.WriteString("<!-- keepalive -->\n")
	}
}

// An rpcError is one rpc-error element. Junos leaves out what is empty here.
type rpcError struct {
	errorType, tag string
	severity       string // "error" or "warning"
	path           string // the CLI's banner: "[edit protocols bgp]"
	message        string
	bad            string // bad-element
	daemon         string // source-daemon
}

func (e *rpcError) Error() string { return e.message }

func (w *writer) rpcError(e *rpcError) {
	w.open("rpc-error")
	leaf := func(name, value string) {
		if value != "" {
			w.leaf(name, value)
		}
	}
	leaf("error-type", e.errorType)
	leaf("error-tag", e.tag)
	leaf("error-severity", e.severity)
	leaf("source-daemon", e.daemon)
	leaf("error-path", e.path)
	if e.bad != "" {
		w.open("error-info")
		w.leaf("bad-element", e.bad)
		w.close()
	}
	// The text on lines of its own, as many releases write it.
	w.leaf("error-message", "\n"+e.message+"\n")
	w.close()
}

// protocolError is an error about the request itself.
func protocolError(message, bad string) *rpcError {
	return &rpcError{errorType: "protocol", tag: "operation-failed", severity: "error", message: message, bad: bad}
}

// warning is a bare one: Junos sends those without the fields of the RFC.
func warning(message string) *rpcError {
	return &rpcError{severity: "warning", message: message}
}
