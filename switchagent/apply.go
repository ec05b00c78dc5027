package switchagent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"lastmile/switchagent/junos"
)

// Report hears what Apply and Rollback do.
type Report interface {
	// Planned is told what is committed next, or once that there is nothing.
	Planned(Preview)
	// Ended is told what became of it: applied, refused, pending (on trial) or unknown (the answer was
	// lost). After the last two it is told once more.
	Ended(outcome string, err error)
}

type silence struct{}

func (silence) Planned(Preview)     {}
func (silence) Ended(string, error) {}

// ErrRemains says that a part of what is wanted is not on the leaf, and nothing went wrong.
var ErrRemains = errors.New("something remains")

const (
	// roundEvery is the time between two looks of Apply.
	roundEvery = time.Second
	// mostTries is how often Apply begins anew when somebody was faster, an answer was lost or a poll failed.
	mostTries = 3
	// searchFor is how long a leaf is dialled whose answer to a commit was lost.
	searchFor = 2 * time.Minute
	// lastLook is how long it is when the person has already gone.
	lastLook = 10 * time.Second
)

// errand is one Apply or Rollback. The engine is the daemon's; the errand watches it, and knows when there is
// no more to do.
type errand struct {
	*Operation
	leaf    leaf
	seen    tables
	last    plan // of the newest poll
	rounds  int  // commits
	made    int  // of them, those that are in effect
	tried   bool // one in this poll
	blind   bool // this poll was of a trial, and has planned nothing
	retries int
	again   bool  // the newest was not made, and nothing is wrong with it
	content bool  // the newest was refused for what is in it
	err     error // of the newest
}

func (e *errand) looked(seen tables, p plan) {
	e.seen, e.last, e.blind = seen, p, e.agent.trial != nil
}

func (e *errand) planned(p plan) {
	e.rounds++
	e.tried = true
	e.report.Planned(e.preview(e.seen, p))
}

func (e *errand) ended(outcome junos.Outcome, err error) {
	e.again = errors.Is(err, junos.ErrChanged) || errors.Is(err, errNotInEffect) || outcome == junos.Unknown
	_, general := junos.Blame(err, nil)
	if outcome == junos.Applied {
		e.made++
	}
	e.err, e.content = err, outcome == junos.Refused && !general
	if e.again && outcome != junos.Unknown {
		e.retries++
	}
	e.report.Ended(outcome.String(), err)
}

// start opens a session for an errand, which is to be closed.
func (o *Operation) start(ctx context.Context) (*errand, error) {
	e := &errand{Operation: o}
	o.agent.audience = e
	l, err := o.agent.dial(ctx)
	if err != nil {
		return nil, err
	}
	e.leaf = l
	return e, nil
}

func (e *errand) close() {
	e.agent.audience = nobody{}
	e.leaf.Close()
}

// Apply does what the daemon would do now, and returns when the leaf holds it: each commit is told right
// before it is made, and it is that very plan which is made under the guards. What the leaf refuses one
// neighbour for does not keep the others from theirs. In the shared candidate the commit is one that
// must be confirmed: it is confirmed when the sessions are as they should be. If ctx ends before, the
// leaf takes it back by itself. ErrRemains says that not all is there, and why.
func (o *Operation) Apply(ctx context.Context) error {
	if err := o.agent.refreshStock(ctx); err != nil {
		return err
	}
	e, err := o.start(ctx)
	if err != nil {
		return err
	}
	defer e.close()
	if _, err := o.look(ctx, e.leaf); err != nil {
		return err
	}
	for {
		e.tried = false
		_, err := o.agent.poll(ctx, e.leaf)
		if ctx.Err() != nil {
			return e.interrupted(ctx)
		}
		done, err := e.decide(ctx, err)
		if err == nil && done {
			return e.finish(ctx)
		}
		if err != nil {
			return err
		}
		e.pause(ctx)
	}
}

func (e *errand) pause(ctx context.Context) {
	select {
	case <-time.After(min(roundEvery, e.agent.cfg.PollInterval)):
	case <-ctx.Done():
	}
}

// decide says after a poll whether all is done, or why no more can be.
func (e *errand) decide(ctx context.Context, err error) (done bool, _ error) {
	a := e.agent
	commit, waits := a.health.Load().commit, len(a.pace.waiting) > 0
	switch {
	case errors.Is(err, junos.ErrLost) && e.agent.unfinished():
		return false, e.reconnect(ctx)
	case err != nil && !e.tried:
		return false, e.pollFailed(firstOf(commit, err))
	case e.agent.unfinished(), e.blind && commit == nil:
		return false, nil
	case waits && e.again && e.retries < mostTries:
		return false, nil
	case waits && e.again:
		return false, fmt.Errorf("given up after %d attempts: %w", e.retries, e.err)
	case waits && e.content && a.planner.quarantine.unnamed() <= mostTries:
		return false, nil // the next is tried alone
	case commit != nil:
		e.tellNothing(ctx)
		return false, commit
	}
	return !waits, nil
}

// pollFailed says whether to go on without what could not be read: only for a commit that was made.
func (e *errand) pollFailed(err error) error {
	e.retries++
	switch t := e.agent.trial; {
	case t != nil && t.over(time.Now()):
		return fmt.Errorf("not confirmed, the leaf has taken the commit back: %w", err)
	case t != nil, e.agent.unfinished() && e.retries < mostTries:
		return nil
	}
	return err
}

// firstOf is the first of two errors that is one: that of a commit says more than that of the poll.
func firstOf(first, second error) error {
	if first != nil {
		return first
	}
	return second
}

// tellNothing shows what was seen, if nothing was committed.
func (e *errand) tellNothing(ctx context.Context) {
	if e.rounds > 0 {
		return
	}
	e.rounds++
	if g, err := e.leaf.guards(ctx); err == nil { // without them it says less
		e.last.up = g.established()
	}
	e.report.Planned(e.preview(e.seen, e.last))
}

// finish says what is not there although it is wanted.
func (e *errand) finish(ctx context.Context) error {
	unconfirmed := e.leaf.unconfirmed(ctx)
	if unconfirmed != nil && !errors.Is(unconfirmed, junos.ErrUnconfirmed) {
		return unconfirmed
	}
	e.tellNothing(ctx)
	aside, theirs := e.aside()
	h := e.agent.health.Load()
	switch err := errors.Join(unconfirmed, h.held, h.blocked, aside); {
	case err == nil:
		return nil
	case (theirs || h.blocked != nil) && e.made == 0:
		return err // for all that is known, the leaf takes nothing
	default:
		return fmt.Errorf("%w: %s", ErrRemains, strings.ReplaceAll(err.Error(), "\n", "; "))
	}
}

// aside is the stanzas that the leaf refuses, and why; theirs says that it did not name them all.
func (e *errand) aside() (err error, theirs bool) {
	bad := e.agent.planner.quarantine.bad
	for _, place := range slices.SortedFunc(maps.Keys(bad), func(a, b junos.Place) int { return strings.Compare(a.Key, b.Key) }) {
		theirs = theirs || !bad[place].named
		err = errors.Join(err, fmt.Errorf("the leaf refuses the stanza of %s: %w", bad[place].peer, bad[place].why))
	}
	return err, theirs
}

// reconnect opens another session, for as long as it is worth the while.
func (e *errand) reconnect(ctx context.Context) error {
	e.leaf.Close()
	applied := e.agent.applied
	e.agent.forget()
	e.agent.applied = applied
	pauses := newRedial()
	limit, cancel := context.WithTimeout(ctx, searchFor)
	defer cancel()
	for { // nobody holds on to a leaf that is gone for longer
		l, err := e.agent.dial(limit)
		if err == nil {
			e.leaf = l
			return nil
		}
		pause, refused := pauses.pause(err)
		if !e.agent.wait(limit, pause, refused) {
			return fmt.Errorf("what became of the commit is not known, the leaf does not answer: %w", err)
		}
	}
}

// interrupted says what is left behind by an errand whose person has gone.
func (e *errand) interrupted(ctx context.Context) error {
	a, cause := e.agent, context.Cause(ctx)
	switch {
	case a.trial != nil && !a.trial.lost:
		return fmt.Errorf("not confirmed, the leaf takes the commit back within %s: %w", a.window(), cause)
	case a.trial != nil:
		return fmt.Errorf("what became of the commit is not known; it is not confirmed, and if the leaf has it, it takes it back within %s: %w", a.window(), cause)
	case a.asked != nil:
		return fmt.Errorf("%s: %w", e.lookOnce(ctx), cause)
	case e.rounds > 0:
		return fmt.Errorf("not all is done: %w", cause)
	}
	return fmt.Errorf("nothing was committed: %w", cause)
}

// lookOnce says what became of the commit that was under way.
func (e *errand) lookOnce(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastLook)
	defer cancel()
	e.leaf.Close()
	const unknown = "the leaf was told to commit, and whether it did is not known"
	l, err := e.agent.dial(ctx)
	if err != nil {
		return unknown
	}
	e.leaf = l
	for {
		seen, err := l.tables(ctx)
		if err == nil && len(missing(*e.agent.asked, seen.stanzas)) == 0 {
			return "the leaf has made the commit"
		}
		e.pause(ctx)
		if err != nil {
			return unknown
		}
		if ctx.Err() != nil {
			return "the leaf was told to commit, and has not done so by now; it may still"
		}
	}
}

// commitOnce commits a plan, and if the leaf waits for a confirmation gives it as the daemon would.
func (e *errand) commitOnce(ctx context.Context, p plan) error {
	a := e.agent
	err := a.commit(ctx, e.leaf, p)
	for ctx.Err() == nil {
		switch {
		case errors.Is(err, junos.ErrLost) && e.agent.unfinished():
			if err := e.reconnect(ctx); err != nil {
				return err
			}
		case !e.agent.unfinished():
			return firstOf(a.health.Load().commit, e.err)
		case err != nil && e.retries > mostTries:
			return err
		case err != nil:
			e.retries++
		}
		e.pause(ctx)
		err = e.settle(ctx)
	}
	return e.interrupted(ctx)
}

// settle looks what has become of a commit.
func (e *errand) settle(ctx context.Context) error {
	seen, err := e.leaf.tables(ctx)
	if err != nil {
		return err
	}
	a := e.agent
	a.readBack(seen)
	if a.trial != nil {
		return a.judge(ctx, e.leaf, seen)
	}
	a.verify(seen)
	return nil
}
