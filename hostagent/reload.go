package hostagent

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// reloadable are the keys that Reload changes.
var reloadable = []string{"bfd", "return_delay"}

// Reload takes over what may change while the daemon runs: bfd and return_delay.
// Sessions keep up. All is checked first, and where something is wrong, or
// another key differs, nothing changes. It needs Run.
func (a *Agent) Reload(ctx context.Context, to Config) error {
	var err error
	if failed := a.inLoop(ctx, func(context.Context) { err = a.reload(to) }); failed != nil {
		a.metrics.reloaded.Set(0)
		return fmt.Errorf("reloading: %w", failed)
	}
	a.metrics.reloaded.Set(number(err == nil))
	if err != nil {
		return fmt.Errorf("reloading: %w; nothing is changed", err)
	}
	a.log.Info("configuration reloaded")
	return nil
}

// NotReloaded notes that a reload was asked for and its file was wrong.
func (a *Agent) NotReloaded() { a.metrics.reloaded.Set(0) }

func (a *Agent) reload(to Config) error {
	// What is not in the file: it was found, or is of the command line.
	to.Socket = a.cfg.Socket
	if !to.RouterID.IsValid() {
		to.RouterID = a.cfg.RouterID
	}
	if keys := differing(&a.cfg, &to); len(keys) > 0 {
		return fmt.Errorf("%s: a change needs a restart", strings.Join(keys, ", "))
	}
	if s := a.bfd.Status(); s.Running {
		for i, r := range to.BFD {
			if err := s.Scheduling.Holds(r.timers()); r.enabled() && err != nil {
				return fmt.Errorf("bfd[%d]: %w", i, err)
			}
		}
	}
	a.cfg.BFD, a.cfg.ReturnDelay = to.BFD, to.ReturnDelay
	a.logBFD()
	for _, u := range a.uplinks {
		if u.leaf.IsValid() {
			a.watch(u)
		}
	}
	return nil
}

// differing returns the keys that are not the same in both, but for those that
// are reloadable.
func differing(a, b *Config) (keys []string) {
	x, y := reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem()
	for i := range x.NumField() {
		key := x.Type().Field(i).Tag.Get("yaml")
		if !slices.Contains(reloadable, key) && !reflect.DeepEqual(x.Field(i).Interface(), y.Field(i).Interface()) {
			keys = append(keys, key)
		}
	}
	return keys
}
