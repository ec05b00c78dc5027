package junos

import (
	"context"
	"errors"
	"slices"
	"time"
)

// A Change is one commit that took effect.
type Change struct {
	Time     time.Time
	Database string   // "static", "ephemeral NAME", "rollback" or "reboot"
	User     string   // who committed
	Log      string   // the text of commit-configuration's log
	Comment  string   // Junos' own: of a confirmed commit, whatever becomes of it
	Diff     string   // as `show | compare` prints it
	Touched  []string // objects of FRR that were changed: "neighbor fe80::1", "route-map ..."
	// Disturbed is what it did to sessions of a World that were up, as World.Disturbed has it.
	Disturbed []string
	// Sudden is the part of Disturbed that whoever committed could not know of: sessions that came up
	// after it had last looked at the sessions, if that was its last request before the commit, or after
	// it had asked for the commit.
	Sudden []string

	looked time.Time     // of Sudden; zero is now
	window time.Duration // how long it waits for a confirmation; 0: it is one
}

// Stats counts what a device has done since New.
type Stats struct {
	Sessions    int // NETCONF sessions opened
	RPCs        int // requests answered
	Loads       int // load-configuration and edit-config
	Commits     int // commits of the static configuration
	Ephemeral   int // commits of ephemeral instances
	Refusals    int // commits that failed the check
	RouterFails int // commits of which FRR refused something
}

// Stats returns the counters.
func (d *Device) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stats
}

// History returns the commits since New, oldest first.
func (d *Device) History() []Change {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.history)
}

func (d *Device) count(fn func(*Stats)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fn(&d.stats)
}

// Committing says whether a commit is under way, or a rollback. What is in force and what History says of it are of one
// time only while none is.
func (d *Device) Committing() bool { return len(d.committing) > 0 }

// serialised runs fn while no other commit runs: mgd commits one at a time.
func (d *Device) serialised(ctx context.Context, fn func() error) error {
	select {
	case d.committing <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-d.committing }()
	if ctx.Err() != nil { // while it waited; select takes either case
		return context.Cause(ctx)
	}
	return fn()
}

// wait takes the time that a commit takes.
func wait(ctx context.Context, t time.Duration) error {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// A commitRefused is a commit that failed the check.
type commitRefused struct{ errs []*rpcError }

func (*commitRefused) Error() string { return "configuration check-out failed" }

// asRefusal finds a failed check in err.
func asRefusal(err error) (*commitRefused, bool) { return errors.AsType[*commitRefused](err) }

// checkStatic takes a commit check's time and says what it finds.
func (d *Device) checkStatic(ctx context.Context, tree *node) error {
	if err := wait(ctx, d.cfg.CommitTime); err != nil {
		return err
	}
	if errs := check(tree); len(errs) > 0 {
		d.count(func(s *Stats) { s.Refusals++ })
		return &commitRefused{errs}
	}
	return nil
}

// commitStatic makes what build returns the running configuration.
func (d *Device) commitStatic(ctx context.Context, c Change, build func() *node) error {
	return d.serialised(ctx, func() error {
		tree := build()
		if err := d.checkStatic(ctx, tree); err != nil {
			return err
		}
		before := d.db.running()
		c.Diff = compare(before, tree)
		if err := d.install(tree, c.User); err != nil {
			return err
		}
		d.hold(c.window, before)
		d.count(func(s *Stats) { s.Commits++ })
		return d.activate(ctx, c)
	})
}

// commitEphemeral makes tree the content of an ephemeral instance.
func (d *Device) commitEphemeral(ctx context.Context, instance string, c Change, tree *node) error {
	return d.serialised(ctx, func() error {
		if err := wait(ctx, d.cfg.EphemeralCommitTime); err != nil {
			return err
		}
		before, err := d.db.instance(instance)
		if err != nil {
			return err
		}
		c.Diff = compare(before, tree)
		d.db.setInstance(instance, tree)
		d.count(func(s *Stats) { s.Ephemeral++ })
		return d.activate(ctx, c)
	})
}

// activate hands the merged configuration to the daemons. What they refuse is
// in the log, not in the answer to the commit, as on a real device.
func (d *Device) activate(ctx context.Context, c Change) error {
	tree := d.db.merged()
	settings, complaints := render(tree, d.names)
	for _, complaint := range complaints {
		d.log.Warn("configuration without effect", "reason", complaint)
	}
	// A session that ends now has committed: the router gets all of it.
	touched, err := d.routing.apply(context.WithoutCancel(ctx), settings)
	if err != nil {
		d.log.Error("router refused configuration", "err", err)
		d.count(func(s *Stats) { s.RouterFails++ })
	}
	d.advertisements.watch(advertisedInterfaces(tree))
	if d.cfg.World != nil {
		c.Disturbed, c.Sudden = d.cfg.World.configure(tree, c)
	}
	c.Time, c.Touched = d.now(), touched
	d.mu.Lock()
	d.history = append(d.history, c)
	d.mu.Unlock()
	d.log.Info("committed", "database", c.Database, "user", c.User, "objects", len(touched))
	return ctx.Err()
}

// advertisedInterfaces is the logical interfaces whose router advertisements
// the device hears.
func advertisedInterfaces(tree *node) []string {
	var names []string
	for _, e := range tree.at("protocols", "router-advertisement").list("interface") {
		names = append(names, e.key)
	}
	return names
}
