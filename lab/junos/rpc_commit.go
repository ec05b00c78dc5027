package junos

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// maxConfirm is the longest confirm-timeout, in minutes.
const maxConfirm = 65535

// A commitRequest is what either spelling of a commit asks for.
type commitRequest struct {
	check     bool
	confirmed bool
	timeout   time.Duration
	timeText  string // as the answer names it
	log       string
}

// commitConfiguration is Junos' own form: confirm-timeout is in minutes.
func (s *session) commitConfiguration(ctx context.Context, request *element, w *writer) error {
	c := commitRequest{
		check: request.has("check"), confirmed: request.has("confirmed"), log: request.value("log"),
		timeout: 10 * s.device.cfg.Minute, timeText: "10 minutes",
	}
	if text := request.value("confirm-timeout"); text != "" {
		minutes, err := strconv.Atoi(text)
		if err != nil || minutes < 1 || minutes > maxConfirm {
			return protocolError("Value "+text+" is not within range (1..65535)", "confirm-timeout")
		}
		c.timeout = time.Duration(minutes) * s.device.cfg.Minute
		c.timeText = fmt.Sprintf("%d minutes", minutes)
	}
	return s.commit(ctx, c, w)
}

// commitNetconf is RFC 6241's form: confirm-timeout is in seconds, and the
// text of the answer in minutes still.
func (s *session) commitNetconf(ctx context.Context, request *element, w *writer) error {
	seconds := 600
	if text := request.value("confirm-timeout"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 60*maxConfirm {
			return protocolError("invalid confirm-timeout: "+text, "confirm-timeout")
		}
		seconds = n
	}
	c := commitRequest{
		confirmed: request.has("confirmed"),
		timeout:   time.Duration(seconds) * s.device.cfg.Minute / 60,
		timeText:  fmt.Sprintf("%d minutes", seconds/60),
	}
	if s.profile.HastyConfirm {
		c.timeout, c.timeText = time.Millisecond, "0 minutes"
	}
	return s.commit(ctx, c, w)
}

func (s *session) validate(ctx context.Context, _ *element, w *writer) error {
	return s.commit(ctx, commitRequest{check: true}, w)
}

func (s *session) commit(ctx context.Context, c commitRequest, w *writer) error {
	if s.open != nil && (c.confirmed || s.open.ephemeral && c.check) {
		return &rpcError{errorType: "protocol", tag: "operation-failed", severity: "error",
			message: "commit confirmed and commit check are not supported in this configuration mode"}
	}
	var err error
	switch {
	case s.open != nil && s.open.ephemeral:
		err = s.commitEphemeral(ctx, c)
	case s.open != nil:
		err = s.commitPrivate(ctx, c)
	default:
		err = s.commitShared(ctx, c)
	}
	if refusal, ok := asRefusal(err); ok {
		s.writeRefusal(w, refusal)
		return nil
	}
	if conflict, ok := errors.AsType[*privateConflict](err); ok {
		s.writeConflict(w, conflict)
		return nil
	}
	if err != nil {
		return err
	}
	s.writeCommitted(w, c)
	return nil
}

// refused is what faults refuse of a commit that turns before into after.
func (s *session) refused(before, after *node) error {
	var errs []*rpcError
	for _, e := range s.refusals(before, after.clone()) {
		errs = append(errs, invalid("[edit]", e.bad, e.message))
	}
	if len(errs) == 0 {
		return nil
	}
	s.device.count(func(st *Stats) { st.Refusals++ })
	return &commitRefused{errs}
}

func (s *session) commitEphemeral(ctx context.Context, c commitRequest) error {
	ws := s.open
	name := ws.instance
	if name == "" {
		name = "default"
	}
	tree := ws.tree.clone()
	if err := s.refused(ws.base, tree); err != nil {
		return err
	}
	if err := s.device.db.fits(tree); err != nil {
		return err
	}
	change := Change{Database: "ephemeral " + name, User: s.user.Name, Log: c.log, looked: s.looked}
	if err := s.device.commitEphemeral(ctx, ws.instance, change, tree); err != nil {
		return err
	}
	ws.base, ws.changes = tree, nil
	return nil
}

// commitPrivate repeats the session's changes on what is running by now.
func (s *session) commitPrivate(ctx context.Context, c commitRequest) error {
	ws, d := s.open, s.device
	if err := s.refused(ws.base, ws.tree); err != nil {
		return err
	}
	if c.check {
		return d.serialised(ctx, func() error { return d.checkStatic(ctx, ws.tree) })
	}
	if err := d.db.openable(); err != nil {
		return err
	}
	if running := d.db.running(); running != ws.base {
		// The first to commit wins; the next commit is on top of it.
		if statements := conflicts(ws.base, running, ws.tree, ""); len(statements) > 0 {
			ws.base = running
			return &privateConflict{statements}
		}
	}
	if ws.unchanged = ws.tree.equal(ws.base); ws.unchanged {
		return d.confirm(ctx)
	}
	var committed *node
	build := func() *node {
		committed = d.db.running().clone()
		for _, change := range ws.changes {
			change(committed)
		}
		return committed
	}
	change := Change{Database: "static", User: s.user.Name, Log: c.log, looked: s.looked}
	if err := d.commitStatic(ctx, change, build); err != nil {
		return err
	}
	ws.base, ws.tree, ws.changes = committed, committed.clone(), nil
	return nil
}

func (s *session) commitShared(ctx context.Context, c commitRequest) error {
	d := s.device
	if err := d.db.writable(s.id); err != nil {
		return err
	}
	if err := s.refused(d.db.running(), d.db.snapshot()); err != nil {
		return err
	}
	if c.check {
		return d.serialised(ctx, func() error {
			if err := d.checkStatic(ctx, d.db.snapshot()); err != nil {
				return err
			}
			d.hold(0, nil) // a check confirms too
			return nil
		})
	}
	change := Change{Database: "static", User: s.user.Name, Log: c.log, looked: s.looked}
	if c.confirmed {
		change.window = c.timeout
		change.Comment = "commit confirmed, rollback in " + strings.Replace(c.timeText, " minutes", "mins", 1)
	}
	return d.commitStatic(ctx, change, d.db.snapshot)
}
