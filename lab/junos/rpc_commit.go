package junos

import (
	"context"
	"fmt"
	"strconv"
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
	return s.commit(ctx, commitRequest{
		confirmed: request.has("confirmed"),
		timeout:   time.Duration(seconds) * s.device.cfg.Minute / 60,
		timeText:  fmt.Sprintf("%d minutes", seconds/60),
	}, w)
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
	if err != nil {
		return err
	}
	s.writeCommitted(w, c)
	return nil
}

func (s *session) commitEphemeral(ctx context.Context, c commitRequest) error {
	ws := s.open
	name := ws.instance
	if name == "" {
		name = "default"
	}
	tree := ws.tree.clone()
	change := Change{Database: "ephemeral " + name, User: s.user.Name, Log: c.log}
	if err := s.device.commitEphemeral(ctx, ws.instance, change, tree); err != nil {
		return err
	}
	ws.base, ws.changes = tree, nil
	return nil
}

// commitPrivate repeats the session's changes on what is running by now.
func (s *session) commitPrivate(ctx context.Context, c commitRequest) error {
	ws, d := s.open, s.device
	if c.check {
		return d.serialised(ctx, func() error { return d.checkStatic(ctx, ws.tree) })
	}
	if err := d.db.openable(); err != nil {
		return err
	}
	var committed *node
	build := func() *node {
		committed = d.db.running().clone()
		for _, change := range ws.changes {
			change(committed)
		}
		return committed
	}
	change := Change{Database: "static", User: s.user.Name, Log: c.log}
	if err := d.commitStatic(ctx, change, build); err != nil {
		return err
	}
	ws.base, ws.tree, ws.changes = committed, committed.clone(), nil
	return d.announce(ctx, nil)
}

func (s *session) commitShared(ctx context.Context, c commitRequest) error {
	d := s.device
	if err := d.db.writable(s.id); err != nil {
		return err
	}
	if c.check {
		if err := d.serialised(ctx, func() error { return d.checkStatic(ctx, d.db.snapshot()) }); err != nil {
			return err
		}
		return d.announce(ctx, nil) // a check confirms too
	}
	before := d.db.running()
	change := Change{Database: "static", User: s.user.Name, Log: c.log}
	if err := d.commitStatic(ctx, change, d.db.snapshot); err != nil {
		return err
	}
	if c.confirmed {
		return d.announce(ctx, &confirmation{timeout: c.timeout, before: before})
	}
	return d.announce(ctx, nil)
}

// writeRefusal writes what a failed check found.
func (s *session) writeRefusal(w *writer, refusal *commitRefused) {
	if !s.compliant {
		w.open("commit-results")
		defer w.close()
	}
	for _, e := range refusal.errs {
		w.rpcError(e)
	}
	w.rpcError(&rpcError{errorType: "protocol", tag: "operation-failed", severity: "error", message: refusal.Error()})
}

func (s *session) writeCommitted(w *writer, c commitRequest) {
	netconf := s.device.db.running().at("system", "services", "netconf")
	if !s.compliant && !netconf.has("flatten-commit-results") && (s.open == nil || !s.open.ephemeral) {
		w.open("commit-results")
		w.open("routing-engine", "junos:style", "normal")
		w.leaf("name", "re0")
		if c.check {
			w.empty("commit-check-success")
		} else {
			w.empty("commit-success")
		}
		if c.confirmed {
			w.leaf("output", "commit confirmed will be automatically rolled back in "+c.timeText+" unless confirmed")
		}
		w.close()
		w.close()
	}
	w.empty("ok")
}
