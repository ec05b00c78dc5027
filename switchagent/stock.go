package switchagent

import (
	"errors"
	"fmt"
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

// readInventory reads the inventory and its keys once; nil if there is none.
func (c *Config) readInventory() (*inventory.Inventory, error) {
	if c.Inventory == "" {
		return nil, nil
	}
	inv, err := inventory.NewFile(c.Inventory, junos.CheckPrefix).Refresh()
	if err != nil {
		return nil, err
	}
	var problems []error
	for _, e := range inv.Entries() {
		if e.KeyFile == "" {
			continue
		}
		if _, err := readKey(e.KeyFile); err != nil {
			problems = append(problems, fmt.Errorf("%s:%d: key_file of port %s: %w", c.Inventory, e.Line, e.Port, err))
		}
	}
	return inv, errors.Join(problems...)
}

// readKey reads a key of TCP MD5. No error shows what is in the file.
func readKey(path string) (junos.Secret, error) {
	text, err := namedfile.Read(path)
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
func (a *Agent) refreshStock() error {
	s := a.stock
	if s.file == nil {
		return nil
	}
	read, err := s.file.Refresh()
	if inv := s.settled(time.Now(), read, err, a.cfg.PollInterval); inv != nil {
		a.log.Info("inventory read", "path", a.cfg.Inventory, "ports", len(inv.Entries()), "gone", len(s.current.Missing(inv)), "new", len(inv.Missing(s.current)))
		s.current = inv
	}
	if err != nil && (s.err == nil || s.err.Error() != err.Error()) {
		a.log.Error("inventory is bad", "err", err, "ports", len(s.current.Entries())) // of the last good one, which holds
	}
	s.err = err
	a.refreshKeys()
	a.policy.inventory, a.policy.keys = s.current, s.keys
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
