package junos

import (
	"errors"
	"fmt"
	"os"
)

// boot is the static configuration that the device starts with: that of its
// disk, or as long as nothing was committed Config.Static.
func (c Config) boot(schema *definition) (*node, error) {
	lines, from := c.Static, "static configuration"
	if c.Disk != "" {
		text, err := os.ReadFile(c.Disk)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("reading the committed configuration: %w", err)
		}
		if err == nil {
			lines, from = string(text), c.Disk
		}
	}
	static := newTree(schema)
	if _, errs := static.mergeSetLines(lines); len(errs) > 0 {
		return nil, fmt.Errorf("%s: %w", from, errors.Join(asErrors(errs)...))
	}
	if errs := check(static); len(errs) > 0 {
		return nil, fmt.Errorf("%s: %w", from, errors.Join(asErrors(errs)...))
	}
	return static, nil
}

// install makes tree the running configuration, on the disk too.
func (d *Device) install(tree *node, user string) error {
	if d.cfg.Disk != "" {
		part := d.cfg.Disk + ".part"
		if err := os.WriteFile(part, []byte(tree.setLines()), 0o600); err != nil {
			return fmt.Errorf("writing the configuration: %w", err)
		}
		if err := os.Rename(part, d.cfg.Disk); err != nil {
			return fmt.Errorf("writing the configuration: %w", err)
		}
	}
	d.db.setRunning(tree, user)
	return nil
}
