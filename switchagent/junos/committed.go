package junos

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"lastmile/switchagent/netconf"
)

// ErrBeside comes with an Applied commit: another agent has committed after this one had looked what
// there is to change, and before its own commit.
var ErrBeside = errors.New("another agent has committed beside this one")

// committed is an entry of the list of commits of the static configuration.
type committed struct {
	User text   `xml:"user"`
	At   moment `xml:"date-time"`
	Log  text   `xml:"log"`
	// Comment is Junos' own: "commit confirmed, rollback in 10mins". It stays when it was confirmed.
	Comment text `xml:"comment"`
	// Waits is there, in newer releases, as long as the commit waits for its confirmation.
	Waits text `xml:"commit-confirmed"`
}

// moment is a time as it is shown, and in seconds since 1970 where the release tells.
type moment struct {
	Text    text   `xml:",chardata"`
	Seconds string `xml:"seconds,attr"` // on the switch's clock
}

// is says whether both are the same commit.
func (c committed) is(other committed) bool { return c.At == other.At && c.Log == other.Log }

// commits is the list that "show system commit" shows, newest first.
func (c *Client) commits(ctx context.Context) (all []committed, err error) {
	_, err = c.call(ctx, netconf.Call{
		Body: "<get-commit-information/>",
		Elements: elements{"commit-history": func(decode func(any) error) error {
			var one committed
			err := decode(&one)
			all = append(all, one)
			return err
		}},
	})
	return all, err
}

// newest is the newest commit, the zero one if there is none.
func (c *Client) newest(ctx context.Context) (committed, error) {
	all, err := c.commits(ctx)
	if err != nil || len(all) == 0 {
		return committed{}, err
	}
	return all[0], nil
}

// beside is ErrBeside if between the commit with the log and the one that was the newest before there is
// another with the agents' mark. Of two that commit beside each other, only the later finds the
// other: the switch makes one commit at a time.
func (c *Client) beside(ctx context.Context, log string, before committed) error {
	all, err := c.commits(ctx)
	if err != nil {
		return fmt.Errorf("the log of commits: %w", err)
	}
	ours := false
	for _, one := range all {
		switch {
		case one.is(before):
			return nil
		case string(one.Log) == log:
			ours = true
		case ours && strings.HasPrefix(string(one.Log), Mark+" "):
			return fmt.Errorf("%w: %s", ErrBeside, one.Log)
		}
	}
	return nil
}
