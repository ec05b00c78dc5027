package junos

import (
	"context"
	"errors"
	"time"
)

// A confirmation is a confirmed commit that waits for the next commit.
type confirmation struct {
	timeout time.Duration
	before  *node // what is rolled back to
}

// superviseConfirm rolls a confirmed commit back when nothing confirms it in
// time. A nil confirmation confirms.
func (d *Device) superviseConfirm(ctx context.Context) error {
	timer := time.NewTimer(0)
	<-timer.C
	defer timer.Stop()
	var pending *confirmation
	for {
		select {
		case <-ctx.Done():
			return nil
		case next := <-d.confirm:
			timer.Stop()
			if next != nil {
				if pending != nil {
					next.before = pending.before // confirmed again: still the first
				}
				timer.Reset(next.timeout)
			}
			pending = next
		case <-timer.C:
			before := pending.before
			pending = nil
			d.awaiting.Store(false)
			d.log.Info("commit was not confirmed, rolling back")
			err := d.serialised(ctx, func() error {
				c := Change{Database: "rollback", User: "root", Diff: compare(d.db.running(), before)}
				return errors.Join(d.install(before, c.User), d.activate(ctx, c))
			})
			if err != nil && ctx.Err() == nil {
				d.log.Error("rolling back", "err", err)
			}
		}
	}
}

// announce tells superviseConfirm of a commit.
func (d *Device) announce(ctx context.Context, c *confirmation) error {
	select {
	case d.confirm <- c:
		d.awaiting.Store(c != nil)
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
