package junos

import (
	"cmp"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// Mark begins the description of every neighbour that is the agent's. In a database that others
// edit too, it is what tells its neighbours from theirs. It is a description and no apply-macro
// because ephemeral instances have no macros, and because monitoring shows descriptions.
const Mark = "lastmile:"

// Stanza is a BGP neighbor statement for a link-local peer.
type Stanza struct {
	Group string
	// Peer is the address with its local-interface as zone. In a stanza that was read the zone
	// is missing if the statement has no local-interface.
	Peer        netip.Addr
	Description string
	// Key is the name of the statement in a stanza that was read: from 20.4R1 on it may hold
	// the interface too. In a new stanza it is empty, which stands for the bare address.
	Key string
	// PeerAS is the AS of the peer; 0 for that of the group.
	PeerAS uint32
	// Limit is how many prefixes of each family the peer may send before its session ends for five
	// minutes; 0 for the group's limit.
	Limit uint32
	// Import is what the peer may announce.
	Import Import
	// Secret is the key of TCP MD5; the zero Secret for the group's.
	Secret Secret

	odd string // of a stanza that was read: which parts of it no Stanza has, in this order
}

const (
	oddFamily = " family"
	oddImport = " import"
)

// Place is where a stanza stands. A database has one stanza in each.
type Place struct{ Group, Key string }

// Place is the same for all spellings of the key.
func (s Stanza) Place() Place {
	if addr, ok := text(s.Key).addr(); ok {
		return Place{s.Group, addr.String()}
	}
	return Place{s.Group, cmp.Or(s.Key, s.Peer.WithZone("").String())}
}

// name is the key that the statement has on the switch.
func (s Stanza) name() string { return cmp.Or(s.Key, s.Peer.WithZone("").String()) }

// Marked says whether the stanza carries the agent's mark.
func (s Stanza) Marked() bool { return strings.HasPrefix(s.Description, Mark) }

// Same says whether two stanzas are the same statements in the same place.
func (s Stanza) Same(other Stanza) bool {
	if s == other {
		return true
	}
	if s.Secret.same(other.Secret) {
		s.Secret = other.Secret
	}
	if !s.Import.own && !other.Import.own { // whatever somebody has there is none of the agent's
		s.odd = strings.TrimSuffix(s.odd, oddImport)
		other.odd = strings.TrimSuffix(other.odd, oddImport)
	}
	return s.Place() == other.Place() && s.Import == other.Import && s.odd == other.odd && slices.Equal(s.statements(), other.statements())
}

// maxDescription is the longest description of a neighbour that Junos takes.
const maxDescription = 255

var (
	groupName     = regexp.MustCompile(`^[^\x00-\x20\x7f-\x{10FFFF}<>&"'{};\[\]()]{1,64}$`)
	interfaceName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9/:_-]{0,58}\.[0-9]{1,10}$`)
)

// ValidGroup says whether a group may have the name: 1 to 64 printable ASCII characters without blanks, quotation marks, brackets, & and ;.
func ValidGroup(name string) bool { return groupName.MatchString(name) }

// Validate checks what Junos does not: an ephemeral instance is committed without a check, and a
// wrong value there can end a daemon.
func (s Stanza) Validate() error {
	switch {
	case s.Group == "":
		return fmt.Errorf("stanza %s: it has no group", s.Peer)
	case !ValidGroup(s.Group):
		return fmt.Errorf("stanza %s: group %q has characters that no name of a group has", s.Peer, s.Group)
	case !s.Peer.Is6() || !s.Peer.IsLinkLocalUnicast():
		return fmt.Errorf("stanza %s: a peer must be in fe80::/10", s.Peer)
	case s.Peer.Zone() == "":
		return fmt.Errorf("stanza %s: a link-local peer needs a local-interface", s.Peer)
	case !interfaceName.MatchString(s.Peer.Zone()):
		return fmt.Errorf("stanza %s: %q is no logical interface such as ge-0/0/1.0", s.Peer, s.Peer.Zone())
	case len(s.Description) > maxDescription:
		return fmt.Errorf("stanza %s: its description has %d characters, Junos takes %d", s.Peer, len(s.Description), maxDescription)
	case strings.TrimSpace(s.Description) != s.Description: // it would never read back as it was
		return fmt.Errorf("stanza %s: its description begins or ends with a blank", s.Peer)
	case strings.ContainsFunc(s.Description, func(r rune) bool { return r < ' ' || r > '~' }):
		return fmt.Errorf("stanza %s: its description has other than printable ASCII characters", s.Peer)
	}
	if err := s.validateSession(); err != nil {
		return fmt.Errorf("stanza %s: %w", s.Peer, err)
	}
	if addr, ok := text(s.Key).addr(); s.Key != "" && (!ok || addr.WithZone("") != s.Peer.WithZone("")) {
		return fmt.Errorf("stanza %s: its key %q is another address", s.Peer, s.Key)
	}
	return nil
}

func (s Stanza) validateSession() error {
	switch {
	case s.PeerAS == asTrans, s.PeerAS == 65535, s.PeerAS == 4294967295: // RFC 6793, RFC 7300
		return fmt.Errorf("AS %d is reserved", s.PeerAS)
	case s.odd != "":
		return fmt.Errorf("it was read, and its %s is not understood", s.odd)
	case s.Secret.hidden:
		return fmt.Errorf("its key was read, and not shown")
	case s.Secret.Set():
		if _, err := NewSecret(s.Secret.key); err != nil {
			return err
		}
	}
	if s.PeerAS != 0 && s.Import.path != "" && !strings.HasPrefix(s.Import.path, fmt.Sprintf("%d+", s.PeerAS)) {
		return fmt.Errorf("AS path %q does not begin with the peer's AS %d", s.Import.path, s.PeerAS)
	}
	return s.Import.validate()
}

const asTrans = 23456 // stands for one that is too long for an old speaker

// statement is one statement below a neighbor: the elements that lead to it, the words where those
// are others, and its value. All that is sent, shown and compared of a neighbor comes from its
// statements.
type statement struct {
	path, words string
	value       string
	flag        bool // it has no value
	secret      Secret
}

func (s Stanza) statements() []statement {
	all := []statement{
		{path: "description", value: s.Description},
		{path: "local-interface", value: s.Peer.Zone()},
		{path: "authentication-key", secret: s.Secret},
	}
	if s.PeerAS != 0 {
		all = append(all, statement{path: "peer-as", value: fmt.Sprint(s.PeerAS)})
	}
	if s.Import.own {
		all = append(all, statement{path: "import", value: s.PolicyName()})
	}
	if s.Limit > 0 {
		all = append(all, limits(s.Limit)...)
	}
	return slices.DeleteFunc(all, func(st statement) bool { return st.value == "" && !st.flag && !st.secret.Set() })
}

// How full a limit is when the switch begins to complain, in percent, and how many minutes a
// session that has gone over it stays down.
const (
	limitWarning = "80"
	limitPause   = "5"
)

// limits are both families with their limits. A neighbor that names families has no others, and none of what its group
// says about them. It is prefix-limit and not accepted-prefix-limit: what is accepted the
// policy bounds; this bounds what is sent.
func limits(most uint32) (all []statement) {
	for _, family := range []string{"inet", "inet6"} {
		unicast := "family " + family + " unicast "
		if family == "inet" {
			all = append(all, statement{path: unicast + "extended-nexthop", flag: true}) // RFC 8950
		}
		teardown := unicast + "prefix-limit teardown"
		all = append(all,
			statement{path: unicast + "prefix-limit maximum", value: fmt.Sprint(most)},
			statement{path: teardown + " limit-threshold", words: teardown, value: limitWarning},
			statement{path: teardown + " idle-timeout timeout", words: teardown + " idle-timeout", value: limitPause})
	}
	return all
}

// hops are the way to the statement below the neighbor.
func (st statement) hops() (all []hop) {
	typed := strings.Fields(cmp.Or(st.words, st.path))
	for i, name := range strings.Fields(st.path) {
		all = append(all, hop{name: name, silent: i >= len(typed)})
	}
	return all
}

func (st statement) top() string {
	top, _, _ := strings.Cut(st.path, " ")
	return top
}

// keepsSession says whether a session lives through a change of the statement. Junos opens a new
// session for most; a description is nobody's business but the reader's, and with another import
// policy the routes that were received are looked at again.
func (st statement) keepsSession() bool { return st.path == "description" || st.path == "import" }
