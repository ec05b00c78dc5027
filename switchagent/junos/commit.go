package junos

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"lastmile/switchagent/netconf"
)

// Outcome is what became of a commit.
type Outcome int

// The outcomes.
const (
	Refused Outcome = iota // surely nothing was changed
	Applied                // the switch confirmed the commit
	Pending                // it did, and takes it back unless Confirm is called in time
	Unknown                // the answer was lost or made no sense: read the stanzas again
)

// String is the outcome in one lower-case word.
func (o Outcome) String() string {
	return [...]string{"refused", "applied", "pending", "unknown"}[o]
}

// Why a commit was refused, if it was not for what is in it.
var (
	// ErrLocked: somebody else has the database.
	ErrLocked = errors.New("configuration database is locked")
	// ErrDirty: the shared candidate has edits that somebody has not committed.
	ErrDirty = errors.New("somebody's edits are in the shared candidate")
	// ErrChanged: the database does not hold what the change was planned on, somebody has a neighbour where
	// it adds one, or a session that it would end is not down any more.
	ErrChanged = errors.New("somebody else has changed the database meanwhile")
	// ErrUnconfirmed: an earlier commit, whoever made it, waits for its confirmation, and any other
	// would confirm it.
	ErrUnconfirmed = errors.New("an earlier commit is not confirmed yet")
)

// commitTimeout is long: commits of minutes are on record.
const commitTimeout = 5 * time.Minute

// A commitment is one attempt in a database that is open or locked.
type commitment struct {
	read   func(context.Context) (bgpRead, error) // what the database holds
	change Change
	how    Load
	commit string
	free   func(context.Context) error // a late look whether a commit would do no harm; nil for none
}

// attempt looks whether the database still holds what the change was planned on, loads and commits.
// The lock makes that look the fence: whoever was stopped between plan and commit, or has a second
// agent beside it, changes nothing that it has not seen. Sessions know no lock: those that the
// change would end are looked at last, as one may have come up since the plan was made.
func (c *Client) attempt(ctx context.Context, one commitment) (Outcome, error) {
	held, err := one.read(ctx)
	if err != nil {
		return Refused, fmt.Errorf("reading again: %w", err)
	}
	if !sameStanzas(held.stanzas, one.change.From) {
		return Refused, ErrChanged
	}
	load, err := one.change.load(one.how, held.alone())
	if err != nil {
		return Refused, err
	}
	if err := c.loadOpen(ctx, load); err != nil {
		return Refused, err
	}
	if one.free != nil {
		if err := one.free(ctx); err != nil {
			return Refused, err
		}
	}
	if err := c.stillDown(ctx, one.change.ends()); err != nil {
		return Refused, err
	}
	return c.commitOpen(ctx, one.commit)
}

// ends is the peers whose sessions the change would end, and is not meant to.
func (change Change) ends() (peers []netip.Addr) {
	if change.EndSessions {
		return nil
	}
	for _, s := range change.Remove {
		peers = append(peers, s.Peer)
	}
	for _, e := range change.Edit {
		resets := func(c Command) bool { return !c.KeepsSession() }
		if slices.ContainsFunc((Change{Edit: []Edit{e}}).Commands(), resets) {
			peers = append(peers, e.To.Peer)
		}
	}
	return peers
}

// stillDown is an error unless each of the peers' sessions is surely down, or not listed. Where none is
// listed at all the routing daemon has just started, or is about to stop, and nothing is known.
func (c *Client) stillDown(ctx context.Context, peers []netip.Addr) error {
	if len(peers) == 0 {
		return nil
	}
	sessions, err := c.Sessions(ctx)
	if err != nil {
		return fmt.Errorf("reading the sessions again: %w", err)
	}
	if len(sessions) == 0 {
		return fmt.Errorf("%w: the switch lists no session by now, so whose is up is not known", ErrChanged)
	}
	for _, s := range sessions {
		if !s.Down() && slices.ContainsFunc(peers, func(p netip.Addr) bool { return isPeer(s.Peer, p) }) {
			return fmt.Errorf("%w: the session with %s is %s by now", ErrChanged, s.Peer, s.State)
		}
	}
	return nil
}

// isPeer says whether a peer that is listed, perhaps without its interface, is the one.
func isPeer(listed, peer netip.Addr) bool {
	return listed.WithZone("") == peer.WithZone("") && (listed.Zone() == "" || listed.Zone() == peer.Zone())
}

// openPrivate opens a private copy of the static configuration, openEphemeral an instance, which it locks.
const openPrivate = "<open-configuration><private/></open-configuration>"

func openEphemeral(instance string) string {
	return "<open-configuration><ephemeral-instance>" + escape(instance) + "</ephemeral-instance></open-configuration>"
}

// opened does work in what is opened for it, and closes that.
func (c *Client) opened(ctx context.Context, open string, work func() (Outcome, error)) (Outcome, error) {
	if _, err := c.call(ctx, netconf.Call{Body: open}); err != nil {
		return Refused, busy(err)
	}
	outcome, err := work()
	if !errors.Is(err, ErrLost) {
		c.closeAfter(ctx, "<close-configuration/>")
	}
	return outcome, err
}

// loadOpen loads into what is open or locked.
func (c *Client) loadOpen(ctx context.Context, load string) error {
	reply, err := c.call(ctx, netconf.Call{Body: load})
	if err != nil {
		return busy(err)
	}
	if !reply.OK && len(reply.Warnings) == 0 {
		return errors.New("load-configuration: the switch confirmed nothing")
	}
	return nil
}

// commitOpen commits what is open or locked.
func (c *Client) commitOpen(ctx context.Context, body string) (Outcome, error) {
	reply, err := c.call(ctx, netconf.Call{Body: body, Timeout: commitTimeout, Slow: true})
	switch {
	case errors.Is(err, ErrLost):
		return Unknown, err
	case err != nil:
		return Refused, busy(err)
	case !reply.OK:
		return Unknown, errors.New("commit-configuration: the switch confirmed nothing")
	}
	return Applied, nil
}

// closeAfter closes what was opened. An error of it changes nothing about a commit, but the database
// would stay open and locked, with what was loaded in it: it ends with the session, and the
// next call says so.
func (c *Client) closeAfter(ctx context.Context, bodies ...string) {
	for _, body := range bodies {
		if _, err := c.call(ctx, netconf.Call{Body: body}); err != nil {
			c.session.Close()
			return
		}
	}
}

// sameStanzas says whether both are the same stanzas in any order.
func sameStanzas(a, b []Stanza) bool {
	if len(a) != len(b) {
		return false
	}
	at := make(map[Place]Stanza, len(a))
	for _, s := range a {
		at[s.Place()] = s
	}
	return !slices.ContainsFunc(b, func(s Stanza) bool {
		other, there := at[s.Place()]
		return !there || !s.Same(other)
	})
}

// busy marks the refusals that mean that somebody else is at work: texts and tags differ by
// release.
func busy(err error) error {
	var refused *netconf.ReplyError
	if !errors.As(err, &refused) {
		return err
	}
	for _, e := range refused.Errors {
		message := strings.ToLower(e.Message)
		switch {
		case strings.Contains(message, "database modified"):
			return fmt.Errorf("%w: %w", ErrDirty, err)
		case e.Tag == "lock-denied", strings.Contains(message, "locked by"), strings.Contains(message, "lock-configuration failed"):
			return fmt.Errorf("%w: %w", ErrLocked, err)
		}
	}
	return err
}
