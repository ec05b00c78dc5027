package netconf

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	gonetconf "github.com/Juniper/go-netconf/netconf"

	"lastmile/switchagent/login"
	"lastmile/switchagent/netconf/xmlscan"
)

// transport is what a gonetconf.Session stands on.
type transport struct {
	framer   *framer
	conn     *login.Conn
	plain    bool  // base:1.1 is not offered
	helloErr error // of either hello: the library drops it
}

var _ gonetconf.Transport = (*transport)(nil)

// Send frames and sends one message.
func (t *transport) Send(msg []byte) error { return t.framer.send(msg) }

// Receive reads one whole message. Calls do not use it: they stream theirs.
func (t *transport) Receive() ([]byte, error) { return io.ReadAll(t.framer.message()) }

// Close ends the connection.
func (t *transport) Close() error {
	t.conn.Fail(errClosed)
	return nil
}

// ReceiveHello reads the server's hello. It never returns nil, as the library does not look at
// the error.
func (t *transport) ReceiveHello() (*gonetconf.HelloMessage, error) {
	hello, err := readHello(t.framer.message())
	if err != nil {
		t.helloErr = fmt.Errorf("receiving hello: %w", err)
	}
	return hello, t.helloErr
}

// SendHello sends ours, unless the server's was already wrong.
func (t *transport) SendHello(hello *gonetconf.HelloMessage) error {
	if t.helloErr != nil {
		return t.helloErr
	}
	if t.plain {
		hello.Capabilities = slices.DeleteFunc(slices.Clone(hello.Capabilities), func(c string) bool { return strings.HasSuffix(c, ":base:1.1") })
	}
	msg, err := xml.Marshal(hello)
	if err == nil {
		err = t.Send(append([]byte(xml.Header), msg...))
	}
	if err != nil {
		t.helloErr = fmt.Errorf("sending hello: %w", err)
	}
	return t.helloErr
}

// SetVersion is called with "v1.1" if the server's hello held base:1.1, which the library always
// offers: then chunked framing it is (RFC 6242 section 4.1).
func (t *transport) SetVersion(version string) { t.framer.chunked = version == "v1.1" && !t.plain }

// readHello reads by local names: a server set to rfc-compliant prefixes them all.
func readHello(r io.Reader) (*gonetconf.HelloMessage, error) {
	hello := new(gonetconf.HelloMessage)
	var wire struct {
		XMLName      xml.Name
		Capabilities []string `xml:"capabilities>capability"`
		SessionID    int      `xml:"session-id"`
		Errors       []Error  `xml:"rpc-error"`
	}
	if err := newDecoder(xmlscan.New(newCleaner(r))).Decode(&wire); err != nil {
		return hello, brokenReply(err)
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		return hello, err
	}
	if len(wire.Errors) > 0 {
		return hello, &ReplyError{Errors: wire.Errors}
	}
	if wire.XMLName.Local != "hello" {
		return hello, fmt.Errorf("%w: <%s> in place of a hello", errReply, wire.XMLName.Local)
	}
	for _, capability := range wire.Capabilities {
		hello.Capabilities = append(hello.Capabilities, strings.TrimSpace(capability))
	}
	if len(hello.Capabilities) == 0 {
		return hello, errors.New("it lists no capabilities")
	}
	hello.SessionID = wire.SessionID
	return hello, nil
}
