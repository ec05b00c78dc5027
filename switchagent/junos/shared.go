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
	log     string    // of the commit that waits for Confirm
	found   string    // the log of an unconfirmed commit of an earlier session
	foundAt time.Time // when it was first seen
}

// unconfirmed begins the commit log of a commit that is to be confirmed.
const unconfirmed = Mark + " to be confirmed within "

// minutes is the unit of confirm-timeout in commit-configuration. In RFC 6241's commit it is the
// second, and some releases take minutes for it.
func (d *shared) minutes() int { return int(d.Window / time.Minute) }

// Check makes sure that unconfirmed commits can be seen: nothing is confirmed blindly.
func (d *shared) Check(ctx context.Context) error {
	if _, err := d.lastLog(ctx); err != nil {
		return fmt.Errorf("the log of commits, which database: shared needs: %w", err)
	}
	return nil
}

func (d *shared) Stanzas(ctx context.Context) ([]Stanza, error) { return d.marked(ctx) }

func (d *shared) Commit(ctx context.Context, change Change) (Outcome, error) {
	load, err := change.load(d.load)
	if err != nil {
		return Refused, err
	}
	if err := d.free(ctx); err != nil {
		return Refused, err
	}
	if _, err := d.call(ctx, netconf.Call{Body: "<lock-configuration/>"}); err != nil {
		return Refused, busy(err)
	}
	// The session makes the log unlike that of any other commit.
	log := fmt.Sprintf("%s%d minutes: %s (session %d, %s)", unconfirmed, d.minutes(),
		strings.TrimPrefix(change.summary(), Mark+" "), d.SessionID(), time.Now().UTC().Format(time.RFC3339Nano))
	confirmed := fmt.Sprintf("<confirmed/><confirm-timeout>%d</confirm-timeout>", d.minutes())
	outcome, err := d.attempt(ctx, commitment{d.Stanzas, change.From, load, d.commitBody(log, confirmed)})
	switch {
	case outcome == Applied:
		d.log = log
		return Pending, nil
	case errors.Is(err, ErrLost):
	case outcome == Unknown:
		// It may be waiting for its confirmation: only a new session looks without prejudice.
		d.session.Close()
	default:
		// Under the lock all edits in the candidate are ours.
		d.closeAfter(ctx, "<discard-changes/>", "<unlock-configuration/>")
	}
	return outcome, err
}

// free looks, before anything is locked, whether the candidate is free: an earlier commit that
// waits would be confirmed by this one, and edits of others would be committed with it.
func (d *shared) free(ctx context.Context) error {
	log, err := d.lastLog(ctx)
	if err != nil {
		return fmt.Errorf("reading the log of commits: %w", err)
	}
	if strings.HasPrefix(log, unconfirmed) {
		if log != d.found {
			d.found, d.foundAt = log, time.Now()
		}
		var minutes int
		if _, err := fmt.Sscanf(strings.TrimPrefix(log, unconfirmed), "%d", &minutes); err != nil {
			return fmt.Errorf("commit log %q: %w", log, err)
		}
		// The log stays the newest if somebody has confirmed with a commit check.
		if left := time.Duration(minutes)*time.Minute - time.Since(d.foundAt); left > 0 {
			return fmt.Errorf("%w: the switch takes it back within %s, unless somebody confirms it", ErrUnconfirmed, left.Round(time.Second))
		}
	}
	var diff text
	_, err = d.call(ctx, netconf.Call{
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

// lastLog is the log of the newest commit; "" if it has none.
func (d *shared) lastLog(ctx context.Context) (string, error) {
	var log text
	newest := true
	_, err := d.call(ctx, netconf.Call{
		Body: "<get-commit-information/>",
		Elements: elements{"commit-history": func(decode func(any) error) error {
			if !newest {
				return nil
			}
			newest = false
			var entry struct {
				Log text `xml:"log"`
			}
			err := decode(&entry)
			log = entry.Log
			return err
		}},
	})
	return string(log), err
}

// Confirm confirms the commit that waits, if it is still the newest, and gives the lock back. A
// commit that is not good is not confirmed: the switch takes it back by itself.
func (d *shared) Confirm(ctx context.Context, good bool) (Outcome, error) {
	if d.log == "" {
		return Applied, nil
	}
	log := d.log
	d.log = ""
	outcome, err := Refused, error(nil)
	if good {
		outcome, err = d.confirm(ctx, log)
	}
	switch {
	case errors.Is(err, ErrLost):
	case outcome == Unknown:
		d.session.Close()
	default:
		d.closeAfter(ctx, "<unlock-configuration/>")
	}
	return outcome, err
}

func (d *shared) confirm(ctx context.Context, log string) (Outcome, error) {
	last, err := d.lastLog(ctx)
	if err != nil {
		return Refused, err
	}
	if last != log {
		return Refused, fmt.Errorf("%w: the newest commit is %q", ErrChanged, last)
	}
	return d.commitOpen(ctx, d.commitBody(Mark+" confirmed", ""))
}
