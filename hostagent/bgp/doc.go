// Package bgp keeps the BGP sessions of a server with its leaves: external
// sessions over link-local addresses, one to a link, that carry IPv4 and IPv6
// unicast routes with IPv6 next hops (RFC 4271, RFC 4760, RFC 8950).
//
// A Speaker is told which neighbours to peer with and what to announce, and
// tells what the sessions do and what the neighbours announce. It decides
// nothing about routes: what was received is handed on before any policy, with
// our own AS in the path or without, and is never passed on to another peer.
//
// The connections are made here: a peer has a port on its link that only it may
// reach, is dialled, and of several connections one becomes the session
// (opening.go, deciding.go). A connection carries the session's messages between
// the peer and GoBGP (connection.go, machine.go), which has the timers and our
// announcements. This is the only package that imports GoBGP, and none of its
// types appear outside. docs/decisions/gobgp-v4.md says why it is done so, and
// how long sessions take to come up.
//
// Received UPDATEs are decoded here and do not reach GoBGP. One with an error in
// it is treated as a withdrawal wherever RFC 7606 allows it, and does not end
// the session. docs/decisions/updates.md says what is made of which error.
package bgp
