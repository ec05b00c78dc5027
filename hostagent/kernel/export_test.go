package kernel

// Sent returns how many netlink messages the FIB has sent since it was opened.
func (f *FIB) Sent() uint32 { return f.conn.seq }
