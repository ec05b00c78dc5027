package switchagent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"lastmile/cmd/namedfile"
	"lastmile/switchagent/inventory"
	"lastmile/switchagent/junos"
)

// stock is the inventory that is used, which is the last good one.
type stock struct {
	file    *inventory.File // nil if there is none
	current *inventory.Inventory
	keys    map[string]junos.Secret // by port
	bad     map[string]string       // by port, why its key cannot be read
	err     error                   // of the file as it is now
	// next is one that takes something away, and reads so since nextSince.
	next      *inventory.Inventory
	nextSince time.Time
}

func newStock(path string) *stock {
	s := &stock{keys: map[string]junos.Secret{}, bad: map[string]string{}}
	if path != "" {
		s.file = inventory.NewFile(path, junos.CheckPrefix)
	}
	return s
}

// parseInventory reads the inventory once; nil if there is none.
func (c *Config) parseInventory() (*inventory.Inventory, error) {
	if c.Inventory == "" {
		return nil, nil
	}
	return inventory.NewFile(c.Inventory, junos.CheckPrefix).Refresh()
}

// readInventory reads the keys that it names as well.
func (c *Config) readInventory() (*inventory.Inventory, error) {
	inv, err := c.parseInventory()
	if err != nil {
		return nil, err
	}
	return inv, c.checkKeys(inv)
}

// checkKeys names the keys that cannot be read.
func (c *Config) checkKeys(inv *inventory.Inventory) error {
	var problems []error
	for _, e := range inv.Entries() {
		if e.KeyFile == "" {
			continue
		}
		if _, err := readKey(e.KeyFile); err != nil {
			problems = append(problems, fmt.Errorf("%s:%d: key_file of port %s: %w", c.Inventory, e.Line, e.Port, err))
		}
	}
	return errors.Join(problems...)
}

// maxKey is how many bytes a file with a key may have: all of them are read in every poll.
const maxKey = 4096

// readKey reads a key of TCP MD5. No error shows what is in the file.
func readKey(path string) (junos.Secret, error) {
	text, err := namedfile.ReadAtMost(path, maxKey)
	if err != nil {
		return junos.Secret{}, err
	}
	key, err := junos.NewSecret(string(text))
	if err != nil {
		return junos.Secret{}, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// refreshStock reads the inventory again, and the keys. A file that has gone bad changes nothing; only without any good one so
// far is there nothing to decide by.
func (a *Agent) refreshStock(ctx context.Context) error {
	s := a.stock
	if s.file == nil {
		return nil
	}
	read, err := s.read(ctx, min(firstRead, a.cfg.PollInterval))
	if inv := s.settled(time.Now(), read, err, a.cfg.PollInterval); inv != nil {
		a.log.Info("inventory read", "path", a.cfg.Inventory, "ports", len(inv.Entries()), "gone", len(s.current.Missing(inv)), "new", len(inv.Missing(s.current)))
		s.current = inv
	}
	if err != nil && s.current != nil && (s.err == nil || s.err.Error() != err.Error()) {
		a.log.Error("inventory is bad", "err", err, "ports", len(s.current.Entries())) // of the last good one, which holds
	}
	s.err = err
	a.refreshKeys()
	a.planner.policy.inventory, a.planner.policy.keys = s.current, s.keys
	a.metrics.inventory(s)
	a.setHealth(func(h *health) { h.inventory = err })
	if s.current == nil {
		return fmt.Errorf("nothing is decided without an inventory: %w", err)
	}
	return nil
}

// refreshKeys reads the keys again, since they change without the inventory. One that cannot be read any
// more stays what it was.
func (a *Agent) refreshKeys() {
	s := a.stock
	ports := map[string]bool{}
	for _, e := range s.current.Entries() {
		if e.KeyFile == "" {
			continue
		}
		ports[e.Port] = true
		key, err := readKey(e.KeyFile)
		if err == nil {
			s.keys[e.Port] = key
			delete(s.bad, e.Port)
			continue
		}
		if s.bad[e.Port] != err.Error() {
			s.bad[e.Port] = err.Error()
			a.log.Error("key of a port cannot be read", "link", e.Port, "err", err)
		}
	}
	for port := range s.keys {
		if !ports[port] {
			delete(s.keys, port)
		}
	}
	for port := range s.bad {
		if !ports[port] {
			delete(s.bad, port)
		}
	}
}

const (
	// firstRead is after what time an inventory must read the same if none is in use.
	firstRead = time.Second
	// mostReads is how often that is looked at.
	mostReads = 10
)

// read is the file as it is, nil if it is as it was. While none is in use it is read until two reads some time apart
// agree: there is nothing that could hold until then.
func (s *stock) read(ctx context.Context, apart time.Duration) (*inventory.Inventory, error) {
	if s.current == nil {
		s.file.Forget() // what an earlier call has read and not believed
	}
	read, err := s.file.Refresh()
	for range mostReads {
		if s.current != nil {
			return read, err
		}
		select {
		case <-time.After(apart):
		case <-ctx.Done():
			return nil, fmt.Errorf("inventory: not read a second time: %w", context.Cause(ctx))
		}
		again, errAgain := s.file.Refresh()
		if again == nil && fmt.Sprint(err) == fmt.Sprint(errAgain) {
			return read, err
		}
		read, err = again, errAgain
	}
	return nil, fmt.Errorf("inventory: it is being written: %d reads %s apart all differ", mostReads, apart)
}

// settled is the inventory to go on with, nil for the one in use. A file that somebody is writing looks like a table
// from which the rest was taken. So one that takes something away must read the same for a while, and what is
// in use holds until then; one that only adds is used at once.
func (s *stock) settled(now time.Time, read *inventory.Inventory, err error, wait time.Duration) *inventory.Inventory {
	switch {
	case err != nil:
		s.next = nil
	case read == nil: // the file is as it was
	case takesAway(s.current, read):
		s.next, s.nextSince = read, now
	default:
		s.next = nil
		return read
	}
	if s.next == nil || now.Sub(s.nextSince) < wait {
		return nil
	}
	settled := s.next
	s.next = nil
	return settled
}

// takesAway says whether a port of before lacks something, or all, in after.
func takesAway(before, after *inventory.Inventory) bool {
	return slices.ContainsFunc(before.Entries(), func(was inventory.Entry) bool {
		is, there := after.Port(was.Port)
		return !there || lacks(was.AS, is.AS) || lacks(was.Prefixes, is.Prefixes) || lacks(was.Shared, is.Shared) ||
			lacks(was.MACs, is.MACs) || len(was.MACs) == 0 && len(is.MACs) > 0 || was.KeyFile != "" && is.KeyFile != was.KeyFile
	})
}

// lacks says whether something of before is not in after.
func lacks[T comparable](before, after []T) bool {
	return slices.ContainsFunc(before, func(one T) bool { return !slices.Contains(after, one) })
}
