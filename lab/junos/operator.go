package junos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
)

// An Operator is somebody else at work on the device: a session of the device's
// own, without a wire. It is for one goroutine. Faults are for others: they do
// not strike it.
type Operator struct{ s *session }

// Operator logs somebody in who may do everything. Close logs them out.
func (d *Device) Operator(user string) *Operator {
	s := newSession(d, User{Name: user}, nil)
	s.id = d.enter(func() {})
	return &Operator{s}
}

// Close ends the session; locks are released and uncommitted edits of a locked
// or private candidate are lost, as at the end of any session.
func (o *Operator) Close() {
	o.s.giveBack()
	o.s.device.leave(o.s.id)
}

// RPC runs one operation, the content of an rpc element, and returns the reply.
// Errors in the reply are the error; warnings are not.
func (o *Operator) RPC(ctx context.Context, operation string) (reply string, err error) {
	text, err := o.Answer(ctx, operation)
	if err != nil {
		return "", err
	}
	parsed, err := parseXML([]byte(text))
	if err != nil {
		return text, fmt.Errorf("reply: %w", err)
	}
	return text, parsed.replyError()
}

// Answer is RPC for whoever reads the errors in the reply himself.
func (o *Operator) Answer(ctx context.Context, operation string) (reply string, err error) {
	request, err := parseXML([]byte("<rpc>" + operation + "</rpc>"))
	if err != nil {
		return "", fmt.Errorf("operation %q: %w", operation, err)
	}
	w := o.s.writer()
	if err := o.s.answer(ctx, request, nil, w); err != nil {
		return "", err
	}
	return w.buf.String(), nil
}

// replyError is the first error in a reply, at any depth.
func (e *element) replyError() error {
	if e.name == "rpc-error" && e.value("error-severity") == "error" {
		return errors.New(e.value("error-message"))
	}
	for _, c := range e.children {
		if err := c.replyError(); err != nil {
			return err
		}
	}
	return nil
}

func (o *Operator) do(ctx context.Context, operation string) error {
	_, err := o.RPC(ctx, operation)
	return err
}

// Edit applies set lines to what is open: the shared candidate, if nothing is.
func (o *Operator) Edit(ctx context.Context, lines string) error {
	var text bytes.Buffer
	w := writer{}
	w.text(lines)
	text.Write(w.buf.Bytes())
	return o.do(ctx, `<load-configuration action="set" format="text"><configuration-set>`+text.String()+`</configuration-set></load-configuration>`)
}

// Lock locks the shared candidate, as configure exclusive does.
func (o *Operator) Lock(ctx context.Context) error { return o.do(ctx, "<lock-configuration/>") }

// Unlock releases the lock; what was not committed is lost.
func (o *Operator) Unlock(ctx context.Context) error { return o.do(ctx, "<unlock-configuration/>") }

// Commit commits what is open.
func (o *Operator) Commit(ctx context.Context) error { return o.do(ctx, "<commit-configuration/>") }

// Discard throws the edits of what is open away.
func (o *Operator) Discard(ctx context.Context) error { return o.do(ctx, "<discard-changes/>") }

// Open opens a private copy, or with a name an ephemeral instance.
func (o *Operator) Open(ctx context.Context, instance string) error {
	if instance == "" {
		return o.do(ctx, "<open-configuration><private/></open-configuration>")
	}
	return o.do(ctx, "<open-configuration><ephemeral-instance>"+instance+"</ephemeral-instance></open-configuration>")
}

// CloseConfiguration closes what Open opened.
func (o *Operator) CloseConfiguration(ctx context.Context) error {
	return o.do(ctx, "<close-configuration/>")
}

// CommitPrivate commits set lines through a private copy.
func (o *Operator) CommitPrivate(ctx context.Context, lines string) error {
	return o.commitIn(ctx, "", lines)
}

// CommitEphemeral commits set lines in an ephemeral instance.
func (o *Operator) CommitEphemeral(ctx context.Context, instance, lines string) error {
	return o.commitIn(ctx, instance, lines)
}

func (o *Operator) commitIn(ctx context.Context, instance, lines string) error {
	if err := o.Open(ctx, instance); err != nil {
		return fmt.Errorf("opening: %w", err)
	}
	err := o.Edit(ctx, lines)
	if err == nil {
		err = o.Commit(ctx)
	}
	return errors.Join(err, o.CloseConfiguration(ctx))
}

// Committed is the committed static configuration in set lines.
func (d *Device) Committed() string { return d.db.running().setLines() }

// Candidate is the shared candidate in set lines.
func (d *Device) Candidate() string { return d.db.snapshot().setLines() }

// Ephemeral is what is committed in an ephemeral instance, in set lines; ""
// names the default one.
func (d *Device) Ephemeral(instance string) (string, error) {
	tree, err := d.db.instance(instance)
	if err != nil {
		return "", err
	}
	return tree.setLines(), nil
}

// Merged is what the daemons see: the static configuration with the ephemeral
// ones over it, in set lines.
func (d *Device) Merged() string { return d.db.merged().setLines() }

// LockedBy is who holds the lock of the shared candidate, "" if nobody does.
func (d *Device) LockedBy() string {
	if h := d.db.locked(); h != nil {
		return h.user
	}
	return ""
}

// OpenedBy is who has an ephemeral instance open, "" if nobody has.
func (d *Device) OpenedBy(instance string) string { return d.db.owner(instance) }

// Sessions is the process ids of the sessions that are open now.
func (d *Device) Sessions() (ids []int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id := range d.sessions {
		ids = append(ids, id)
	}
	return ids
}

// HasNeighbor says whether a neighbor is committed in any database.
func (d *Device) HasNeighbor(address string) bool {
	peers, _ := peersOf(d.db.merged().at("protocols", "bgp"))
	return slices.ContainsFunc(peers, func(p *peer) bool { return p.address.String() == address })
}
