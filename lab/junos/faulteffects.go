package junos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// errCut ends a session whose connection a fault has reset.
var errCut = errors.New("connection reset by a fault")

// A tap is what a session's output runs through, so that faults can interfere
// with it byte by byte.
type tap struct {
	w io.Writer

	dribble time.Duration // between bytes; 0: none
	limited bool
	left    int          // bytes that still pass, if limited
	then    func() error // what happens after them
	wait    func(time.Duration) error
}

// clear lets everything pass.
func (t *tap) clear() { t.dribble, t.limited, t.left, t.then = 0, false, 0, nil }

func (t *tap) Write(p []byte) (int, error) {
	n, err := t.pass(p[:t.allowed(len(p))])
	if err == nil && n < len(p) {
		t.limited = false
		if err = t.then(); err == nil { // a stall has ended
			var rest int
			rest, err = t.pass(p[n:])
			n += rest
		}
	}
	return n, err
}

// allowed takes n bytes, or what is left, from what may pass.
func (t *tap) allowed(n int) int {
	if !t.limited {
		return n
	}
	n = min(n, t.left)
	t.left -= n
	return n
}

func (t *tap) pass(p []byte) (int, error) {
	if t.dribble == 0 {
		return t.w.Write(p)
	}
	for i := range p {
		if _, err := t.w.Write(p[i : i+1]); err != nil {
			return i, err
		}
		if err := t.wait(t.dribble); err != nil {
			return i + 1, err
		}
	}
	return len(p), nil
}

// struck finds the fault of a kind that strikes the operation under way.
func (s *session) struck(kind FaultKind) (Fault, bool) {
	for _, f := range s.strikes {
		if f.Kind == kind {
			return f, true
		}
	}
	return Fault{}, false
}

// cut resets the session's connection.
func (s *session) cut() error {
	if s.reset != nil {
		s.reset()
	}
	return errCut
}

// suffer lets faults strike an operation before it runs, and prepares what
// they do to its answer. An error ends the session.
func (s *session) suffer(ctx context.Context, operation string) error {
	s.injected = nil
	s.tap.clear()
	h := s.device.faults.holding(s.gone)
	s.strikes = s.device.faults.strike(operation, s.id)
	for _, f := range s.strikes {
		if err := s.sufferOne(ctx, f, h); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) sufferOne(ctx context.Context, f Fault, h hold) error {
	switch f.Kind {
	case FaultDrop:
		s.limit(f.After, s.cut)
	case FaultStall:
		s.limit(f.After, func() error { return h.wait(ctx, f.Delay) })
	case FaultDribble:
		s.tap.dribble = f.Delay
		s.tap.wait = func(d time.Duration) error { return h.wait(ctx, d) }
	case FaultNoise:
		_, err := io.WriteString(s.tap, f.Text)
		return err
	case FaultSlow:
		h.gone = nil // the device finishes what it was asked for
		return h.wait(ctx, f.Delay)
	case FaultResetBefore:
		return s.cut()
	case FaultError, FaultFull:
		s.injected = &rpcError{errorType: "application", tag: "operation-failed", severity: "error", message: f.Text}
	case FaultReboot:
		return errors.Join(s.reboot(), s.cut())
	default:
		return s.device.interfere(ctx, f)
	}
	return nil
}

// limit lets n bytes of the answer pass before then happens.
func (s *session) limit(n int, then func() error) {
	s.tap.limited, s.tap.left, s.tap.then = true, n, then
}

// interfere is what somebody else does to the device.
func (d *Device) interfere(ctx context.Context, f Fault) error {
	switch f.Kind {
	case FaultLock:
		d.db.intrude(f.User, f.Delay)
	case FaultClock:
		d.offset.Add(int64(f.Delay))
	case FaultDirty:
		if err := d.db.soil(f.Text); err != nil {
			d.log.Warn("fault without effect", "fault", f.String(), "err", err)
		}
	case FaultWriter:
		o := d.Operator(f.User)
		defer o.Close()
		if err := o.CommitPrivate(ctx, f.Text); err != nil {
			d.log.Warn("fault without effect", "fault", f.String(), "err", err)
		}
	}
	return nil
}

// withoutEndTag leaves out an end tag, so that the message is no XML any more:
// the first one called name, or the first at all.
func withoutEndTag(message []byte, name string) []byte {
	start := bytes.Index(message, []byte("</"+name))
	if start < 0 {
		start = bytes.Index(message, []byte("</"))
	}
	if start < 0 {
		return message
	}
	end := start + bytes.IndexByte(message[start:], '>') + 1
	return append(bytes.Clone(message[:start]), message[end:]...)
}

// rows is how many of the rows of a table a reply shows.
func (s *session) rows(n int) int {
	if _, struck := s.struck(FaultEmpty); struck {
		return 0
	}
	if _, struck := s.struck(FaultTruncate); struck {
		return n / 2
	}
	return n
}

// refusals removes from after, which was before, the statements that faults
// refuse, and returns what is said about them.
func (s *session) refusals(before, after *node) (errs []*loadError) {
	for _, f := range s.strikes {
		if f.Kind == FaultRefuse {
			errs = append(errs, after.refuse(before, "", f.Text)...)
		}
	}
	return errs
}

// refuse removes from n what was not in before and contains text.
func (n *node) refuse(before *node, path, text string) (errs []*loadError) {
	var kept []*node
	for _, c := range n.children {
		old := before.same(c)
		words := path + " " + c.words()
		if (old == nil || !old.sameValue(c)) && strings.Contains(words+" "+strings.Join(c.values, " "), text) {
			errs = append(errs, &loadError{c.statement(), fmt.Sprintf("invalid value in '%s'", words[1:])})
			if old != nil {
				kept = append(kept, old.clone())
			}
			continue
		}
		if old == nil {
			old = newTree(c.def)
		}
		errs = append(errs, c.refuse(old, words, text)...)
		kept = append(kept, c)
	}
	n.children = kept
	return errs
}
