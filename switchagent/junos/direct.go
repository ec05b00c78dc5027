package junos

import (
	"context"
	"strings"

	"lastmile/switchagent/netconf"
)

// Direct is a client without a wire: answer returns the whole reply to an operation. It is for what
// simulates a switch in the same process.
func Direct(answer func(ctx context.Context, operation string) (reply string, err error)) *Client {
	return &Client{session: direct(answer), trace: func(Trace) {}}
}

type direct func(context.Context, string) (string, error)

func (d direct) Call(ctx context.Context, c netconf.Call) (netconf.Reply, error) {
	text, err := d(ctx, c.Body)
	if err != nil {
		return netconf.Reply{}, err
	}
	return c.ReadReply(strings.NewReader(text), "")
}

func (direct) ID() int               { return 0 }
func (direct) Err() error            { return nil }
func (direct) Done() <-chan struct{} { return nil }
func (direct) Close() error          { return nil }
