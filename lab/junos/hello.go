package junos

import (
	"context"
	"errors"
	"fmt"
)

// hello is the device's greeting. Junos lists its capabilities in two
// spellings, old releases in one.
func (s *session) hello(offers11 bool) []byte {
	w := s.writer()
	w.buf.WriteString("<!-- No zombies were killed during the creation of this user interface -->\n")
	fmt.Fprintf(&w.buf, "<!-- user %s, class %s -->\n", s.user.Name, s.user.className())
	w.open("hello", s.namespace()...)
	w.open("capabilities")
	prefixes := []string{"urn:ietf:params:netconf:", "urn:ietf:params:xml:ns:netconf:"}
	if s.profile.OldSpelling {
		prefixes = prefixes[1:]
	}
	for _, prefix := range prefixes {
		w.leaf("capability", prefix+"base:1.0")
		if offers11 {
			w.leaf("capability", prefix+"base:1.1")
		}
		for _, c := range []string{"candidate:1.0", "confirmed-commit:1.0", "validate:1.0"} {
			w.leaf("capability", prefix+"capability:"+c)
		}
	}
	if !s.profile.OldSpelling {
		w.leaf("capability", "urn:ietf:params:netconf:capability:url:1.0?scheme=http,ftp,file")
	}
	w.leaf("capability", "urn:ietf:params:xml:ns:netconf:capability:url:1.0?protocol=http,ftp,file")
	if !s.profile.OldSpelling {
		w.leaf("capability", "urn:ietf:params:xml:ns:yang:ietf-netconf-monitoring")
	}
	w.leaf("capability", "http://xml.juniper.net/netconf/junos/1.0")
	w.leaf("capability", "http://xml.juniper.net/dmi/system/1.0")
	w.close()
	w.number("session-id", s.id)
	w.close()
	return w.buf.Bytes()
}

// greet sends hello, as the faults put on it let it.
func (s *session) greet(ctx context.Context, offers11 bool) error {
	if err := s.suffer(ctx, OnHello); err != nil {
		return err
	}
	if e, ok := errors.AsType[*rpcError](s.injected); ok {
		// Errors can stand where the hello is expected.
		w := s.writer()
		w.open("rpc-reply", s.namespace()...)
		w.rpcError(e)
		w.close()
		return s.send(w.buf.Bytes())
	}
	return s.send(s.hello(offers11))
}
