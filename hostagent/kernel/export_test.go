package kernel

import "net/netip"

// Sent returns how many netlink messages the FIB has sent since it was opened.
func (f *FIB) Sent() uint32 { return f.conn.seq }

// Audit is all parts of an audit.
func (f *FIB) Audit() (changed bool, err error) {
	for {
		if done, changed, err := f.AuditPart(); done {
			return changed, err
		}
	}
}

// AtWork returns how many writers of routes are not done.
func (f *FIB) AtWork() int { return len(f.writers) }

// BatchSize is how many routes there are in a batch at most.
const BatchSize = batchSize

// Stored lists the next hops of each group that is stored, in the kernel if it has such.
func (f *FIB) Stored() (groups [][]netip.Addr, err error) {
	have, err := f.objects.store.list()
	names := make(map[uint32]netip.Addr)
	for a, h := range f.objects.hops {
		names[h.id] = a
	}
	for _, o := range have {
		if o.members != nil {
			hops, _ := namesOf(o.members, names)
			groups = append(groups, hops)
		}
	}
	return groups, err
}
