// Package junos speaks the words of Junos over a NETCONF session: neighbour tables, sessions,
// interfaces and stanzas in, changes of one configuration database out.
//
// Replies are read by local names, as namespaces carry the release, and with blanks around values
// removed, as many releases put line feeds there. Wrappers of several routing engines are looked
// through. A table that says how long it is and is not is an error, so that what is missing from a
// result was missing on the switch.
package junos

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"lastmile/switchagent/login"
	"lastmile/switchagent/netconf"
)

// ErrLost marks errors after which the client is of no use: the session has ended.
var ErrLost = errors.New("session lost")

// ErrTruncated marks a table that is shorter or longer than it says.
var ErrTruncated = errors.New("table is not whole")

// ErrSlow marks losses of a session whose switch did not answer in time: it may only be slow.
var ErrSlow = netconf.ErrSlow

// Trace tells of one finished RPC.
type Trace struct {
	RPC      string
	Took     time.Duration
	Warnings []string // what the switch said and did it all the same
	Err      error
}

// caller is a *netconf.Session, or what stands for one.
type caller interface {
	Call(context.Context, netconf.Call) (netconf.Reply, error)
	ID() int
	lifetime
}

// lifetime is that of a session.
type lifetime interface {
	Err() error // why it is of no use; nil while it is
	Done() <-chan struct{}
	Close() error
}

// Client is one session with a switch. It is for one goroutine.
type Client struct {
	session   caller
	trace     func(Trace)
	patience  time.Duration
	keys      []string // that the switch was told, and that nobody else is
	lastTable int      // neighbours in the last table: the next is about as long
	waits     sighting // the last commit that seemed to wait for its confirmation
}

// Dial opens a session. It ends with ctx only while it dials. trace is called after each RPC.
func Dial(ctx context.Context, t login.Target, trace func(Trace)) (*Client, error) {
	session, err := netconf.Dial(ctx, t)
	if err != nil {
		return nil, err
	}
	return &Client{session: session, trace: trace}, nil
}

// SessionID is the process id of the mgd that serves the session: "show system users" and the
// message of a held lock name it.
func (c *Client) SessionID() int { return c.session.ID() }

// Done is closed when the session is lost, also while nothing is asked of it.
func (c *Client) Done() <-chan struct{} { return c.session.Done() }

// Err says why the session is lost.
func (c *Client) Err() error { return fmt.Errorf("%w: %w", ErrLost, c.session.Err()) }

// Wait lets the switch be silent for so long in an answer, and take twice as long for all of it. It is
// 15 s before. Commits have a time of their own, and the command line too.
func (c *Client) Wait(silence time.Duration) { c.patience = silence }

// Close ends the session.
func (c *Client) Close() error { return c.session.Close() }

func (c *Client) call(ctx context.Context, call netconf.Call) (netconf.Reply, error) {
	begin := time.Now()
	call.Silence = c.patience
	c.remember(call.Body)
	reply, err := c.session.Call(ctx, call)
	err = c.scrub(reply, err)
	if err != nil && c.session.Err() != nil {
		err = fmt.Errorf("%w: %w", ErrLost, err)
	}
	trace := Trace{RPC: call.Name(), Took: time.Since(begin), Err: err}
	for _, warning := range reply.Warnings {
		trace.Warnings = append(trace.Warnings, warning.Error())
	}
	c.trace(trace)
	return reply, err
}

// elements is short for the wanted elements of a reply.
type elements = map[string]netconf.Element

// text is the text of an element without the blanks that Junos pads it with.
type text string

// UnmarshalText trims.
func (t *text) UnmarshalText(b []byte) error {
	*t = text(strings.TrimSpace(string(b)))
	return nil
}

// logical is the name of a logical interface: of "irb.100 [xe-0/0/3.0]" the part that may be
// configured.
func (t text) logical() string {
	name, _, _ := strings.Cut(string(t), " ")
	return name
}

// number is 0 for what is none: nothing is concluded from it.
func (t text) number() int {
	n, err := strconv.Atoi(string(t))
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// addr reads the forms fe80::1, FE80::1, fe80::1%ge-0/0/1.0 and fe80::1%ge-0/0/1.0+50172; the
// zone is the logical interface.
func (t text) addr() (netip.Addr, bool) {
	address, _, _ := strings.Cut(string(t), "+")
	addr, err := netip.ParseAddr(address)
	return addr, err == nil
}

// linkLocal is the link-local address with the logical interface as its zone.
func (t text) linkLocal(ifl string) (netip.Addr, bool) {
	addr, ok := t.addr()
	if !ok || ifl == "" || !addr.Is6() || !addr.IsLinkLocalUnicast() {
		return netip.Addr{}, false
	}
	return addr.WithZone(ifl), true
}
