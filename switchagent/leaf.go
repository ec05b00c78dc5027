package switchagent

import (
	"context"
	"fmt"
	"time"

	"lastmile/switchagent/junos"
)

// leaf is an open session with the switch. After an error that is junos.ErrLost it is of no use.
type leaf interface {
	// tables reads what every poll needs, in one round.
	tables(context.Context) (tables, error)
	// guards reads what a change needs.
	guards(context.Context) (guards, error)
	commit(context.Context, junos.Change) (junos.Outcome, error)
	Close() error
}

// dialTimeout holds for everything until the first poll; hardware takes 3 s to open a session.
const dialTimeout = 20 * time.Second

// device is a leaf that runs Junos.
type device struct {
	*junos.Client
	instance, group string
}

// dialDevice opens a session and makes sure that there is an instance to work in.
func (a *Agent) dialDevice(ctx context.Context) (leaf, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	target, err := a.cfg.target()
	if err != nil {
		return nil, fmt.Errorf("target %q: %w", a.cfg.Target, err)
	}
	client, err := junos.Dial(ctx, target, a.traceRPC)
	if err != nil {
		return nil, err
	}
	d := device{client, a.cfg.Instance, a.cfg.Group}
	facts, err := client.Facts(ctx)
	if err == nil {
		err = client.CheckInstance(ctx, a.cfg.Instance)
	}
	if err != nil {
		d.Close()
		return nil, fmt.Errorf("%s: %w", target.Addr, err)
	}
	a.metrics.connected(facts)
	a.log.Info("connected", "target", target.Addr, "session", client.SessionID(), "host", facts.Host, "model", facts.Model,
		"version", facts.Version, "uptime", facts.Uptime)
	return d, nil
}

func (d device) tables(ctx context.Context) (seen tables, err error) {
	if seen.neighbors, err = d.Neighbors(ctx); err != nil {
		return tables{}, err
	}
	if seen.advertisers, err = d.RouterAdvertisements(ctx); err != nil {
		return tables{}, err
	}
	// Read in every poll, so that an emptied instance is filled again after the next, and
	// nothing is decided on what the instance held some time ago.
	if seen.stanzas, err = d.Stanzas(ctx, d.instance); err != nil {
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
	g.static, g.group = static.Stanzas, static.CheckGroup(d.group)
	if g.interfaces, err = d.Interfaces(ctx); err != nil {
		return guards{}, err
	}
	return g, nil
}

func (d device) commit(ctx context.Context, change junos.Change) (junos.Outcome, error) {
	return d.Commit(ctx, d.instance, change)
}
