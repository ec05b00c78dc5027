package junos

import (
	"context"
	"errors"
	"slices"
	"strings"

	"lastmile/switchagent/netconf"
)

// CommitLines commits set lines to the static configuration through a private copy, which holds
// nobody else's edits. It is for an operator's commands, not for the agent.
func (c *Client) CommitLines(ctx context.Context, lines []string, log string) (Outcome, error) {
	if err := c.Unconfirmed(ctx); err != nil {
		return Refused, err
	}
	if _, err := c.call(ctx, netconf.Call{Body: "<open-configuration><private/></open-configuration>"}); err != nil {
		return Refused, busy(err)
	}
	load := `<load-configuration action="set" format="text"><configuration-set>` + escape(strings.Join(lines, "\n")+"\n") +
		`</configuration-set></load-configuration>`
	outcome, err := c.commitLoad(ctx, load, "<commit-configuration><log>"+escape(log)+"</log></commit-configuration>")
	if !errors.Is(err, ErrLost) {
		c.closeAfter(ctx, "<close-configuration/>")
	}
	return outcome, err
}

func (c *Client) commitLoad(ctx context.Context, load, commit string) (Outcome, error) {
	reply, err := c.call(ctx, netconf.Call{Body: load})
	if err != nil {
		return Refused, busy(err)
	}
	if !reply.OK && len(reply.Warnings) == 0 {
		return Refused, errors.New("load-configuration: the switch confirmed nothing")
	}
	if err := c.Unconfirmed(ctx); err != nil {
		return Refused, err
	}
	return c.commitOpen(ctx, commit)
}

// PhysicalInterfaces reads the names of the physical interfaces, in order.
func (c *Client) PhysicalInterfaces(ctx context.Context) ([]string, error) {
	var names []string
	_, err := c.call(ctx, netconf.Call{Body: "<get-interface-information><terse/></get-interface-information>", Elements: elements{
		"physical-interface": func(decode func(any) error) error {
			var ifd struct {
				Name text `xml:"name"`
			}
			err := decode(&ifd)
			names = append(names, string(ifd.Name))
			return err
		},
	}})
	slices.Sort(names)
	return slices.Compact(names), err
}
