package junos

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// A Database is where stanzas are committed: a configuration database of the switch, and the rules
// for leaving what is others' in it alone.
type Database interface {
	// Check says whether the switch has it, and what it can do is enough.
	Check(context.Context) error
	// Stanzas reads the committed neighbours that may be altered: those that are the agent's.
	Stanzas(context.Context) ([]Stanza, error)
	// Commit makes one change. The error is nil if and only if the outcome is Applied or Pending, but for
	// ErrBeside and the losses after an Applied commit. No lock of somebody else is ever taken away, and no
	// edit of somebody else committed or discarded.
	Commit(context.Context, Change) (Outcome, error)
}

// A Confirmer is a Database whose commits are Pending. Those of kind Shared are: private and ephemeral databases have
// no unconfirmed commits ("commit confirmed" is not supported there).
type Confirmer interface {
	// Confirm ends what a Pending commit has begun, or one with an Unknown outcome whose stanzas are
	// there: for good, or by leaving it to the switch to take it back. One that was confirmed before stays
	// Applied in either case.
	Confirm(ctx context.Context, change Change, good bool) (Outcome, error)
}

var _ Confirmer = (*shared)(nil)

// Kind is a kind of Database.
type Kind string

// The kinds.
const (
	Ephemeral Kind = "ephemeral" // an instance of the agent's own
	Private   Kind = "private"   // a private copy of the static configuration
	Shared    Kind = "shared"    // the shared candidate, locked, with a commit that must be confirmed
)

// Options is which database, and how.
type Options struct {
	Kind     Kind
	Instance string        // Ephemeral
	Window   time.Duration // Shared: whole minutes after which the switch takes an unconfirmed commit back
	Load     Load          // empty: what the release takes
	// Synchronize commits on both routing engines.
	Synchronize bool
	// Others are other agents on the switch: of Private databases, which lock nobody out, a commit beside
	// another's is told.
	Others bool
}

// Database is a database of a switch of the release. That the release cannot do what is asked for
// is an error.
func (c *Client) Database(o Options, r Release) (Database, error) {
	load, err := r.load(o.Load)
	if err != nil {
		return nil, err
	}
	if load == LoadUpdate && o.Kind != Ephemeral {
		return nil, fmt.Errorf("load: update sends all that a database is to hold: it is not for database: %s, which holds others' statements", o.Kind)
	}
	base := database{c, o, load}
	switch o.Kind {
	case Ephemeral:
		return ephemeral{base}, nil
	case Private:
		return private{base}, nil
	case Shared:
		return &shared{database: base}, nil
	}
	return nil, fmt.Errorf("database %q is unknown", o.Kind)
}

type database struct {
	*Client
	Options
	load Load
}

// commitBody is the operation with what all kinds have in common. The log is what "show system
// commit" shows; an ephemeral database keeps none.
func (d database) commitBody(log, more string) string {
	if d.Synchronize {
		more += "<synchronize/>"
	}
	if log != "" {
		more += "<log>" + escape(log) + "</log>"
	}
	if more == "" {
		return "<commit-configuration/>"
	}
	return "<commit-configuration>" + more + "</commit-configuration>"
}

// unclaimed is a late look whether somebody has given the static configuration a neighbour, since the plan was made,
// where one is to be added, or with the same peer: its statement would be changed, and its session ended.
func (d database) unclaimed(ctx context.Context, added []Stanza) error {
	if len(added) == 0 {
		return nil
	}
	static, err := d.Static(ctx)
	if err != nil {
		return fmt.Errorf("reading others' neighbours again: %w", err)
	}
	theirs, places := static.Stanzas, static.Places
	if d.Kind != Ephemeral {
		theirs, places = static.Foreign()
	}
	for _, s := range added {
		if places[s.Place()] || slices.ContainsFunc(theirs, func(other Stanza) bool { return isPeer(other.Peer, s.Peer) }) {
			return fmt.Errorf("%w: the static configuration has a neighbour %s by now", ErrChanged, s.name())
		}
	}
	return nil
}

// ephemeral is an ephemeral instance that is the agent's own. Opening it locks it.
type ephemeral struct{ database }

func (d ephemeral) Check(ctx context.Context) error { return d.CheckInstance(ctx, d.Instance) }

func (d ephemeral) Stanzas(ctx context.Context) ([]Stanza, error) {
	read, err := d.committedInstance(ctx, d.Instance)
	return read.stanzas, err
}

// held reads the instance under its lock.
func (d ephemeral) held(ctx context.Context) (bgpRead, error) {
	return d.readInstance(ctx, d.Instance, showOpen)
}

func (d ephemeral) Commit(ctx context.Context, change Change) (Outcome, error) {
	if err := change.Validate(); err != nil {
		return Refused, err
	}
	if err := d.Check(ctx); err != nil {
		return Refused, err
	}
	// Where the instance is open only the instance can be read, see showInstance.
	if err := d.unclaimed(ctx, change.Add); err != nil {
		return Refused, err
	}
	return d.opened(ctx, openEphemeral(d.Instance), func() (Outcome, error) {
		return d.attempt(ctx, commitment{read: d.held, change: change, how: d.load, commit: d.commitBody("", "")})
	})
}

// private is a private copy of the static configuration: what is loaded there is in nobody else's
// commit, and the commit has nobody else's edits.
type private struct{ database }

func (d private) Check(ctx context.Context) error {
	_, err := d.Stanzas(ctx)
	if err == nil {
		err = d.commitsAreSeen(ctx)
	}
	return err
}

func (d private) Commit(ctx context.Context, change Change) (Outcome, error) {
	if err := change.Validate(); err != nil {
		return Refused, err
	}
	if err := d.Unconfirmed(ctx); err != nil {
		return Refused, err
	}
	log := fmt.Sprintf("%s (%s)", change.summary(), change.Label)
	var before committed
	// The switch refuses to open one while the shared candidate is locked or has edits.
	outcome, err := d.opened(ctx, openPrivate, func() (_ Outcome, err error) {
		if before, err = d.newestBeside(ctx); err != nil {
			return Refused, err
		}
		// Nothing keeps others from a commit of their own meanwhile, so that is looked at late once more.
		one := commitment{read: d.marked, change: change, how: d.load, commit: d.commitBody(log, ""), free: d.stillFree(change)}
		return d.attempt(ctx, one)
	})
	if outcome == Applied && d.Others {
		err = d.beside(ctx, log, before)
	}
	return outcome, err
}

// stillFree is a late look, for want of a lock, whether somebody has changed the database since, or waits for a
// confirmation. What is left between it and the commit the switch itself only sees in the same statement.
func (d private) stillFree(change Change) func(context.Context) error {
	return func(ctx context.Context) error {
		held, err := d.marked(ctx)
		if err != nil {
			return fmt.Errorf("reading once more: %w", err)
		}
		if !sameStanzas(held.stanzas, change.From) {
			return ErrChanged
		}
		if err := d.Unconfirmed(ctx); err != nil {
			return err
		}
		return d.unclaimed(ctx, change.Add)
	}
}

// newestBeside is the newest commit, where it matters.
func (d private) newestBeside(ctx context.Context) (committed, error) {
	if !d.Others {
		return committed{}, nil
	}
	return d.newest(ctx)
}

// marked reads the neighbours of the static configuration that carry the agent's mark. One that an
// operator has deactivated, or whose description is another by now, is not the agent's any more.
func (d database) marked(ctx context.Context) (bgpRead, error) {
	read, err := d.readBGP(ctx, `<get-configuration database="committed" format="xml"><configuration><policy-options/><protocols><bgp/></protocols></configuration></get-configuration>`)
	read.stanzas = read.marked
	return read, err
}

// Stanzas of databases that others use too.
func (d database) Stanzas(ctx context.Context) ([]Stanza, error) {
	read, err := d.marked(ctx)
	return read.stanzas, err
}
