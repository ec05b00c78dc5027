// Package worker runs BFD sessions in a process of their own, and is hostagent's
// client of that process.
//
// BFD at 10 ms x 3 is dead after three missed turns. Inside hostagent a garbage
// collection, or a large update from a leaf, costs more than that, whatever the
// priority of the thread: it waits for the Go scheduler, not for the kernel's.
// So hostagent starts itself again, as a worker. There every thread is
// SCHED_FIFO, the memory is locked, the garbage collector is off, and one thread
// runs one loop over one timer and the sockets, which allocates nothing.
//
//	Client (hostagent) --orders--> worker --BFD--> leaf
//	       <--changes of state--
//
// On a kernel without preemption a real-time thread may still wait for the system
// call of an ordinary one. A second process, the mover, has the worker be on
// another processor then; it ends with the worker.
//
// # Who lives how long
//
// The worker listens on a Unix socket, and the first hostagent, which starts it,
// connects there like every later one. When hostagent goes away without a word,
// killed or crashed, its sessions stay up: the routes it left in the kernel
// still forward, and that is what BFD is about. The C bit says so to the leaf. The
// next hostagent finds the worker at its socket, hears of all sessions and how
// they are, orders those it wants, and after Config.Claim those that it does not
// want are ended.
//
// A worker that nobody comes for ends after Config.Orphan, with AdminDown. That
// is not said to pull traffic, nor to keep it: AdminDown means that there is
// nothing to learn from us any more (RFC 5882 section 3.2). That the control
// plane is dead is for BGP to judge, by its hold time, or by the restart time of
// graceful restart. To fall silent instead would be to say that the path is dead,
// which it is not, and would end a graceful restart early. A hostagent that stops
// in order has the worker do the same.
//
// If the worker dies, another one is started and gets the same orders. Until it
// has said how a session is, nothing is known of it, and that is what News says:
// a dead worker is no evidence that a leaf is. The leaf, for its part, hears
// nothing for a moment, or a new session that is Down, and will end BGP.
//
// Two workers never run at one socket of a network namespace: the worker holds a
// lock, the socket's path as an abstract name, from before it starts until it is
// gone. Two hostagents are not served at once either.
//
// A hostagent that finds a worker of another protocol version cannot know its
// sessions. It ends it with AdminDown, which no leaf takes for a fault, and starts
// its own; the sessions come up again in a second or two. As long as the version
// stays, a new hostagent adopts an old worker, and the old code runs on.
//
// # The watchdog in the kernel
//
// A program on the link (lastmile/bpf/uplink) sees the same packets, and has a timer
// for each session that the worker arms. The Client hands over its maps
// (SetWatchdog). What it says is a reason to read the socket and to look at the
// clock, as the worker's own timer is, which stays: so it may be wrong, gone or
// replaced, and no session falls by it. It is not faster, but a second witness:
// the counters of a session say whether it saw the same.
//
// # Without the privilege
//
// SCHED_FIFO needs CAP_SYS_NICE or RLIMIT_RTPRIO, and in some cgroups a budget.
// Without it the worker falls back to nice -20, then to nothing, says so once in
// the log and always in Status, and refuses timers that it cannot hold.
package worker
