// Package nd is router discovery (RFC 4861) on one uplink: it makes the server
// seen by the leaf, and hears the leaf.
//
// Both are done by router advertisements. Ours say that we are a router and
// nothing else: router lifetime 0, no prefix, so that we are nobody's default
// router and nobody makes an address because of us. A leaf that peers with
// whoever it hears (FRR's `neighbor IF interface`) needs no more, and on any
// other leaf the neighbour entry of the server gets its router flag.
//
// Three things differ from an ordinary router, because a link that has just
// come up is waited for:
//   - A burst of advertisements opens a run, closer together than
//     MIN_DELAY_BETWEEN_RAS (RFC 4861 section 10) allows: on a point-to-point
//     link with one listener there is no flood to prevent. From then on the
//     limit is kept.
//   - Solicitations go out in quick succession at first, and then, as in RFC
//     7559, ever more slowly until a router is heard: the leaf may take its
//     time, or limit its answers.
//   - We solicit although we advertise. A solicitation clears the router flag
//     of our entry at the leaf (section 6.2.6), so each is followed by an
//     advertisement. The kernel's own solicitations, up to three after a link
//     came up, are not: whoever minds the flag sets the interface's sysctl
//     router_solicitations to 0.
package nd
