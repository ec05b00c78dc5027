package junos

import (
	"context"
	"strings"
	"time"

	"lastmile/switchagent/netconf"
)

// Lines reads the committed static configuration as set commands, one a line; deactivated
// statements have a line that says so.
func (c *Client) Lines(ctx context.Context) ([]string, error) {
	var all string
	_, err := c.call(ctx, netconf.Call{
		Body: `<get-configuration database="committed" format="set"/>`, Timeout: 2 * time.Minute,
		Elements: elements{"configuration-set": func(decode func(any) error) error { return decode(&all) }},
	})
	var lines []string
	for line := range strings.Lines(all) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines, err
}

// CommitLines commits set lines to the static configuration through a private copy, which holds
// nobody else's edits. It is for an operator's commands, not for the agent.
func (c *Client) CommitLines(ctx context.Context, lines []string, log string) (Outcome, error) {
	if err := c.Unconfirmed(ctx); err != nil {
		return Refused, err
	}
	load := `<load-configuration action="set" format="text"><configuration-set>` + escape(strings.Join(lines, "\n")+"\n") +
		`</configuration-set></load-configuration>`
	return c.opened(ctx, openPrivate, func() (Outcome, error) {
		err := c.loadOpen(ctx, load)
		if err == nil {
			err = c.Unconfirmed(ctx)
		}
		if err != nil {
			return Refused, err
		}
		return c.commitOpen(ctx, "<commit-configuration><log>"+escape(log)+"</log></commit-configuration>")
	})
}
