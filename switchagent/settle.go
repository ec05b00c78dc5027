package switchagent

import (
	"slices"
	"time"

	"lastmile/switchagent/inventory"
)

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
