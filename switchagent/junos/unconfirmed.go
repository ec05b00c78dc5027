package junos

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// commitsAreSeen says whether unconfirmed commits can be seen: nothing is confirmed blindly.
func (c *Client) commitsAreSeen(ctx context.Context) error {
	if _, err := c.newest(ctx); err != nil {
		return fmt.Errorf("the log of commits, without which somebody's unconfirmed commit would be confirmed: %w", err)
	}
	return nil
}

// takingBack is how long a switch may take for a rollback after its time has come: it is a commit.
const takingBack = time.Minute

// within is the time that an unconfirmed commit has, in Junos' comment and in the agent's log.
var within = regexp.MustCompile(`(?:rollback in|to be confirmed within) (\d+) ?min`)

// Unconfirmed is ErrUnconfirmed while the newest commit of the static configuration waits for a
// confirmation: any commit would be one, and the switch would not take it back. Whose it is makes no
// difference.
func (c *Client) Unconfirmed(ctx context.Context) error {
	n, err := c.newest(ctx)
	if err != nil {
		return fmt.Errorf("reading the log of commits: %w", err)
	}
	comment, log := string(n.Comment), string(n.Log)
	if n.Waits == "" && !strings.Contains(comment, "commit confirmed") && !strings.HasPrefix(log, unconfirmed) {
		return nil
	}
	what := fmt.Errorf("%w: that of %s, %q", ErrUnconfirmed, n.User, strings.TrimSpace(comment+" "+log))
	minutes := within.FindStringSubmatch(comment + " " + log)
	if n.Waits != "" || minutes == nil {
		return what
	}
	long, err := strconv.Atoi(minutes[1])
	if err != nil {
		return what
	}
	if left := c.left(ctx, n, time.Duration(long)*time.Minute+takingBack); left > 0 {
		return fmt.Errorf("%w: the switch takes it back within %s, unless somebody confirms it", what, left.Round(time.Second))
	}
	return nil
}

// A sighting is a commit that may wait for its confirmation, and when this session saw it first.
type sighting struct {
	commit committed
	at     time.Time
}

// left is for how long a commit may still be taken back that had so long. The comment stays if a commit check has
// confirmed it, which is no commit, or a boot has ended it: then it is over when its time is. That is told by the switch's
// clock, and at the latest by ours: the switch's may not be known, or have been set back.
func (c *Client) left(ctx context.Context, n committed, long time.Duration) time.Duration {
	if !n.is(c.waits.commit) {
		c.waits = sighting{n, time.Now()}
	}
	left := long - time.Since(c.waits.at)
	at, err := strconv.ParseInt(n.At.Seconds, 10, 64)
	if err != nil {
		return left
	}
	if now, err := c.Clock(ctx); err == nil && !now.IsZero() {
		left = min(left, time.Unix(at, 0).Add(long).Sub(now))
	}
	return left
}
