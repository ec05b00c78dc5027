// Package bgp keeps the BGP sessions of a server with its leaves: external
// sessions over link-local addresses, one to a link, that carry IPv4 and IPv6
// unicast routes with IPv6 next hops (RFC 4271, RFC 4760, RFC 8950).
//
// A Speaker is told which neighbours to peer with and what to announce, and
// tells what the sessions do and what the neighbours announce. It decides
// nothing about routes: what was received is handed on before any policy, with
// our own AS in the path or without, and is never passed on to another peer.
//
// GoBGP speaks the protocol; this is the only package that imports it, and
// none of its types appear outside. docs/decisions/gobgp-v4.md says why this
// version, what is worked around, and how long sessions take to come up.
//
// Received UPDATEs are decoded here and do not reach GoBGP. One with an error in
// it is treated as a withdrawal wherever RFC 7606 allows it, and does not end
// the session. docs/decisions/updates.md says what is made of which error.
package bgp
