package switchagent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lastmile/switchagent/junos"
)

// leaf is an open session with the switch. After an error that is junos.ErrLost it is of no use.
type leaf interface {
	reader
	revealer
	writer
	lifetime
}

type lifetime interface {
	// Done is closed when the session is lost, also between two polls.
	Done() <-chan struct{}
	Err() error // why
	Close() error
}

type reader interface {
	// tables reads what every poll needs, in one round.
	tables(context.Context) (tables, error)
	// guards reads what a change needs.
	guards(context.Context) (guards, error)
	// usage reads how full the database is.
	usage(context.Context) (junos.Usage, error)
	sessions(context.Context) ([]junos.Session, error)
}

type writer interface {
	commit(context.Context, junos.Change) (junos.Outcome, error)
	// confirm ends a commit on trial.
	confirm(ctx context.Context, change junos.Change, good bool) (junos.Outcome, error)
	// unconfirmed is junos.ErrUnconfirmed while the leaf may take a commit back, whoever made it.
	unconfirmed(context.Context) error
}

// dialTimeout holds for a connection, its login and both hellos; hardware takes 3 s for that.
const dialTimeout = 20 * time.Second

// device is a leaf that runs Junos.
type device struct {
	*junos.Client
	db  junos.Database
	cfg Config
}

// dialDevice opens a session and makes sure that there is a database to work in.
func (a *Agent) dialDevice(ctx context.Context) (leaf, error) {
	target, err := a.cfg.target()
	if err != nil {
		return nil, fmt.Errorf("target %q: %w", a.cfg.Target, err)
	}
	opening, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	client, err := a.cfg.open(opening, target, a.traceRPC)
	if err != nil {
		return nil, err
	}
	client.Wait(a.answers.wait(time.Now()))
	d := device{Client: client, cfg: a.cfg}
	facts, err := client.Facts(ctx)
	if err == nil {
		err = d.open(ctx, facts.Version)
	}
	if err != nil {
		d.Close()
		return nil, fmt.Errorf("%s: %w", target.Addr, err)
	}
	a.metrics.connected(facts)
	release, _ := junos.ParseRelease(facts.Version) // of an unknown one nothing is expected
	a.planner.policy.scoped = release.Scoped()
	a.usage.next, a.sessions.next = time.Time{}, time.Time{}
	a.booted = time.Time{}
	if facts.Uptime > 0 {
		a.booted = time.Now().Add(-facts.Uptime)
	}
	a.log.Info("connected", "target", target.Addr, "session", client.SessionID(), "host", facts.Host, "model", facts.Model,
		"version", facts.Version, "uptime", facts.Uptime, "database", a.cfg.Database)
	return d, nil
}

// open chooses the database and checks that the release can do what is asked for. A version that
// is not known can do what every release can.
func (d *device) open(ctx context.Context, version string) (err error) {
	release, versionErr := junos.ParseRelease(version)
	d.db, err = d.Database(d.cfg.database(), release)
	if err != nil {
		return errors.Join(err, versionErr)
	}
	return d.db.Check(ctx)
}

func (d device) tables(ctx context.Context) (seen tables, err error) {
	if seen.neighbors, err = d.Neighbors(ctx); err != nil {
		return tables{}, err
	}
	if seen.advertisers, err = d.RouterAdvertisements(ctx); err != nil {
		return tables{}, err
	}
	// Read in every poll, so that an emptied database is filled again after the next, and
	// nothing is decided on what it held some time ago.
	if seen.stanzas, err = d.db.Stanzas(ctx); err != nil {
		return tables{}, err
	}
	return seen, nil
}

func (d device) guards(ctx context.Context) (g guards, err error) {
	if g.sessions, err = d.Sessions(ctx); err != nil {
		return guards{}, err
	}
	static, err := d.Static(ctx)
	if err != nil {
		return guards{}, err
	}
	g.static, g.others, g.group = static.Stanzas, static.Places, static.CheckGroup(d.cfg.Group, false)
	if g.group == nil {
		g.noAS = static.CheckGroup(d.cfg.Group, true)
	}
	if d.cfg.Database != junos.Ephemeral {
		g.static, g.others = static.Foreign()
	}
	g.config = static
	g.readsOnly = d.cfg.Transport == transportCLI
	if g.interfaces, err = d.Interfaces(ctx); err != nil {
		return guards{}, err
	}
	return g, nil
}

func (d device) usage(ctx context.Context) (junos.Usage, error) {
	if d.cfg.Database != junos.Ephemeral {
		return d.DatabaseUsage(ctx, "")
	}
	return d.DatabaseUsage(ctx, d.cfg.Instance)
}

func (d device) sessions(ctx context.Context) ([]junos.Session, error) { return d.Sessions(ctx) }

func (d device) commit(ctx context.Context, change junos.Change) (junos.Outcome, error) {
	return d.db.Commit(ctx, change)
}

func (d device) confirm(ctx context.Context, change junos.Change, good bool) (junos.Outcome, error) {
	trial, ok := d.db.(junos.Confirmer)
	if !ok { // its commits are for good
		return junos.Applied, nil
	}
	return trial.Confirm(ctx, change, good)
}

func (d device) unconfirmed(ctx context.Context) error {
	if d.cfg.Database != junos.Shared {
		return nil // it knows no others
	}
	return d.Unconfirmed(ctx)
}

func (c Config) database() junos.Options {
	return junos.Options{Kind: c.Database, Instance: c.Instance, Window: c.Confirm, Load: c.Load, Synchronize: c.Synchronize, Others: c.Takeover > 0}
}
