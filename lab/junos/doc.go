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
//   - SSH with keys and passwords, also those of system login user; the netconf
//     subsystem and its command form, which are there only while system services
//     netconf ssh is committed; the hello with its comments and both spellings of
//     capabilities, ]]>]]> and chunked framing; system services netconf
//     rfc-compliant and version-1.1.
//   - The command line ([Config.CLI]): operational and configuration mode,
//     configure private, exclusive and ephemeral, set, delete, load ... terminal, show with
//     compare, display set, display xml, match, except and count, commit with
//     check, confirmed and comment, rollback.
//   - The static configuration with its shared candidate, locks, private copies
//     and their conflicts, commit check, commit confirmed and 50 rollbacks;
//     ephemeral instances, of which only the syntax is checked, merged over the
//     static configuration in their order, and empty after a reboot. Commits run
//     one at a time and take the configured time.
//   - load-configuration in xml, text and set format with merge, replace, override,
//     update, and deletion in each; edit-config, get-config, lock, validate and
//     commit of RFC 6241. Errors and warnings are Junos' where a recording is
//     known.
//   - Login classes: permissions, and the allow and deny expressions of commands
//     and of the configuration.
//
// # Releases
//
// [Profiles] are the habits of releases 18.4R1, 20.4R1, 21.4R1 and 24.4R1, and of a
// device that is rfc-compliant by factory default; a [Profile] can also be put
// together. Statements that a release lacks are syntax errors (since= in schema.txt).
// Nobody here has such devices: a habit is recorded (R: somebody's output shows
// it), documented (D: Juniper's manuals, Y: its published YANG), reported (I: an
// issue on GitHub) or assumed (A). That a habit stands in the profile of this
// release and not of another is assumed throughout, unless a release is named
// here.
//
//	habit                                                     known  in profiles
//	]]>]]> framing unless version-1.1, since 24.4R1           Y D    all
//	nc: prefixes, no commit-results, ok without warnings      R D    rfc-compliant
//	release in namespaces: "21.4R0", "24.4R1.9"               R      all
//	capabilities in one spelling only                         R      OldSpelling, in none
//	promises chunks and sends none                            I      ClaimsChunks, in none
//	refuses xmlns="" in a request                             I      24.4R1
//	  what it says then                                       A
//	neighbor ADDRESS%INTERFACE, since 20.4R1                  Y      20.4R1 and later
//	  a load of it on older ones is an error; its text        A      18.4R1
//	  two ports may have the same link-local address then     A      20.4R1 and later
//	peer-auto-discovery 21.1R1, drop-excess 21.2R1,
//	  strict-bfd 19.4R1, peer-as-list 20.2R1, passive-mode
//	  22.1R1, rfc8950-compliant 24.4R1, bgp defaults 20.3R1   Y D    by release
//	load update in ephemeral since 21.1R1, replace and
//	  override since 18.1R1                                   D      by release
//	  what older ones say                                     A
//	commit: empty commit-results, ok                          R      18.4R1
//	commit: ok alone                                          R      20.4R1
//	commit: commit-results with commit-success, ok            R      21.4R1
//	commit: text between elements, commit-check-success,
//	  show-name                                               R      24.4R1
//	commit: routing-engine without an end tag                 R I    rfc-compliant
//	  also for a commit of an ephemeral instance              A
//	commit: commit-results without ok                         A      CommitNoOk, in none
//	commit of an ephemeral instance: ok without commit-results A     all others
//	licence warning as rpc-error before the result            R      24.4R1
//	errors of a commit directly under rpc-reply               R      20.4R1
//	errors of a commit in commit-results                      R      others
//	load-success in place of ok                               D      18.4R1; over NETCONF A
//	open-configuration of an ephemeral instance: silent,
//	  ok, or the warning that a private copy gets             A      20.4R1 21.4R1; 24.4R1; 18.4R1
//	missing instance: opened in silence                       I      18.4R1
//	  and then loads into the shared candidate                A
//	missing instance: an error; its text                      A      others
//	get-configuration of an instance that is not open shows the
//	  candidate, whatever attributes it has                   D      20.4R1 24.4R1
//	  with ephemeral-instance="NAME" it shows the instance    R      others
//	show ephemeral-configuration instance NAME                D R    all
//	  as <command format="xml">: its configuration element    A
//	commit with RFC 6241's confirmed rolls back at once       I      18.4R1
//	line breaks around values                                 R      18.4R1
//	comments between elements                                 R      20.4R1
//	addresses in upper case                                   R      18.4R1
//	neighbour table without ipv6-nd-total                     R      18.4R1
//	reference count and flags of neighbours, since 23.4R1     Y      24.4R1
//	peer-address with %INTERFACE for configured neighbours    A      24.4R1
//	irb.100 [xe-0/0/3.0] as a neighbour's interface           A      20.4R1
//	what a peer has announced and is not used: get-route-information
//	  with receive-protocol-name, peer and hidden             Y D    all
//	  peer ADDRESS%INTERFACE of a link-local neighbour        Y R    all
//	  and ADDRESS alone; of nobody the tables are empty       A
//	  inet.0 and inet6.0 in one reply                         R
//	  elements as of other routes: rt-destination, as-path    I
//	  also of a path with the leaf's own AS, which Junos is
//	  documented not to keep                                  A
//	multi-routing-engine-results                              R      Engines, in none
//	  tables of the first, version and uptime of each         A
//
// # Databases and rights
//
//	private copy: refused while the candidate is locked or changed     D
//	private copy: commit answers load-success before the result, and
//	  empty commit-results when there was nothing to commit            D
//	private copy: of two who change a statement the first to commit
//	  wins, the second is refused, keeps its edits, and its next
//	  commit takes effect                                              D
//	  the text of that error                                           A
//	commit confirmed only in the shared candidate; in minutes          D
//	the next commit, or commit check, confirms; else it is rolled back D
//	get-commit-information: "commit confirmed, rollback in Nmins" in the
//	  comment of such a commit, also when it was confirmed                R
//	  "rollback pending" in commit-confirmed while it waits               R      23.2R1 and later
//	  nothing of that before                                              A
//	a commit of an ephemeral instance confirms nothing                  A
//	a session's end discards a locked candidate and releases its locks D
//	an ephemeral instance has one editor at a time                     D
//	get-database-usage: its names                                      Y
//	  the form of its values, and that each kept version of an
//	  ephemeral instance takes as much room as the newest              A
//	  the error of a database that is full                             A
//	deny and allow expressions come before permissions, without
//	  regard to case; -regexps match word by word                      D
//	  deny before allow; a path may go on after the last word          A
//	an RPC needs the right to the command that shows the same          A
//	a load with one statement that the class forbids does nothing,
//	  and says permission denied                                       A
//	which permission a part of the hierarchy needs                     A
//	secret shows passwords and keys, secret-control changes them       D
//	  expressions that allow do not stand in for it; the form of
//	  what is shown to the others                                      A
//
// # The command line
//
//	prompts, modes, "Entering configuration mode", commit complete,
//	  configuration check succeeds, [Type ^D at a new line to end
//	  input], questions about uncommitted changes                      D
//	  the place of the caret under a wrong word                        A
//	configure ephemeral NAME, or without a name the default instance   A
//	tables without | display xml: the neighbour table and the list of
//	  commits in Junos' columns,
//	  everything else as names and values, which is not Junos' layout  A
//
// # Faults, operators, worlds
//
// A [Fault] is something that goes wrong at one operation or a few: connections that
// drop, stall or dribble, commits whose reply is lost, locks, half-done edits,
// second writers, reboots. [ParseFault] reads their text form, [Device.Inject] takes
// them, [Device.Strikes] says what they did. [Device.Operator] is somebody else at
// work on the device. [Device.Committed], [Device.Candidate], [Device.Ephemeral],
// [Device.LockedBy] and [Device.History] say what came of it.
//
// With a [World] in place of a kernel and FRR a device needs no privileges: who is
// plugged in is in the neighbour table, sessions come up with their stanza, and what
// a commit does to those that are up is counted. It takes tens of thousands of
// entries; tables leave in parts.
//
// # What is not
//
//   - The schema (schema.txt) is a small part of Junos'. Whatever it lacks is a
//     syntax error, as a misspelt statement is. Groups, apply-groups, wildcard
//     delete, insert, rename, load patch and JSON are not there.
//   - Interfaces, VLANs and static routes are accepted and do nothing; the lab
//     makes them. So do statements of protocols bgp without an equal in FRR:
//     dynamic neighbours, peer-auto-discovery, drop-excess, key chains.
//   - One routing instance, one routing engine, even where replies name several.
//     iBGP works, but policies take a route with an empty AS path for the leaf's
//     own. Before FRR, and only there, a link-local address is one neighbour: FRR
//     cannot have the same on two interfaces, and the second is without effect.
//   - A term's prefix lists and route filters are alternatives, and which of them
//     is longest does not matter. Conditions on interfaces and
//     neighbours are accepted and ignored.
//   - Over its prefix-limit with prefixes that a policy rejects a session ends when
//     somebody looks at the sessions: FRR does not look by itself.
//   - The count of active routes is that of those that were accepted;
//     times at which advertisements were sent are missing. In a World there are
//     no routes and no BFD.
//   - A reboot takes no time and interfaces stay up.
//   - On the command line there is no completion, no abbreviation and no edit
//     below the top of the hierarchy.
//   - EtherType 0x86dd on IPv4 is not imitated.
package junos
