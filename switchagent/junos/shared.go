package junos

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"lastmile/switchagent/netconf"
)

// shared is the shared candidate. It is changed only under a lock, which the switch gives only
// while the candidate has nobody's edits, and only with a commit that the switch takes back unless
// it is confirmed. The lock is kept until then, because anybody's commit would confirm ours.
type shared struct {
	database
	locked bool // by this session, for a commit that waits for Confirm
}

// unconfirmed begins the commit log of a commit that is to be confirmed.
const unconfirmed = Mark + " to be confirmed within "

// trialLog is that of the commit of a change, and confirmLog that of its confirmation. By them any
// later session knows the one and the other.
func (d *shared) trialLog(change Change) string {
	return fmt.Sprintf("%s%d minutes: %s (%s)", unconfirmed, d.minutes(), strings.TrimPrefix(change.summary(), Mark+" "), change.Label)
}

func confirmLog(change Change) string { return fmt.Sprintf("%s confirmed (%s)", Mark, change.Label) }

// minutes is the unit of confirm-timeout in commit-configuration. In RFC 6241's commit it is the
// second, and some releases take minutes for it.
func (d *shared) minutes() int { return int(d.Window / time.Minute) }

// Check makes sure that unconfirmed commits can be seen: nothing is confirmed blindly.
func (d *shared) Check(ctx context.Context) error { return d.commitsAreSeen(ctx) }

func (d *shared) Commit(ctx context.Context, change Change) (Outcome, error) {
	if err := change.Validate(); err != nil {
		return Refused, err
	}
	if err := d.free(ctx); err != nil {
		return Refused, err
	}
	if _, err := d.call(ctx, netconf.Call{Body: "<lock-configuration/>"}); err != nil {
		return Refused, busy(err)
	}
	outcome, err := Refused, d.Unconfirmed(ctx) // from now on nobody else commits
	if err == nil {
		confirmed := fmt.Sprintf("<confirmed/><confirm-timeout>%d</confirm-timeout>", d.minutes())
		one := commitment{read: d.marked, change: change, how: d.load, commit: d.commitBody(d.trialLog(change), confirmed)}
		one.free = func(ctx context.Context) error { return d.unclaimed(ctx, change.Add) }
		outcome, err = d.attempt(ctx, one)
	}
	switch {
	case outcome == Applied:
		d.locked = true
		return Pending, nil
	case errors.Is(err, ErrLost):
	case outcome == Unknown:
		d.session.Close() // a new session looks without prejudice
	default:
		// Under the lock all edits in the candidate are ours.
		d.closeAfter(ctx, "<discard-changes/>", "<unlock-configuration/>")
	}
	return outcome, err
}

// free looks, before anything is locked, whether the candidate is free: an earlier commit that
// waits would be confirmed by this one, and edits of others would be committed with it.
func (d *shared) free(ctx context.Context) error {
	if err := d.Unconfirmed(ctx); err != nil {
		return err
	}
	return d.clean(ctx)
}

// clean looks whether the candidate has edits that are not committed.
func (d *shared) clean(ctx context.Context) error {
	var diff text
	_, err := d.call(ctx, netconf.Call{
		Body: `<get-configuration compare="rollback" rollback="0" format="text"/>`,
		Elements: elements{"configuration-output": func(decode func(any) error) error {
			return decode(&diff)
		}},
	})
	if err == nil && diff != "" {
		err = ErrDirty
	}
	return err
}

// Confirm confirms the commit of a change, if it is still the newest, and gives the lock back. It may
// be another session that does so than that which committed. A commit that is not good is not
// confirmed: the switch takes it back by itself.
func (d *shared) Confirm(ctx context.Context, change Change, good bool) (Outcome, error) {
	outcome, err := Refused, error(nil)
	if good {
		outcome, err = d.confirm(ctx, change)
	} else {
		outcome, err = d.standing(ctx, change)
	}
	switch {
	case errors.Is(err, ErrLost):
	case outcome == Unknown:
		d.session.Close()
	case d.locked:
		d.locked = false
		d.closeAfter(ctx, "<unlock-configuration/>")
	}
	return outcome, err
}

// standing is Applied if the commit of a change was confirmed before, and only the answer was lost.
func (d *shared) standing(ctx context.Context, change Change) (Outcome, error) {
	newest, err := d.newest(ctx)
	if err == nil && string(newest.Log) == confirmLog(change) {
		return Applied, nil
	}
	return Refused, err
}

func (d *shared) confirm(ctx context.Context, change Change) (Outcome, error) {
	if done, err := d.newestIs(ctx, change); err != nil {
		return Refused, err
	} else if done {
		return Applied, nil
	}
	if !d.locked {
		if err := d.clean(ctx); err != nil {
			return Refused, err
		}
		if _, err := d.call(ctx, netconf.Call{Body: "<lock-configuration/>"}); err != nil {
			return Refused, busy(err)
		}
		d.locked = true
		// What was seen before the lock may be over: the next commit would confirm somebody else's.
		if done, err := d.newestIs(ctx, change); err != nil {
			return Refused, err
		} else if done {
			return Applied, nil
		}
	}
	return d.commitOpen(ctx, d.commitBody(confirmLog(change), ""))
}

// newestIs looks whether the newest commit is that of the change, or even its confirmation, whose
// answer was lost. Any other is an error.
func (d *shared) newestIs(ctx context.Context, change Change) (done bool, err error) {
	newest, err := d.newest(ctx)
	switch {
	case err != nil:
		return false, err
	case string(newest.Log) == confirmLog(change):
		return true, nil
	case string(newest.Log) != d.trialLog(change):
		return false, fmt.Errorf("%w: the newest commit is %q", ErrChanged, newest.Log)
	}
	return false, nil
}
