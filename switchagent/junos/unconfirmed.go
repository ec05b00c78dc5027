package junos

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"lastmile/switchagent/netconf"
)

// newest is the newest commit of the static configuration, as "show system commit" has it.
type newest struct {
	user, log string
	comment   string    // Junos' own: "commit confirmed, rollback in 10mins". It stays when it was confirmed.
	pending   bool      // newer releases say, as long as it is so, that it waits
	at        time.Time // on the switch's clock; zero if it does not tell
}

// newestCommit reads it. A switch that has no commits has the zero one.
func (c *Client) newestCommit(ctx context.Context) (n newest, err error) {
	first := true
	_, err = c.call(ctx, netconf.Call{
		Body: "<get-commit-information/>",
		Elements: elements{"commit-history": func(decode func(any) error) error {
			if !first {
				return nil
			}
			first = false
			var entry struct {
				User    text `xml:"user"`
				Log     text `xml:"log"`
				Comment text `xml:"comment"`
				Waits   text `xml:"commit-confirmed"`
				Date    struct {
					Seconds string `xml:"seconds,attr"`
				} `xml:"date-time"`
			}
			err := decode(&entry)
			n = newest{user: string(entry.User), log: string(entry.Log), comment: string(entry.Comment), pending: entry.Waits != ""}
			if s, parseErr := strconv.ParseInt(entry.Date.Seconds, 10, 64); parseErr == nil {
				n.at = time.Unix(s, 0)
			}
			return err
		}},
	})
	return n, err
}

// commitsAreSeen says whether unconfirmed commits can be seen: nothing is confirmed blindly.
func (c *Client) commitsAreSeen(ctx context.Context) error {
	if _, err := c.newestCommit(ctx); err != nil {
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
	n, err := c.newestCommit(ctx)
	if err != nil {
		return fmt.Errorf("reading the log of commits: %w", err)
	}
	if !n.pending && !strings.Contains(n.comment, "commit confirmed") && !strings.HasPrefix(n.log, unconfirmed) {
		return nil
	}
	what := fmt.Errorf("%w: that of %s, %q", ErrUnconfirmed, n.user, strings.TrimSpace(n.comment+" "+n.log))
	minutes := within.FindStringSubmatch(n.comment + " " + n.log)
	if n.pending || minutes == nil || n.at.IsZero() {
		return what
	}
	// The comment stays if a commit check has confirmed it, which is no commit. Then it is over
	// when its time is.
	now, err := c.Clock(ctx)
	if err != nil || now.IsZero() {
		return what
	}
	long, err := strconv.Atoi(minutes[1])
	if err != nil {
		return what
	}
	if left := n.at.Add(time.Duration(long)*time.Minute + takingBack).Sub(now); left > 0 {
		return fmt.Errorf("%w: the switch takes it back within %s, unless somebody confirms it", what, left.Round(time.Second))
	}
	return nil
}
