// Package junos simulates a leaf that runs Junos, well enough that a NETCONF
// client finds it a normal device: the session, the tables and the configuration
// databases are Junos', the interfaces, the neighbours and the BGP sessions are
// real ones, of a network namespace and of FRR running in it.
//
// # What is real
//
//   - get-ipv6-nd-information is the kernel's neighbour table. A sender of router
//     advertisements is entered there, as Junos' kernel does.
//   - get-ipv6-ra-information is the router advertisements heard on the interfaces
//     under protocols router-advertisement, and the kernel's counters.
//   - get-interface-information is the kernel's links and addresses;
//     get-route-information, get-bgp-summary-information,
//     get-bgp-neighbor-information and get-bfd-session-information are FRR's.
//   - What is committed under protocols bgp, protocols router-advertisement,
//     policy-options and routing-options (router-id, autonomous-system) is
//     rendered to FRR. Only what differs is sent: a commit disturbs no session
//     that it does not concern.
//
// # What is simulated
//
//   - SSH with keys and passwords, the netconf subsystem and its command form,
//     the hello with its comments and both spellings of capabilities, ]]>]]> and
//     chunked framing; system services netconf rfc-compliant and version-1.1.
//   - The static configuration with its shared candidate, locks, private copies,
//     commit check, commit confirmed and 50 rollbacks; ephemeral instances, of
//     which only the syntax is checked, merged over the static configuration in
//     their order, and empty after a reboot. Commits run one at a time and take
//     the configured time.
//   - load-configuration in xml, text and set format with merge, replace, override,
//     update, and deletion in each; edit-config, get-config, lock, validate and
//     commit of RFC 6241. Errors and warnings are Junos' where a recording is
//     known.
//
// # What is not
//
//   - The schema (schema.txt) is a small part of Junos'. Whatever it lacks is a
//     syntax error, as a misspelt statement is. Groups, apply-groups, wildcard
//     delete, insert, rename, load patch and JSON are not there.
//   - Interfaces, VLANs and static routes are accepted and do nothing; the lab
//     makes them. So do statements of protocols bgp without an equal in FRR:
//     dynamic neighbours, peer-auto-discovery, drop-excess, key chains.
//   - One routing instance, one routing engine. iBGP works, but policies take a
//     route with an empty AS path for the leaf's own. A link-local address is one
//     neighbour: FRR cannot have the same on two interfaces.
//   - A term's prefix lists and route filters are alternatives, and which of them
//     is longest does not matter. Conditions on interfaces, neighbours, next hops
//     and AS paths are accepted and ignored.
//   - The counts of active and of received routes are those that were accepted;
//     times at which advertisements were sent are missing.
//   - A reboot takes no time and interfaces stay up.
//   - Junos' own faults are not imitated: replies that are not XML, minutes taken
//     for seconds, EtherType 0x86dd on IPv4.
package junos
