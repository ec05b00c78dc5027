// Package kernel is hostagent's side of rtnetlink: it watches links and addresses ([Watcher]), installs routes through
// next-hop objects and groups ([FIB]) and sets the sysctls hostagent needs ([Sysctls]).
//
// Everything is declarative: a [State] is the whole of what is known, an order names what should be there, giving the same
// order twice sends nothing the second time, and what others undo is found by [FIB.Audit]. The package touches only what
// carries its own rtnetlink protocol number ([Protocol]); routes and next hops of others are neither changed nor removed.
// What carries it at the start is an earlier run's: it is taken over, and swept when the orders are known ([FIB.Sweep]).
//
// Routes point at groups of next-hop objects (Linux 5.3), as `ip nexthop` shows them. One group serves all routes with the
// same next hops, so losing a leaf costs one message a group instead of one a route. The kernel does its share: when a
// device loses its carrier it removes the next hops of that device, takes them out of their groups, and removes groups
// that are left empty together with their routes. Where there are no objects, routes name their next hops themselves, and
// the groups are only in our books.
//
// A network namespace is that of the calling thread, at [OpenFIB], [Watcher.Run] and [Sysctls].
package kernel
