package kernel

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
