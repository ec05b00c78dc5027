package junos

import (
	"context"
	"errors"
	"time"
)

// A confirmation is a confirmed commit that waits for the next commit.
type confirmation struct {
	until  time.Time
	before *node // what is rolled back to
}

// hold notes a commit on top of before: it confirms the one that waits, or waits itself if it has a
// window. Whoever calls it has the commit slot, so that a commit and a rollback never cross.
func (d *Device) hold(window time.Duration, before *node) {
	var next *confirmation
	if window > 0 {
		next = &confirmation{time.Now().Add(window), before}
		if last := d.pending.Load(); last != nil {
			next.before = last.before // confirmed again: still the first
		}
	}
	d.pending.Store(next)
	select {
	case d.held <- struct{}{}:
	default: // it is told already that there is something new
	}
}

// confirm is a commit that changes nothing.
func (d *Device) confirm(ctx context.Context) error {
	return d.serialised(ctx, func() error {
		d.hold(0, nil)
		return nil
	})
}

// superviseConfirm rolls a confirmed commit back when nothing confirms it in
// time.
func (d *Device) superviseConfirm(ctx context.Context) error {
	for {
		var over <-chan time.Time
		pending := d.pending.Load()
		if pending != nil {
			over = time.After(time.Until(pending.until))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-d.held:
		case <-over:
			if err := d.rollBack(ctx, pending); err != nil && ctx.Err() == nil {
				d.log.Error("rolling back", "err", err)
			}
		}
	}
}

// rollBack takes a commit back, unless one was under way that has confirmed it.
func (d *Device) rollBack(ctx context.Context, c *confirmation) error {
	return d.serialised(ctx, func() error {
		if d.pending.Load() != c {
			return nil
		}
		d.log.Info("commit was not confirmed, rolling back")
		change := Change{Database: "rollback", User: "root", Diff: compare(d.db.running(), c.before)}
		err := d.install(c.before, change.User)
		d.pending.Store(nil)
		return errors.Join(err, d.activate(ctx, change))
	})
}
