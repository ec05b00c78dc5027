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
	compliant bool // rfc-compliant when the session began
	profile   Profile
	open      *workspace // what open-configuration opened, nil: the shared candidate
	closing   bool

	tap      *tap            // what frames writes through; nil: nobody listens
	reset    func()          // ends the connection rudely; nil: there is none
	gone     <-chan struct{} // closed when the connection has ended; nil: there is none
	reboot   func() error
	strikes  []Fault // faults that strike the operation under way
	injected error   // what they make it answer

	asked  string    // the operation before
	looked time.Time // when the client last could have looked at sessions, see Change.Sudden
}

// A handler answers one RPC by writing the content of the reply. An error takes
// the place of whatever it wrote.
type handler func(s *session, ctx context.Context, request *element, w *writer) error

func newSession(d *Device, user User, rw io.ReadWriter) *session {
	s := &session{device: d, user: user, profile: d.profile}
	s.tap = &tap{w: rw}
	s.frames = newFramer(struct {
		io.Reader
		io.Writer
	}{rw, s.tap})
	s.frames.longest = d.cfg.ChunkSize
	s.compliant = d.profile.Compliant || d.db.running().has("system", "services", "netconf", "rfc-compliant")
	return s
}

func (s *session) writer() *writer {
	w := &writer{release: s.profile.Namespace}
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
	defer s.end(ctx)
	offers11 := s.compliant && s.device.db.running().has("system", "services", "netconf", "version-1.1")
	if err := s.greet(ctx, offers11 || s.profile.ClaimsChunks); err != nil {
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
		if err := s.respond(ctx, request, err); err != nil {
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

// respond answers one request. An error ends the session.
func (s *session) respond(ctx context.Context, request *element, parseError error) error {
	operation := operationName(request)
	s.device.answering(s.id, operation)
	s.notice(operation)
	if err := s.suffer(ctx, operation); err != nil {
		return err
	}
	w := s.writer()
	if _, whole := s.struck(FaultMalformed); !whole {
		w.out = s.frames.part
	}
	if err := s.answer(ctx, request, parseError, w); err != nil {
		return err
	}
	if _, lost := s.struck(FaultResetAfter); lost {
		return s.cut()
	}
	return s.send(w.buf.Bytes())
}

// looking is the operation that shows BGP sessions.
const looking = "get-bgp-summary-information"

// notice keeps looked.
func (s *session) notice(operation string) {
	if operation == looking || s.asked != looking {
		s.looked = time.Now()
	}
	s.asked = operation
}

// send ends a message with its last part, damaged as the faults say.
func (s *session) send(message []byte) error {
	if f, struck := s.struck(FaultMalformed); struck {
		message = withoutEndTag(message, f.Text)
	}
	if err := s.frames.part(message); err != nil {
		return err
	}
	return s.frames.end()
}

// operationName is the local name of what is asked for, "" if that is unclear.
func operationName(request *element) string {
	if request == nil || len(request.children) == 0 {
		return ""
	}
	return request.children[0].name
}

// answer writes the whole reply to a request, or to one that could not be
// parsed. It fails when a part of the reply that turns out wrong has left.
func (s *session) answer(ctx context.Context, request *element, parseError error, w *writer) error {
	attrs := append(s.namespace(), "xmlns:junos", junosNamespace+s.profile.Namespace+"/junos")
	if parseError == nil {
		if id := request.attr("message-id"); id != "" {
			attrs = append(attrs, "message-id", id)
		}
	}
	w.open("rpc-reply", attrs...)
	start := w.buf.Len()
	if err := s.dispatch(ctx, request, parseError, w); err != nil {
		if w.spilled {
			return fmt.Errorf("in the middle of a reply: %w", err)
		}
		w.buf.Truncate(start)
		w.stack = w.stack[:1]
		w.failure(err)
	}
	w.close()
	if s.closing {
		fmt.Fprintf(&w.buf, "<!-- session end at %s -->\n", localTime(s.device.now()))
	}
	return nil
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
	if s.injected != nil {
		return s.injected
	}
	if parseError != nil {
		return protocolError("syntax error: "+parseError.Error(), "")
	}
	if s.profile.RefusesNoName {
		if name := request.unnamed(); name != "" {
			return protocolError("syntax error", name)
		}
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
	if err := s.device.permits(s.user, operation); err != nil {
		return err
	}
	if !operational(operation.name) {
		return handle(s, ctx, operation, w)
	}
	return s.wrapped(ctx, handle, operation, w)
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
func (s *session) end(ctx context.Context) {
	h := s.device.faults.holding(nil)
	for _, f := range s.device.faults.strike(OnEnd, s.id) {
		if f.Kind == FaultLinger {
			_ = h.wait(ctx, f.Delay) // a boot ends it early
		}
	}
	s.giveBack()
}

// giveBack ends what the session has open and locked.
func (s *session) giveBack() {
	s.closeWorkspace()
	_ = s.device.db.release(s.id) // most sessions hold no lock
}
