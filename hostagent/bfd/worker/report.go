package worker

import (
	"net/netip"
	"syscall"
	"time"

	"lastmile/hostagent/bfd"
)

// News is what has become of a session.
type News struct {
	Session
	// Changed says that Change is new; if not, the session is told of because
	// it was found or ordered.
	Changed bool
	// Err says why the worker refused what was ordered; the session, if there
	// is one, is as it was before. Nothing of Session but Peer is set then.
	Err error
}

// PathFailed reports whether routing has to act as if the path had failed; see
// bfd.Change.
func (n *News) PathFailed() bool { return n.Changed && n.Change.PathFailed() }

// Session is what is known of a session.
type Session struct {
	Peer netip.Addr // link-local, with the link as its zone
	// Known is false when the worker was lost. The session may be up or down;
	// nothing follows from it. The rest is zero then.
	Known bool
	// Claimed is false for the session of an adopted worker that nobody has
	// ordered yet.
	Claimed bool
	// FailedAt is when it failed last, however late the worker noticed; zero if it
	// never did. It has a reading of the monotonic clock, as time.Now has.
	FailedAt time.Time
	Report
}

// Report is a session as the worker sees it. It has a fixed size: it is sent as
// it is.
type Report struct {
	bfd.Status
	Change     bfd.Change    // the last one; zero if there was none
	Since      time.Duration // see Time; since 1970
	Failed     time.Duration // CLOCK_MONOTONIC, see Session.FailedAt; 0 if it never did
	SourcePort uint16
	Watchdog   Watchdog
	Counters
	Link LinkCounters
	// Moves is how often the worker was late and had to be moved to another
	// processor, whatever the session.
	Moves uint64
	Mover Mover // that moves it
}

// Time is when the session changed last, or when it was made if it never did.
func (r *Report) Time() time.Time { return time.Unix(0, int64(r.Since)) }

// SendError is why the kernel did not send the last packet that it did not send,
// nil if it sent all.
func (c *Counters) SendError() error {
	if c.SendErrors == 0 {
		return nil
	}
	return syscall.Errno(c.LastErrno)
}

// Counters count since the worker knows the session.
type Counters struct {
	Sent       uint64
	Received   uint64 // packets of the peer that were used
	Drops      Drops  // packets of the peer that were not
	SendErrors uint64 // packets that the kernel refused to send
	LastErrno  uint32 // of the last of these
	// Late counts timers that the worker came to late by more than a quarter of
	// the transmit interval, and LateMax is the latest it ever was.
	Late     uint64
	LateMax  time.Duration
	Ups      uint64 // times the session came up
	Failures uint64 // times that it failed: bfd.Change.PathFailed
	Expired  uint64 // of these, those in which we noticed; in the others the peer did
	// What the kernel's watchdog said of it: silences that it told before the worker
	// had found them by its own timer, and after that, and silences that were none, for
	// packets had come past the program on the link.
	WatchdogFirst, WatchdogSecond, WatchdogFalse uint64
}

// LinkCounters count what came over a link and was of no session.
type LinkCounters struct {
	Drops Drops
	Lost  uint64 // packets that the worker was too slow to read
}

// Drops counts packets by the reason why they were not used: a bfd.Drop is the
// index.
type Drops [16]uint64
