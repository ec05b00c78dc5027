package junos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

const (
	base10 = "urn:ietf:params:netconf:base:1.0"
	base11 = "urn:ietf:params:netconf:base:1.1"
)

// A session is one NETCONF session: mgd's process for a client.
type session struct {
	device    *Device
	user      User
	id        int
	frames    *framer
	compliant bool // configured rfc-compliant when the session began
	release   string
	open      *workspace // what open-configuration opened, nil: the shared candidate
	closing   bool
}

// A handler answers one RPC by writing the content of the reply. An error takes
// the place of whatever it wrote.
type handler func(s *session, ctx context.Context, request *element, w *writer) error

func newSession(d *Device, user User, rw io.ReadWriter) *session {
	release, _, _ := strings.Cut(d.cfg.Version, "R") // "21.4R3.15"
	return &session{
		device: d, user: user, frames: newFramer(rw), release: release + "R0",
		compliant: d.db.running().has("system", "services", "netconf", "rfc-compliant"),
	}
}

func (s *session) writer() *writer {
	w := &writer{release: s.release}
	if s.compliant {
		w.prefix = "nc:"
	}
	return w
}

// namespace is the attributes that declare NETCONF's namespace.
func (s *session) namespace() []string {
	if s.compliant {
		return []string{"xmlns:nc", baseNamespace}
	}
	return []string{"xmlns", baseNamespace}
}

// run says hello and answers requests until the session ends.
func (s *session) run(ctx context.Context) error {
	defer s.end()
	offers11 := s.compliant && s.device.db.running().has("system", "services", "netconf", "version-1.1")
	if err := s.frames.write(s.hello(offers11)); err != nil {
		return err
	}
	for first := true; !s.closing; first = false {
		message, err := s.frames.read()
		if err != nil {
			return err
		}
		if len(strings.TrimSpace(string(message))) == 0 {
			continue
		}
		request, err := parseXML(message)
		if err == nil && request.name == "hello" && first {
			s.frames.chunked = offers11 && offers(request, base11)
			continue
		}
		if err := s.frames.write(s.answer(ctx, request, err)); err != nil {
			return err
		}
	}
	return nil
}

func offers(hello *element, capability string) bool {
	for _, c := range hello.child("capabilities").all("capability") {
		if c.text == capability {
			return true
		}
	}
	return false
}

// hello is the device's greeting. Junos lists its capabilities in two spellings.
func (s *session) hello(offers11 bool) []byte {
	w := s.writer()
	w.buf.WriteString("<!-- No zombies were killed during the creation of this user interface -->\n")
	fmt.Fprintf(&w.buf, "<!-- user %s, class j-super-user -->\n", s.user.Name)
	w.open("hello", s.namespace()...)
	w.open("capabilities")
	for _, prefix := range []string{"urn:ietf:params:netconf:", "urn:ietf:params:xml:ns:netconf:"} {
		w.leaf("capability", prefix+"base:1.0")
		if offers11 {
			w.leaf("capability", prefix+"base:1.1")
		}
		for _, c := range []string{"candidate:1.0", "confirmed-commit:1.0", "validate:1.0"} {
			w.leaf("capability", prefix+"capability:"+c)
		}
	}
	w.leaf("capability", "urn:ietf:params:netconf:capability:url:1.0?scheme=http,ftp,file")
	w.leaf("capability", "urn:ietf:params:xml:ns:netconf:capability:url:1.0?protocol=http,ftp,file")
	w.leaf("capability", "urn:ietf:params:xml:ns:yang:ietf-netconf-monitoring")
	w.leaf("capability", "http://xml.juniper.net/netconf/junos/1.0")
	w.leaf("capability", "http://xml.juniper.net/dmi/system/1.0")
	w.close()
	w.number("session-id", s.id)
	w.close()
	return w.buf.Bytes()
}

// answer is the whole reply to a request, or to one that could not be parsed.
func (s *session) answer(ctx context.Context, request *element, parseError error) []byte {
	s.device.count(func(st *Stats) { st.RPCs++ })
	attrs := append(s.namespace(), "xmlns:junos", junosNamespace+s.release+"/junos")
	if parseError == nil {
		if id := request.attr("message-id"); id != "" {
			attrs = append(attrs, "message-id", id)
		}
	}
	w := s.writer()
	w.open("rpc-reply", attrs...)
	start := w.buf.Len()
	if err := s.dispatch(ctx, request, parseError, w); err != nil {
		w.buf.Truncate(start)
		w.stack = w.stack[:1]
		w.failure(err)
	}
	w.close()
	if s.closing {
		fmt.Fprintf(&w.buf, "<!-- session end at %s -->\n", time.Now().UTC().Format("2006-01-02 15:04:05 MST"))
	}
	return w.buf.Bytes()
}

// failure writes an error: as it is if it was made for the wire.
func (w *writer) failure(err error) {
	if e, ok := errors.AsType[*rpcError](err); ok {
		w.rpcError(e)
		return
	}
	w.rpcError(&rpcError{errorType: "application", tag: "operation-failed", severity: "error", message: err.Error()})
}

// changing is the requests that a read-only user may not send.
var changing = []string{
	"open-configuration", "load-configuration", "edit-config", "commit-configuration", "commit",
	"lock-configuration", "lock", "discard-changes", "kill-session", "copy-config", "delete-config",
}

func (s *session) dispatch(ctx context.Context, request *element, parseError error, w *writer) error {
	if parseError != nil {
		return protocolError("syntax error: "+parseError.Error(), "")
	}
	if request.name != "rpc" || len(request.children) == 0 {
		return protocolError("syntax error, expecting <rpc>", request.name)
	}
	operation := request.children[0]
	if s.user.ReadOnly && slices.Contains(changing, operation.name) {
		return &rpcError{severity: "error", message: "permission denied", bad: operation.name}
	}
	handle := operations(operation.name)
	if handle == nil {
		return protocolError("syntax error, expecting <command>", operation.name)
	}
	return handle(s, ctx, operation, w)
}

// operations finds the handler of an RPC.
func operations(name string) handler {
	return map[string]handler{
		"get-ipv6-nd-information":           (*session).neighbors,
		"get-ipv6-ra-information":           (*session).routerAdvertisements,
		"get-interface-information":         (*session).interfaces,
		"get-software-information":          (*session).software,
		"get-system-information":            (*session).system,
		"get-system-uptime-information":     (*session).systemUptime,
		"get-bgp-summary-information":       (*session).bgpSummary,
		"get-bgp-neighbor-information":      (*session).bgpNeighbors,
		"get-bfd-session-information":       (*session).bfdSessions,
		"get-route-information":             (*session).routes,
		"open-configuration":                (*session).openConfiguration,
		"close-configuration":               (*session).closeConfiguration,
		"load-configuration":                (*session).loadConfiguration,
		"get-configuration":                 (*session).getConfiguration,
		"commit-configuration":              (*session).commitConfiguration,
		"lock-configuration":                (*session).lockConfiguration,
		"unlock-configuration":              (*session).unlockConfiguration,
		"get-commit-information":            (*session).commitInformation,
		"get-configuration-database-status": (*session).databaseStatus,
		"lock":                              (*session).lockConfiguration,
		"unlock":                            (*session).unlockConfiguration,
		"discard-changes":                   (*session).discardChanges,
		"edit-config":                       (*session).editConfig,
		"get-config":                        (*session).getConfig,
		"get":                               (*session).get,
		"commit":                            (*session).commitNetconf,
		"validate":                          (*session).validate,
		"close-session":                     (*session).closeSession,
		"kill-session":                      (*session).killSession,
	}[name]
}

func (s *session) closeSession(_ context.Context, _ *element, w *writer) error {
	s.closing = true
	w.empty("ok")
	return nil
}

func (s *session) killSession(_ context.Context, request *element, w *writer) error {
	var id int
	if _, err := fmt.Sscan(request.value("session-id"), &id); err != nil || id == s.id || !s.device.kill(id) {
		return &rpcError{errorType: "protocol", tag: "invalid-value", severity: "error",
			message: "no such session", bad: "session-id"}
	}
	w.empty("ok")
	return nil
}

// end gives back what the session holds. A locked candidate's changes are lost.
func (s *session) end() {
	s.closeWorkspace()
	_ = s.device.db.release(s.id) // most sessions hold no lock
}
